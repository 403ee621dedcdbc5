-- Every template and execute-user is in a space; 1 is default, which holds everything that was there. An order keeps the space that its template was in.
ALTER TABLE tasks.scheduler_temp_list ADD space_id bigint NOT NULL DEFAULT 1;
ALTER TABLE tasks.scheduler_execute_user ADD space_id bigint NOT NULL DEFAULT 1;
ALTER TABLE tasks.scheduler_task_list ADD space_id bigint NOT NULL DEFAULT 1;
CREATE INDEX scheduler_temp_list_space ON tasks.scheduler_temp_list (space_id);
