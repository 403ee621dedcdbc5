-- What was refused, and sign-ins that failed, are in the audit too: times counts those of one minute that are one row.
ALTER TABLE platform.audit ADD COLUMN result text NOT NULL DEFAULT 'ok', ADD COLUMN times int NOT NULL DEFAULT 1;
ALTER TABLE platform.audit ADD CONSTRAINT audit_result CHECK (result IN ('ok', 'refused', 'failed') AND times > 0);

-- Every filter of the list with its own order, newest first, so that a page reads as many rows as it shows.
DROP INDEX platform.audit_object;
CREATE INDEX audit_object ON platform.audit (kind, object_id, at, audit_id);
CREATE INDEX audit_time ON platform.audit (at, audit_id);
CREATE INDEX audit_person ON platform.audit (user_id, at, audit_id);
CREATE INDEX audit_name ON platform.audit (username, at, audit_id);
CREATE INDEX audit_action ON platform.audit (action, at, audit_id);
CREATE INDEX audit_refused ON platform.audit (result, at, audit_id) WHERE result <> 'ok';

-- One row a day (UTC): a keyed hash of the day's rows, and a keyed hash over it and the seal of the day before. It outlives the rows.
CREATE TABLE platform.audit_seal (
    day        date PRIMARY KEY CHECK (day BETWEEN '2020-01-01' AND '2199-12-31'),
    rows       bigint NOT NULL CHECK (rows >= 0),
    digest     text NOT NULL,
    -- The seal of the day before; empty for the first.
    previous   text NOT NULL,
    seal       text NOT NULL,
    -- The number of the master key.
    master_key int NOT NULL,
    sealed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION platform.refuse_seal_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'platform.audit_seal is append-only';
END $$;
CREATE TRIGGER audit_seal_is_append_only BEFORE UPDATE OR DELETE ON platform.audit_seal FOR EACH ROW EXECUTE FUNCTION platform.refuse_seal_change();
CREATE TRIGGER audit_seal_is_not_emptied BEFORE TRUNCATE ON platform.audit_seal FOR EACH STATEMENT EXECUTE FUNCTION platform.refuse_seal_change();
REVOKE ALL ON FUNCTION platform.refuse_seal_change() FROM PUBLIC;
