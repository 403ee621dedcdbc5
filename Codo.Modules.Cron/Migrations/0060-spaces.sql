-- Every job is in a space; 1 is default, which holds everything that was there. The host's own migrations add the reference to accounts.space.
ALTER TABLE cron.job ADD space_id bigint NOT NULL DEFAULT 1;
CREATE INDEX job_space ON cron.job (space_id);

-- The ledger outlives its job. Whoever may not see the space that a deleted job was in must not see its rows. A job that was deleted before there were spaces has no row: default.
CREATE TABLE cron.deleted_job (
    job        bigint PRIMARY KEY,
    space_id   bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
