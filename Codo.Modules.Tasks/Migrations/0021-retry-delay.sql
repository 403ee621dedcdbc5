-- Seconds before the first retry of a step; each further one waits twice as long.
ALTER TABLE tasks.scheduler_temp_details ADD COLUMN retry_delay int NOT NULL DEFAULT 1 CHECK (retry_delay >= 0);
ALTER TABLE tasks.scheduler_task_info ADD COLUMN retry_delay int NOT NULL DEFAULT 1 CHECK (retry_delay >= 0);
