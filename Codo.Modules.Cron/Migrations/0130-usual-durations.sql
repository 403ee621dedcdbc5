-- runs beside: 0.2.0
-- How long a job's runs usually take, in seconds: what half of them and what 95 % of them did not exceed in the 7 days up to the newest one. Kept beside the
-- newest run (Summaries), at most once an hour, since 7 days of histograms of 10,000 jobs take seconds to add up. NULL is not known.
ALTER TABLE cron.job_last
    ADD usual_p50 float8 CHECK (usual_p50 < 'Infinity'),
    ADD usual_p95 float8 CHECK (usual_p95 < 'Infinity'),
    -- When they were computed, and from which newest run on.
    ADD usual_at timestamptz,
    ADD usual_of bigint;

-- In place: an SQL function makes a new array of each two.
CREATE OR REPLACE FUNCTION cron.add_counts(these int[], those int[]) RETURNS int[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    had int := coalesce(cardinality(these), 0);
    place int := 0;
    more int;
BEGIN
    IF those IS NULL THEN RETURN these; END IF;
    FOREACH more IN ARRAY those LOOP
        place := place + 1;
        IF place > had THEN these[place] := coalesce(more, 0);
        ELSIF more > 0 THEN these[place] := coalesce(these[place], 0) + more; END IF;
    END LOOP;
    RETURN these;
END $$;
