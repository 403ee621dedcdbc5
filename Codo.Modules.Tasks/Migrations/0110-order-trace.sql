-- runs beside: 0.2.0
-- The span of the request that submitted the order (W3C Trace Context): its steps belong to the same trace.
ALTER TABLE tasks.scheduler_task_list ADD traceparent text;
