-- Rows that are changed again and again keep room beside them, so that a change stays on its page and leaves its indexes alone, and are vacuumed early.
ALTER TABLE tasks.lane SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE tasks.scheduler_task_info SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE tasks.attempt SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE tasks.scheduler_task_list SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE tasks.advance SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE tasks.dashboard_job SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Statistics of orders, and their retention.
CREATE INDEX scheduler_task_list_ended_at ON tasks.scheduler_task_list (ended_at) WHERE schedule = 'OK';
