-- Lines of days that are over are sealed: up to 2,000 lines of an attempt and a day become one row of text, which PostgreSQL compresses. The table of lines
-- gets a name of its own; the old name answers as a view of both. Nothing is rewritten here: sealing works through old days in the background.
ALTER TABLE tasks.scheduler_task_log RENAME TO log_line;

DO $$
DECLARE
    old text;
BEGIN
    FOR old IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'tasks' AND c.relname ~ '^scheduler_task_log_([0-9]{8}|[0-9]{8}_trgm|default)$' AND c.relkind IN ('r', 'i')
    LOOP
        EXECUTE format('ALTER %s tasks.%I RENAME TO %I', CASE WHEN old LIKE '%trgm' THEN 'INDEX' ELSE 'TABLE' END, old,
            replace(old, 'scheduler_task_log', 'log_line'));
    END LOOP;
END $$;

CREATE TABLE tasks.sealed_log (
    log_key    text NOT NULL,
    list_id    bigint NOT NULL,
    task_level int NOT NULL,
    sched_id   bigint NOT NULL,
    attempt    int NOT NULL,
    first_line bigint NOT NULL,
    last_line  bigint NOT NULL,
    lines      int NOT NULL,
    -- Earliest and latest exec_time; both lie in one day.
    since      timestamptz NOT NULL,
    until      timestamptz NOT NULL,
    -- Latest log_time.
    written    timestamptz NOT NULL,
    -- Of the first line. What follows is told by its difference to the line before, the first being 0: NULL where line and log_id always rise by one, and where
    -- a time stays the same. Times in microseconds.
    first_id   bigint NOT NULL,
    first_time timestamptz NOT NULL,
    first_written timestamptz NOT NULL,
    line_steps int[],
    id_steps   int[],
    time_steps int[],
    written_steps int[],
    -- Places of the lines that the next one continues, from 1 on; NULL for none.
    continued  int[],
    -- The lines, one each. A newline within a line is E'\x01n' and E'\x01' is E'\x01e'.
    content    text NOT NULL,
    CHECK (lines > 0 AND first_line BETWEEN 0 AND last_line AND last_line <= 1000000000000000000 AND first_id BETWEEN 0 AND 1000000000000000000),
    CHECK (since <= until AND isfinite(since) AND isfinite(until) AND isfinite(first_time) AND isfinite(first_written))
) PARTITION BY RANGE (since);

CREATE INDEX sealed_log_attempt ON tasks.sealed_log (sched_id, attempt, last_line);
CREATE INDEX sealed_log_key ON tasks.sealed_log (list_id, log_key, first_line);
CREATE INDEX sealed_log_until ON tasks.sealed_log (until);

-- A PostgreSQL that was built without lz4 keeps its own compression.
DO $$
DECLARE
    big text;
BEGIN
    FOREACH big IN ARRAY ARRAY['content', 'line_steps', 'id_steps', 'time_steps', 'written_steps', 'continued'] LOOP
        EXECUTE format('ALTER TABLE tasks.sealed_log ALTER COLUMN %I SET COMPRESSION lz4', big);
    END LOOP;
EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN
    RAISE NOTICE 'lz4 is not to be had: %', SQLERRM;
END $$;

-- Sealed lines one by one. Whoever asks narrows by the columns of the sealed row first: only rows that are left are taken apart.
CREATE VIEW tasks.sealed_line AS
SELECT l.log_id, s.log_key, s.list_id, s.task_level, s.sched_id, s.attempt, l.line, l.continues, l.log_info, l.exec_time, l.log_time,
    s.first_line, s.last_line, s.lines, s.since, s.until, s.written, s.line_steps IS NOT NULL AS has_gaps, s.content
FROM tasks.sealed_log s CROSS JOIN LATERAL (
    SELECT s.first_id + COALESCE(sum(u.id_step) OVER upto, u.place - 1) AS log_id,
        s.first_line + COALESCE(sum(u.line_step) OVER upto, u.place - 1) AS line,
        COALESCE(u.place = ANY (s.continued), false) AS continues,
        replace(replace(COALESCE(u.text, ''), E'\x01n', E'\n'), E'\x01e', E'\x01') AS log_info,
        s.first_time + COALESCE(sum(u.time_step) OVER upto, 0) * interval '1 microsecond' AS exec_time,
        s.first_written + COALESCE(sum(u.written_step) OVER upto, 0) * interval '1 microsecond' AS log_time
    FROM unnest(string_to_array(s.content, E'\n'), s.line_steps, s.id_steps, s.time_steps, s.written_steps) WITH ORDINALITY
        AS u (text, line_step, id_step, time_step, written_step, place)
    WINDOW upto AS (ORDER BY u.place)) l;

CREATE VIEW tasks.scheduler_task_log AS
SELECT log_id, log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time FROM tasks.log_line
UNION ALL
SELECT log_id, log_key, list_id, task_level, sched_id, attempt, line, continues, log_info, exec_time, log_time FROM tasks.sealed_line;
