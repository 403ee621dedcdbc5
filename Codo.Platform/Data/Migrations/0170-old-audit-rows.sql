-- runs beside: 0.2.0
-- Rows of the default partition have no month that is dropped with them: whole days of them that are past the retention go by this alone, which runs as the
-- audit's owner and takes none of the last 90 days. Outside of the audit, for the time of this one transaction, the partition has no trigger that refuses it
-- (PostgreSQL 14 lets a superuser alone disable it there). Nobody reads or writes the audit meanwhile: the oldest days go first, and the rest at a later call.
CREATE FUNCTION platform.drop_old_audit_rows(before timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    day     timestamptz := date_trunc('day', before AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    newest  timestamp;
    dropped bigint;
BEGIN
    IF day IS NULL OR day > clock_timestamp() - interval '90 days' THEN
        RAISE EXCEPTION 'rows of the audit up to % may not be dropped', before;
    END IF;
    -- As many days as have 20,000 rows together, and one at least: a day is sealed as a whole.
    SELECT max(d.begins) INTO newest FROM (
        SELECT r.begins, sum(r.many) OVER (ORDER BY r.begins) AS so_far, row_number() OVER (ORDER BY r.begins) AS place
        FROM (SELECT date_trunc('day', a.at AT TIME ZONE 'UTC') AS begins, count(*) AS many FROM platform.audit_default a WHERE a.at < day GROUP BY 1) r) d
    WHERE d.so_far <= 20000 OR d.place = 1;
    IF newest IS NULL THEN
        RETURN 0;
    END IF;
    ALTER TABLE platform.audit DETACH PARTITION platform.audit_default;
    DELETE FROM platform.audit_default a WHERE a.at < day AND date_trunc('day', a.at AT TIME ZONE 'UTC') <= newest;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    ALTER TABLE platform.audit ATTACH PARTITION platform.audit_default DEFAULT;
    RETURN dropped;
END $$;
REVOKE ALL ON FUNCTION platform.drop_old_audit_rows(timestamptz) FROM PUBLIC;
