-- Orders whose background job in the dashboard does not show their end yet. state is what it shows; '' is nothing yet. A wake-up of the order queues this background job again.
CREATE TABLE tasks.dashboard_job (
    list_id        bigint PRIMARY KEY,
    background_job text UNIQUE,
    state          text NOT NULL DEFAULT '',
    looked_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO tasks.dashboard_job (list_id) SELECT list_id FROM tasks.scheduler_task_list WHERE schedule <> 'OK';

-- Wake-ups of the version before; tasks.advance has what they were to do.
DO $$
BEGIN
    IF to_regclass('hangfire.job') IS NOT NULL THEN
        DELETE FROM hangfire.jobqueue WHERE jobid IN (SELECT id FROM hangfire.job WHERE invocationdata::text LIKE '%Codo.Modules.Tasks.Execution.%');
        DELETE FROM hangfire.job WHERE invocationdata::text LIKE '%Codo.Modules.Tasks.Execution.%';
    END IF;
END $$;
