-- Of those who were told, the names of people whose id is not known: a name decides for these alone.
ALTER TABLE alerts.task_monitor ADD told_by_name text[] NOT NULL DEFAULT '{}';
UPDATE alerts.task_monitor SET told_by_name = told_names WHERE told_ids = '{}';
