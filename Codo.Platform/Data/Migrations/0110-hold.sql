-- runs beside: 0.2.0
-- What holds the whole installation after a restore: nothing fires, no order goes on and nobody is told until a superuser releases it. The newest row counts.
CREATE TABLE platform.hold (
    hold_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the backup's snapshot was taken.
    backup_at   timestamptz NOT NULL,
    -- Names of superusers, for whoever asks who may release it.
    releasers   text[] NOT NULL DEFAULT '{}',
    released_at timestamptz,
    released_by text NOT NULL DEFAULT '',
    CHECK ((released_at IS NULL) = (released_by = ''))
);
CREATE UNIQUE INDEX hold_open ON platform.hold ((true)) WHERE released_at IS NULL;
