-- runs beside: 0.2.0
-- What each attempt used, its whole process tree; NULL is what was not measured.
ALTER TABLE cron.attempt ADD COLUMN cpu_ms bigint, ADD COLUMN peak_memory_bytes bigint, ADD COLUMN read_bytes bigint, ADD COLUMN written_bytes bigint,
    -- rusage, sampled or both.
    ADD COLUMN usage_source text;

-- What runs under way have used so far, stored every few seconds by the node that runs them: other nodes show it, and a run whose node dies keeps it.
-- Without WAL, since it is worth nothing a moment later.
CREATE UNLOGGED TABLE cron.live_usage (
    log_id            bigint NOT NULL,
    attempt           int NOT NULL,
    node              text NOT NULL,
    incarnation       bigint NOT NULL,
    at                timestamptz NOT NULL,
    cpu_ms            bigint,
    peak_memory_bytes bigint,
    read_bytes        bigint,
    written_bytes     bigint,
    -- How busy it was, and its processes with secrets masked.
    sample            jsonb NOT NULL,
    PRIMARY KEY (log_id, attempt)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
