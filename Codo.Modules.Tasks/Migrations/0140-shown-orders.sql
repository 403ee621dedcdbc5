-- runs beside: 0.2.0
-- The dashboard's background job of an order that has ended; of one that goes on tasks.dashboard_job has it.
ALTER TABLE tasks.scheduler_task_list ADD COLUMN dashboard_job text NOT NULL DEFAULT '';
