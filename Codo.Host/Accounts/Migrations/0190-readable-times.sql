-- runs beside: 0.2.0
-- The host cannot read a time outside the years 1 to 9999 (infinity it can): one such row would fail every query that returns it. NOT VALID: existing rows are
-- not scanned, so no table is locked for long. Partitioned tables are left out: such a partition key goes to the default partition, other columns are guarded
-- where they are read.
DO $$
DECLARE
    wide record;
BEGIN
    FOR wide IN
        SELECT CAST(c.oid AS regclass) AS name, string_agg(format(
            'ADD CONSTRAINT %1$I CHECK (NOT isfinite(%2$I) OR %2$I >= ''0001-01-01 00:00+00'' AND %2$I < ''10000-01-01 00:00+00'') NOT VALID',
            a.attname || '_in_range', a.attname), ', ' ORDER BY a.attnum) AS checks
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = CAST('accounts' AS regnamespace) AND c.relkind = 'r' AND NOT c.relispartition AND pg_has_role(c.relowner, 'USAGE')
            AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (CAST('timestamptz' AS regtype), CAST('date' AS regtype))
        GROUP BY c.oid ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER TABLE %s %s', wide.name, wide.checks);
    END LOOP;
END $$;
