-- runs beside: 0.2.0
-- A time before year 1 or after 9999 is none that the host can read: one row that has it would stop whoever reads it with others. Infinity is one that it can.
-- What is there already is not looked at, so that nobody waits. Of partitioned tables the time that they are divided by goes to the default partition; their
-- other times are read with care.
DO $$
DECLARE
    wide record;
BEGIN
    FOR wide IN
        SELECT CAST(c.oid AS regclass) AS name, string_agg(format(
            'ADD CONSTRAINT %1$I CHECK (NOT isfinite(%2$I) OR %2$I >= ''0001-01-01 00:00+00'' AND %2$I < ''10000-01-01 00:00+00'') NOT VALID',
            a.attname || '_in_range', a.attname), ', ' ORDER BY a.attnum) AS checks
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = CAST('platform' AS regnamespace) AND c.relkind = 'r' AND NOT c.relispartition AND pg_has_role(c.relowner, 'USAGE')
            AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN (CAST('timestamptz' AS regtype), CAST('date' AS regtype))
        GROUP BY c.oid ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER TABLE %s %s', wide.name, wide.checks);
    END LOOP;
END $$;
