-- The user of the operating system that a step runs as on Codo's own machine; empty (an import) is Codo:RunAs. On other hosts exec_user decides.
ALTER TABLE tasks.scheduler_temp_details ADD run_as text NOT NULL DEFAULT '';
ALTER TABLE tasks.scheduler_task_info ADD run_as text NOT NULL DEFAULT '';

-- Who may name an execute-user in a step; one without rows may be named by everybody with the operator's right.
CREATE TABLE tasks.scheduler_execute_user_right (
    exec_user_id bigint NOT NULL REFERENCES tasks.scheduler_execute_user ON DELETE CASCADE,
    user_id      bigint NOT NULL CHECK (user_id > 0),
    nickname     text NOT NULL DEFAULT '',
    place        int NOT NULL,
    PRIMARY KEY (exec_user_id, user_id)
);
