-- The audit by months, so that it is thinned by whole partitions and by nothing else. What there is becomes the partition of the present month, which reaches back to the beginning.
ALTER TABLE platform.audit RENAME TO audit_before;
DROP TRIGGER audit_is_append_only ON platform.audit_before;
ALTER TABLE platform.audit_before DROP CONSTRAINT audit_pkey, ALTER COLUMN audit_id DROP IDENTITY;
ALTER TABLE platform.audit_before ADD CONSTRAINT audit_before_pkey PRIMARY KEY (audit_id, at);
ALTER INDEX platform.audit_object RENAME TO audit_before_object;

CREATE TABLE platform.audit (
    audit_id   bigint GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id    bigint NOT NULL,
    username   text NOT NULL,
    nickname   text NOT NULL,
    address    text NOT NULL,
    request_id text NOT NULL,
    action     text NOT NULL,
    kind       text NOT NULL,
    object_id  text NOT NULL,
    before     jsonb,
    after      jsonb,
    PRIMARY KEY (audit_id, at)
) PARTITION BY RANGE (at);
CREATE INDEX audit_object ON platform.audit (kind, object_id, audit_id);

DO $$
DECLARE
    -- Where a clock was wrong there may be rows of later months: they must not keep this from being done.
    newest timestamptz := greatest(clock_timestamp(), (SELECT max(at) FROM platform.audit_before WHERE isfinite(at)));
    month  text := to_char(newest AT TIME ZONE 'UTC', 'YYYYMM');
BEGIN
    EXECUTE format('ALTER TABLE platform.audit ALTER COLUMN audit_id RESTART WITH %s', (SELECT coalesce(max(audit_id), 0) + 1 FROM platform.audit_before));
    EXECUTE format('ALTER TABLE platform.audit ATTACH PARTITION platform.audit_before FOR VALUES FROM (MINVALUE) TO (%L)',
        (date_trunc('month', newest AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
    EXECUTE format('ALTER TABLE platform.audit_before RENAME TO %I', 'audit_' || month);
END $$;
-- For what no month has been made for: a row is never refused for that.
CREATE TABLE platform.audit_default PARTITION OF platform.audit DEFAULT;

CREATE OR REPLACE FUNCTION platform.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'platform.audit is append-only';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON platform.audit FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON platform.audit FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_change();

-- Months are made and dropped by these alone where the audit belongs to another role than the host's. They run as the audit's owner.
CREATE FUNCTION platform.add_audit_partition(day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamp := date_trunc('month', CAST(day AS timestamp));
BEGIN
    IF first NOT BETWEEN (clock_timestamp() AT TIME ZONE 'UTC') - interval '2 months' AND (clock_timestamp() AT TIME ZONE 'UTC') + interval '6 months' THEN
        RAISE EXCEPTION 'the audit gets no partition for %', day;
    END IF;
    EXECUTE format('CREATE TABLE IF NOT EXISTS platform.%I PARTITION OF platform.audit FOR VALUES FROM (%L) TO (%L)',
        'audit_' || to_char(first, 'YYYYMM'), first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
END $$;

CREATE FUNCTION platform.drop_audit_partition(name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF name !~ '^audit_[0-9]{6}$'
        OR NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'platform.audit'::regclass AND inhrelid = to_regclass('platform.' || quote_ident(name)))
        OR to_date(right(name, 6), 'YYYYMM') + interval '1 month' > (clock_timestamp() AT TIME ZONE 'UTC') - interval '90 days' THEN
        RAISE EXCEPTION '% is no partition of the audit that may be dropped', name;
    END IF;
    EXECUTE format('DROP TABLE platform.%I', name);
END $$;
REVOKE ALL ON FUNCTION platform.add_audit_partition(date), platform.drop_audit_partition(text) FROM PUBLIC;
