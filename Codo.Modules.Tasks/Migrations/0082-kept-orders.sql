-- Orders were kept for ever before: an installation that has some counts their retention from its upgrade, so that nothing disappears that day.
INSERT INTO platform.setting (key, value)
SELECT 'keep.tasks.orders_from', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
WHERE EXISTS (SELECT FROM tasks.scheduler_task_list) ON CONFLICT (key) DO NOTHING;
