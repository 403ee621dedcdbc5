-- runs beside: 0.2.0
-- Which nodes may run a job, as a selector over their names and tags (platform.fits); empty is every node.
ALTER TABLE cron.job ADD node_selector text NOT NULL DEFAULT '';

-- The job's selector when it was due; an edit of the job's takes what is queued along. What no live node could take for a while is marked, and its row of the
-- ledger says so.
ALTER TABLE cron.active_execution ADD node_selector text NOT NULL DEFAULT '', ADD unplaced boolean NOT NULL DEFAULT false;
CREATE INDEX active_execution_selected ON cron.active_execution (log_id) WHERE node_selector <> '';

CREATE OR REPLACE FUNCTION cron.job_content(j cron.job) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('cmd', j.cmd, 'cron', j.cron, 'time_zone', j.time_zone, 'timeout', j.timeout, 'overlap', j.overlap, 'misfire', j.misfire,
        'misfire_window', j.misfire_window, 'retries', j.retries, 'retry_delay', j.retry_delay, 'working_directory', j.working_directory,
        'interpreter', j.interpreter, 'encoding', j.encoding, 'run_as', j.run_as, 'node', j.node_selector, 'description', j.description,
        'tags', to_jsonb(j.tags), 'owners', to_jsonb(j.owners), 'space_id', j.space_id)
$$;

DROP TRIGGER job_version_counted ON cron.job;
DROP TRIGGER job_version_kept ON cron.job;
CREATE TRIGGER job_version_counted BEFORE UPDATE OF cmd, cron, time_zone, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory,
    interpreter, encoding, run_as, node_selector, description, tags, owners, space_id ON cron.job FOR EACH ROW
    WHEN ((OLD.cmd, OLD.cron, OLD.time_zone, OLD.timeout, OLD.overlap, OLD.misfire, OLD.misfire_window, OLD.retries, OLD.retry_delay, OLD.env,
            OLD.working_directory, OLD.interpreter, OLD.encoding, OLD.node_selector, OLD.description, OLD.tags, OLD.owners, OLD.space_id)
        IS DISTINCT FROM (NEW.cmd, NEW.cron, NEW.time_zone, NEW.timeout, NEW.overlap, NEW.misfire, NEW.misfire_window, NEW.retries, NEW.retry_delay, NEW.env,
            NEW.working_directory, NEW.interpreter, NEW.encoding, NEW.node_selector, NEW.description, NEW.tags, NEW.owners, NEW.space_id)
        OR (OLD.run_as <> '' AND OLD.run_as IS DISTINCT FROM NEW.run_as))
    EXECUTE FUNCTION cron.count_job_version();
CREATE TRIGGER job_version_kept AFTER UPDATE OF cmd, cron, time_zone, timeout, overlap, misfire, misfire_window, retries, retry_delay, env, working_directory,
    interpreter, encoding, run_as, node_selector, description, tags, owners, space_id ON cron.job FOR EACH ROW
    WHEN (OLD.version IS DISTINCT FROM NEW.version) EXECUTE FUNCTION cron.keep_job_version();
