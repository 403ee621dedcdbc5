-- Moves with every change of a job or of the ledger, so that a node can answer the job list as it wrote it before. A sequence makes no two changes wait for each
-- other; it moves before the change is committed, which the reader (JobListCache) takes into account.
CREATE SEQUENCE cron.job_list_version;
SELECT nextval('cron.job_list_version');
CREATE FUNCTION cron.job_list_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('cron.job_list_version');
    RETURN NULL;
END $$;
CREATE TRIGGER job_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cron.job FOR EACH STATEMENT EXECUTE FUNCTION cron.job_list_changed();
CREATE TRIGGER cron_log_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cron.cron_log FOR EACH STATEMENT EXECUTE FUNCTION cron.job_list_changed();

-- Rows that are changed again and again keep room beside them, so that a change stays on its page and leaves its indexes alone, and are vacuumed early.
ALTER TABLE cron.active_execution SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE cron.dashboard_job SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE cron.job SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
