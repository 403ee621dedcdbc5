-- What other modules are to hear of and have not been told yet: written with the change itself, deleted once it was told. A crash between the two tells twice, never not at all.
CREATE TABLE cron.news (
    news_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind          text NOT NULL CHECK (kind IN ('ended', 'skipped', 'missed', 'deleted')),
    job           bigint NOT NULL,
    job_id        text NOT NULL,
    log_id        bigint NOT NULL,
    nominal_at    timestamptz NOT NULL,
    -- Of the stretch that was skipped or missed.
    nominal_until timestamptz NOT NULL,
    times         int NOT NULL DEFAULT 1,
    -- Tellings that failed for another cause than the database.
    tries         int NOT NULL DEFAULT 0
);
CREATE INDEX news_of_job ON cron.news (job);

-- troubled: something was told that the job's next success ends. A success of any other job is nobody's news.
ALTER TABLE cron.job ADD troubled boolean NOT NULL DEFAULT false, ADD failures int NOT NULL DEFAULT 0 CHECK (failures >= 0);
