-- runs beside: 0.2.0
-- How many failed and interrupted hosts of an order other modules were last told of.
ALTER TABLE tasks.scheduler_task_list ADD COLUMN told_hosts int NOT NULL DEFAULT 0;
UPDATE tasks.scheduler_task_list o SET told_hosts = (SELECT count(*) FROM tasks.lane l WHERE l.list_id = o.list_id AND l.state IN ('failed', 'interrupted'))
    WHERE o.schedule = 'start' AND o.told IN (4, 6);
