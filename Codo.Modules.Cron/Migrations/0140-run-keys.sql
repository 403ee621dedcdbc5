-- runs beside: 0.2.0
-- Runs that were asked for with an Idempotency-Key: the same key for the same job answers the first run. Kept for 24 hours.
CREATE TABLE cron.run_key (
    user_id bigint NOT NULL,
    key     text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    job     bigint NOT NULL,
    log_id  bigint NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, key, job)
);
