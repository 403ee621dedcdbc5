-- What a job was after each of its changes. Triggers write it, so that a change by a node of the version before, or by hand, has its version too; the number is
-- counted under the lock of the job's own row, and the key refuses a second row with it.
ALTER TABLE cron.job ADD version int NOT NULL DEFAULT 1 CHECK (version > 0);

CREATE TABLE cron.job_version (
    -- The surrogate id: a job that is made anew under a job_id begins with a history of its own.
    job           bigint NOT NULL,
    version       int NOT NULL CHECK (version > 0),
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    by_id         bigint NOT NULL,
    by_name       text NOT NULL,
    -- The version whose content was brought back; null for an edit.
    restored_from int,
    -- Fields by their names in the API.
    content       jsonb NOT NULL,
    -- Sealed, as in cron.job.
    env           bytea,
    PRIMARY KEY (job, version)
);

-- Neither pauses nor what the ledger notes with the job are its content.
CREATE FUNCTION cron.job_content(j cron.job) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('cmd', j.cmd, 'cron', j.cron, 'time_zone', j.time_zone, 'timeout', j.timeout, 'overlap', j.overlap, 'misfire', j.misfire,
        'misfire_window', j.misfire_window, 'retries', j.retries, 'retry_delay', j.retry_delay, 'working_directory', j.working_directory,
        'interpreter', j.interpreter, 'encoding', j.encoding, 'run_as', j.run_as, 'description', j.description, 'tags', to_jsonb(j.tags),
        'owners', to_jsonb(j.owners), 'space_id', j.space_id)
$$;

CREATE FUNCTION cron.count_job_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version + 1;
    RETURN NEW;
END $$;

-- A job that comes back after its deletion has its row already.
CREATE FUNCTION cron.keep_job_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO cron.job_version (job, version, by_id, by_name, content, env)
    VALUES (NEW.id, NEW.version, NEW.updater_id, NEW.updater, cron.job_content(NEW), NEW.env) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- An empty run_as is stamped at the start after an upgrade (StampRunAs), which changes nothing of what runs.
CREATE TRIGGER job_version_counted BEFORE UPDATE OF cmd, cron, time_zone, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory,
    interpreter, encoding, run_as, description, tags, owners, space_id ON cron.job FOR EACH ROW
    WHEN ((OLD.cmd, OLD.cron, OLD.time_zone, OLD.timeout, OLD.overlap, OLD.misfire, OLD.misfire_window, OLD.retries, OLD.retry_delay, OLD.env,
            OLD.working_directory, OLD.interpreter, OLD.encoding, OLD.description, OLD.tags, OLD.owners, OLD.space_id)
        IS DISTINCT FROM (NEW.cmd, NEW.cron, NEW.time_zone, NEW.timeout, NEW.overlap, NEW.misfire, NEW.misfire_window, NEW.retries, NEW.retry_delay, NEW.env,
            NEW.working_directory, NEW.interpreter, NEW.encoding, NEW.description, NEW.tags, NEW.owners, NEW.space_id)
        OR (OLD.run_as <> '' AND OLD.run_as IS DISTINCT FROM NEW.run_as))
    EXECUTE FUNCTION cron.count_job_version();
CREATE TRIGGER job_version_made AFTER INSERT ON cron.job FOR EACH ROW EXECUTE FUNCTION cron.keep_job_version();
CREATE TRIGGER job_version_kept AFTER UPDATE OF cmd, cron, time_zone, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory,
    interpreter, encoding, run_as, description, tags, owners, space_id ON cron.job FOR EACH ROW
    WHEN (OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION cron.keep_job_version();

-- What was there is version 1, by whoever changed it last.
INSERT INTO cron.job_version (job, version, at, by_id, by_name, content, env)
SELECT j.id, j.version, j.update_time, j.updater_id, j.updater, cron.job_content(j), j.env FROM cron.job j;

-- A deleted job can be brought back for 30 days: its content is the version that it had, and here is what else the row held. After that, and for jobs that were
-- deleted before this migration, job_id is null.
ALTER TABLE cron.deleted_job ADD job_id text, ADD version int, ADD by_id bigint, ADD by_name text, ADD creator_id bigint, ADD creator text,
    ADD create_time timestamptz, ADD paused boolean, ADD held_by bigint, ADD released text;
CREATE INDEX deleted_job_kept ON cron.deleted_job (deleted_at DESC, job DESC) WHERE job_id IS NOT NULL;
