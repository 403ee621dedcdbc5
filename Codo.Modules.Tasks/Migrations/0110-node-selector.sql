-- runs beside: 0.2.0
-- Which nodes may run a step, as a selector over their names and tags (platform.fits); empty is every node.
ALTER TABLE tasks.scheduler_temp_details ADD node_selector text NOT NULL DEFAULT '';
ALTER TABLE tasks.scheduler_task_info ADD node_selector text NOT NULL DEFAULT '';

-- Whether any step of the lane has a selector: the claim looks at the steps of no other lane. What no live node could take for a while is marked, and its next
-- step says so.
ALTER TABLE tasks.lane ADD is_selective boolean NOT NULL DEFAULT false, ADD unplaced boolean NOT NULL DEFAULT false;
CREATE INDEX lane_selective ON tasks.lane (lane_id) WHERE is_selective AND state = 'ready';
CREATE INDEX lane_unplaced ON tasks.lane (lane_id) WHERE unplaced;

CREATE OR REPLACE FUNCTION tasks.template_content(template bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'steps', (SELECT COALESCE(jsonb_agg(jsonb_build_object('id', d.id, 'group', d."group", 'level', d.level, 'command_name', d.command_name,
            'command', d.command, 'args', d.args, 'trigger', d.trigger, 'exec_user', d.exec_user, 'force_host', d.force_host, 'timeout', d.timeout,
            'retries', d.retries, 'retry_delay', d.retry_delay, 'on_error', d.on_error, 'pty', d.pty, 'interpreter', d.interpreter, 'run_as', d.run_as,
            'node', d.node_selector)
            ORDER BY d."group", d.level, d.id), '[]') FROM tasks.scheduler_temp_details d WHERE d.temp_id = t.temp_id),
        'groups', (SELECT COALESCE(jsonb_agg(jsonb_build_object('group', g."group", 'batch', g.batch, 'batch_pause', g.batch_pause,
            'max_failures', g.max_failures, 'next', g.next) ORDER BY g."group"), '[]') FROM tasks.scheduler_temp_group g WHERE g.temp_id = t.temp_id),
        'temp_args', to_jsonb(t.declared), 'space_id', t.space_id)
    FROM tasks.scheduler_temp_list t WHERE t.temp_id = $1
$$;
