-- The search in ended orders goes by the beginning of any of these columns: an index for each.
CREATE INDEX scheduler_task_list_search_id ON tasks.scheduler_task_list (CAST(list_id AS text) text_pattern_ops) WHERE schedule = 'OK';
CREATE INDEX scheduler_task_list_search_temp ON tasks.scheduler_task_list (CAST(temp_id AS text) text_pattern_ops) WHERE schedule = 'OK';
CREATE INDEX scheduler_task_list_search_status ON tasks.scheduler_task_list (CAST(status AS text) text_pattern_ops) WHERE schedule = 'OK';
CREATE INDEX scheduler_task_list_search_type ON tasks.scheduler_task_list (left(task_type, 200) text_pattern_ops) WHERE schedule = 'OK';
CREATE INDEX scheduler_task_list_search_creator ON tasks.scheduler_task_list (left(creator, 200) text_pattern_ops) WHERE schedule = 'OK';
CREATE INDEX scheduler_task_list_search_executor ON tasks.scheduler_task_list (left(executor, 200) text_pattern_ops) WHERE schedule = 'OK';
CREATE INDEX scheduler_task_list_search_name ON tasks.scheduler_task_list (left(task_name, 200) text_pattern_ops) WHERE schedule = 'OK';
