-- The background job of the dashboard that stands for an execution; empty where none does.
ALTER TABLE cron.cron_log ADD dashboard_job text NOT NULL DEFAULT '';

-- Executions whose background job does not show their end yet. state is what it shows; '' is nothing yet. Without a background job one is made: that is a run by hand.
CREATE TABLE cron.dashboard_job (
    log_id         bigint PRIMARY KEY,
    nominal_at     timestamptz NOT NULL,
    job            bigint NOT NULL,
    background_job text UNIQUE,
    state          text NOT NULL DEFAULT '',
    looked_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Recurring jobs are called by their job_id, and what they call carries its background job: both are registered anew, and a wake-up that waits is not needed.
DO $$
BEGIN
    IF to_regclass('hangfire.job') IS NOT NULL THEN
        DELETE FROM hangfire.jobqueue WHERE jobid IN (SELECT id FROM hangfire.job WHERE invocationdata::text LIKE '%Codo.Modules.Cron.Executions.%');
        DELETE FROM hangfire.job WHERE invocationdata::text LIKE '%Codo.Modules.Cron.Executions.%';
        DELETE FROM hangfire.set WHERE key = 'recurring-jobs' AND value LIKE 'cron:%';
        DELETE FROM hangfire.hash WHERE key LIKE 'recurring-job:cron:%';
    END IF;
END $$;
