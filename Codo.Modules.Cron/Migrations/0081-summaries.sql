-- What each day and each job came to: how many runs ended how, how long they took and how late they began. Whatever ends a row of the ledger leaves a small row
-- in cron.summary_delta by a trigger, in its own transaction; one node adds those up every few seconds (Summaries), so that no two ends wait for one row.
CREATE TABLE cron.summary_delta (
    delta_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job        bigint NOT NULL,
    job_id     text NOT NULL,
    log_id     bigint NOT NULL,
    nominal_at timestamptz NOT NULL,
    exec_time  timestamptz NOT NULL,
    ended_at   timestamptz,
    status     text NOT NULL,
    kind       text NOT NULL,
    -- Due times that this row tells of: one, or those by which a stretch has grown.
    times      int NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX summary_delta_job ON cron.summary_delta (job);

-- Job 0 is all jobs together. The day is that in Codo's zone in which the run began.
CREATE TABLE cron.job_day (
    day         date NOT NULL,
    job         bigint NOT NULL,
    job_id      text NOT NULL,
    success     bigint NOT NULL DEFAULT 0,
    faild       bigint NOT NULL DEFAULT 0,
    timeout     bigint NOT NULL DEFAULT 0,
    killed      bigint NOT NULL DEFAULT 0,
    interrupted bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    missed      bigint NOT NULL DEFAULT 0,
    -- Of all runs together.
    seconds     float8 NOT NULL DEFAULT 0 CHECK (seconds < 'Infinity'),
    -- Histograms of the runs' durations and of their starts' lateness. Element n counts what took up to 2^((n-1)/4)
    -- milliseconds, and longer than the element before; NULL is 0.
    durations   int[] NOT NULL DEFAULT '{0}',
    lateness    int[] NOT NULL DEFAULT '{0}',
    PRIMARY KEY (job, day)
) WITH (fillfactor = 70);
CREATE INDEX job_day_day ON cron.job_day (day);

-- How each job ended last, as far as deltas have been added up.
CREATE TABLE cron.job_last (
    job       bigint PRIMARY KEY,
    log_id    bigint NOT NULL,
    exec_time timestamptz NOT NULL,
    status    text NOT NULL,
    seconds   float8 CHECK (seconds < 'Infinity')
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX job_last_status ON cron.job_last (status, job);

-- Rows that had ended before this migration: they are summarised in the background, a day at a time, from the newest back.
CREATE TABLE cron.summary_rebuild (
    from_time  timestamptz NOT NULL,
    until_time timestamptz NOT NULL,
    -- What ended after this has a delta.
    ended_before timestamptz NOT NULL
);
INSERT INTO cron.summary_rebuild (from_time, until_time, ended_before)
SELECT min(exec_time), max(exec_time) + interval '1 microsecond', clock_timestamp() FROM cron.cron_log
WHERE exec_time BETWEEN clock_timestamp() - interval '4000 days' AND clock_timestamp() + interval '1 day' HAVING count(*) > 0;

CREATE FUNCTION cron.bucket(took interval) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT CAST(ceil(4 * ln(greatest(CAST(extract(epoch FROM $1) AS float8) * 1000, 1)) / ln(CAST(2 AS float8))) AS int) + 1
$$;
CREATE FUNCTION cron.count_bucket(counts int[], bucket int) RETURNS int[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF bucket IS NOT NULL THEN counts[bucket] := coalesce(counts[bucket], 0) + 1; END IF;
    RETURN counts;
END $$;
CREATE FUNCTION cron.add_counts(these int[], those int[]) RETURNS int[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY n) FROM unnest($1, $2) WITH ORDINALITY AS u(a, b, n)
$$;
CREATE AGGREGATE cron.histogram(int) (SFUNC = cron.count_bucket, STYPE = int[], INITCOND = '{0}');
CREATE AGGREGATE cron.merge_counts(int[]) (SFUNC = cron.add_counts, STYPE = int[], INITCOND = '{0}');

CREATE FUNCTION cron.summarise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cron.summary_delta (job, job_id, log_id, nominal_at, exec_time, ended_at, status, kind, times)
    VALUES (NEW.job, NEW.job_id, NEW.log_id, NEW.nominal_at, NEW.exec_time, NEW.ended_at, NEW.status, NEW.kind,
        CASE WHEN TG_OP = 'UPDATE' AND OLD.status = NEW.status THEN NEW.times - OLD.times ELSE NEW.times END);
    RETURN NULL;
END $$;
CREATE TRIGGER cron_log_made AFTER INSERT ON cron.cron_log FOR EACH ROW WHEN (NEW.status NOT IN ('queued', 'running')) EXECUTE FUNCTION cron.summarise();
CREATE TRIGGER cron_log_ended AFTER UPDATE ON cron.cron_log FOR EACH ROW
    WHEN (NEW.status NOT IN ('queued', 'running') AND (OLD.status <> NEW.status OR OLD.times <> NEW.times)) EXECUTE FUNCTION cron.summarise();
