-- What steps print, a row a line. Lines are written at least once from two sides, the subscriber and the executor's comparison, and are there once.
-- Partitioned by the line's own time, not by that of its writing, so that a line which is written again meets its twin; the default partition takes
-- what foreign clocks send.

CREATE SEQUENCE tasks.scheduler_task_log_id;
-- Numbers the lines of other publishers, which send none.
CREATE SEQUENCE tasks.foreign_line;

CREATE TABLE tasks.scheduler_task_log (
    log_id     bigint NOT NULL DEFAULT nextval('tasks.scheduler_task_log_id'),
    -- {list_id}_{group}_{level}_{host}; list_id and task_level are taken from it, 0 where it has another form.
    log_key    text NOT NULL,
    list_id    bigint NOT NULL,
    task_level int NOT NULL,
    -- 0 and attempt 0 for the lines of other publishers.
    sched_id   bigint NOT NULL,
    attempt    int NOT NULL,
    -- From 1 within (sched_id, attempt), without a gap once the attempt has ended.
    line       bigint NOT NULL,
    -- The line was too long; the next one continues it.
    continues  boolean NOT NULL,
    log_info   text NOT NULL,
    -- When it was read, rising within an attempt; milliseconds.
    exec_time  timestamptz NOT NULL,
    log_time   timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (exec_time);

CREATE TABLE tasks.scheduler_task_log_default PARTITION OF tasks.scheduler_task_log DEFAULT;
CREATE UNIQUE INDEX scheduler_task_log_line ON tasks.scheduler_task_log (sched_id, attempt, line, exec_time);
-- Which attempts a log has, in their order: one entry an attempt.
CREATE INDEX scheduler_task_log_attempt ON tasks.scheduler_task_log (list_id, log_key, exec_time) WHERE line = 1;
CREATE INDEX scheduler_task_log_foreign ON tasks.scheduler_task_log (list_id, log_key, line) WHERE sched_id = 0;
-- Searches go from the newest line back.
CREATE INDEX scheduler_task_log_time ON tasks.scheduler_task_log (exec_time, log_id);
