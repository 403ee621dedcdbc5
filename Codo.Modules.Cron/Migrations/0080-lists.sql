-- An index for each filter of /v1/cron/log/, in the order of the list, so that a page reads its own rows and no others.
-- job is carried along for the filters by tag and owner, which look through the newest rows without reading the table.
CREATE INDEX cron_log_time ON cron.cron_log (exec_time DESC, log_id DESC) INCLUDE (job);
DROP INDEX cron.cron_log_newest;
ALTER INDEX cron.cron_log_time RENAME TO cron_log_newest;
CREATE INDEX cron_log_of_status ON cron.cron_log (status, exec_time DESC, log_id DESC) INCLUDE (job);
CREATE INDEX cron_log_of_job_status ON cron.cron_log (job_id, status, exec_time DESC, log_id DESC) INCLUDE (job);
-- A command has up to 4,000 characters: too long for an index entry, so its hash stands there.
CREATE INDEX cron_log_of_cmd ON cron.cron_log (hashtextextended(task_cmd, 0), exec_time DESC, log_id DESC);

CREATE INDEX job_tags ON cron.job USING gin (tags);
CREATE INDEX job_owners ON cron.job USING gin (owners);
CREATE INDEX job_unowned ON cron.job (creator) WHERE owners = '{}';

-- Rows of the ledger by the hour in which they stand in the list; PartitionMaintenance counts each hour once it is over. A page far from the newest is found by them
-- without walking over all the rows before it.
CREATE TABLE cron.ledger_hour (
    hour timestamptz PRIMARY KEY,
    rows bigint NOT NULL
);
