-- What a template was after each of its changes. A save locks the template's row and counts its version under that lock; the key refuses a second row with it.
ALTER TABLE tasks.scheduler_temp_list ADD version int NOT NULL DEFAULT 1 CHECK (version > 0);

CREATE TABLE tasks.template_version (
    temp_id       bigint NOT NULL,
    version       int NOT NULL CHECK (version > 0),
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Who saved it; 0 and '' where a template was found to have changed otherwise.
    by_id         bigint NOT NULL,
    by_name       text NOT NULL,
    -- The version whose content was brought back; null for an edit.
    restored_from int,
    content       jsonb NOT NULL,
    PRIMARY KEY (temp_id, version)
);

-- Its users are rights and no content: the audit knows them, and an old version must not give a right back that was taken.
CREATE FUNCTION tasks.template_content(template bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'steps', (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', d.id, 'group', d."group", 'level', d.level, 'command_name', d.command_name,
            'command', d.command, 'args', d.args, 'trigger', d.trigger, 'exec_user', d.exec_user, 'force_host', d.force_host, 'timeout', d.timeout,
            'retries', d.retries, 'retry_delay', d.retry_delay, 'on_error', d.on_error, 'pty', d.pty, 'interpreter', d.interpreter, 'run_as', d.run_as)
            ORDER BY d."group", d.level, d.id), '[]') FROM tasks.scheduler_temp_details d WHERE d.temp_id = t.temp_id),
        'groups', (SELECT COALESCE(jsonb_agg(jsonb_build_object('group', g."group", 'batch', g.batch, 'batch_pause', g.batch_pause,
            'max_failures', g.max_failures, 'next', g.next) ORDER BY g."group"), '[]') FROM tasks.scheduler_temp_group g WHERE g.temp_id = t.temp_id),
        'temp_args', to_jsonb(t.declared), 'space_id', t.space_id)
    FROM tasks.scheduler_temp_list t WHERE t.temp_id = $1
$$;

-- What was there is version 1, by whoever edited it last as far as that is known.
INSERT INTO tasks.template_version (temp_id, version, at, by_id, by_name, content)
SELECT t.temp_id, t.version, t.update_time, t.editor_id, COALESCE((SELECT a.nickname FROM platform.audit a WHERE a.kind = 'template' AND a.user_id = t.editor_id
    AND a.object_id = CAST(t.temp_id AS text) ORDER BY a.at DESC LIMIT 1), CASE WHEN t.editor_id = t.creator_id THEN t.creator ELSE '' END),
    tasks.template_content(t.temp_id)
FROM tasks.scheduler_temp_list t;

-- A deleted template can be brought back for 30 days, with all that hung on it.
CREATE TABLE tasks.deleted_template (
    temp_id     bigint PRIMARY KEY,
    temp_name   text NOT NULL,
    space_id    bigint NOT NULL,
    version     int NOT NULL CHECK (version > 0),
    deleted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    by_id       bigint NOT NULL,
    by_name     text NOT NULL,
    creator     text NOT NULL,
    creator_id  bigint NOT NULL,
    editor_id   bigint NOT NULL,
    create_time timestamptz NOT NULL,
    declared    text[] NOT NULL,
    -- Rows of scheduler_temp_details, scheduler_temp_group, scheduler_temp_user and approval_rule.
    steps       jsonb NOT NULL,
    groups      jsonb NOT NULL,
    users       jsonb NOT NULL,
    rules       jsonb NOT NULL
);
CREATE INDEX deleted_template_newest ON tasks.deleted_template (deleted_at DESC, temp_id DESC);
