-- The table of queued and running executions is called what it is.
ALTER TABLE cron.going RENAME TO active_execution;
ALTER INDEX cron.going_pkey RENAME TO active_execution_pkey;
ALTER INDEX cron.going_one_at_a_time RENAME TO active_execution_one_at_a_time;
ALTER INDEX cron.going_of_job RENAME TO active_execution_of_job;
ALTER INDEX cron.going_queued RENAME TO active_execution_queued;
ALTER INDEX cron.going_of_node RENAME TO active_execution_of_node;
