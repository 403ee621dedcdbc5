-- A job that cannot be read or computed any more (its zone has left the machine's zone data, its row is damaged) is broken: it fires nothing, says why, and holds up no other job.
ALTER TABLE cron.job ADD broken_at timestamptz, ADD broken_zh text NOT NULL DEFAULT '', ADD broken_en text NOT NULL DEFAULT '',
    ADD CHECK ((broken_at IS NULL) = (broken_en = ''));
CREATE INDEX job_broken ON cron.job (id) WHERE broken_at IS NOT NULL;

-- cron.news becomes the outbox that all modules share.
INSERT INTO platform.outbox (at, stream, kind, payload)
SELECT n.at, 'job:' || n.job, 'cron.' || n.kind,
    CASE n.kind WHEN 'deleted' THEN jsonb_build_object('job_id', n.job_id)
        ELSE jsonb_build_object('job', n.job, 'job_id', n.job_id, 'log_id', n.log_id, 'nominal_at', n.nominal_at, 'nominal_until', n.nominal_until, 'times', n.times) END
FROM cron.news n ORDER BY n.news_id;
DROP TABLE cron.news;

-- Background jobs of the version before name types that are gone. What they were to do is in the tables: the outbox is published and due jobs are accounted for without them, recurring jobs are registered anew.
DO $$
BEGIN
    IF to_regclass('hangfire.job') IS NOT NULL THEN
        DELETE FROM hangfire.jobqueue WHERE jobid IN (SELECT id FROM hangfire.job WHERE invocationdata::text LIKE '%Codo.Modules.Cron.Executions.%' OR invocationdata::text LIKE '%Codo.Modules.Tasks.Execution.Telling%');
        DELETE FROM hangfire.job WHERE invocationdata::text LIKE '%Codo.Modules.Cron.Executions.%' OR invocationdata::text LIKE '%Codo.Modules.Tasks.Execution.Telling%';
        DELETE FROM hangfire.set WHERE key = 'recurring-jobs' AND value LIKE 'cron:%';
        DELETE FROM hangfire.hash WHERE key LIKE 'recurring-job:cron:%';
    END IF;
END $$;

-- A NULL among names reads as nothing that code expects. NOT VALID: rows of the version before are not looked at.
ALTER TABLE cron.job ADD CONSTRAINT job_whole CHECK (array_position(tags, NULL) IS NULL AND array_position(owners, NULL) IS NULL) NOT VALID;
