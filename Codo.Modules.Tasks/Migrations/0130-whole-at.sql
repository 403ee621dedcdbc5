-- runs beside: 0.2.0
-- When the log of an attempt was seen to be whole: a node that comes back brings lines of attempts that ended long ago.
ALTER TABLE tasks.attempt ADD COLUMN whole_at timestamptz;

-- A sealed row of one empty line has the empty text, of which string_to_array makes no line at all.
CREATE OR REPLACE VIEW tasks.sealed_line AS
SELECT l.log_id, s.log_key, s.list_id, s.task_level, s.sched_id, s.attempt, l.line, l.continues, l.log_info, l.exec_time, l.log_time,
    s.first_line, s.last_line, s.lines, s.since, s.until, s.written, s.line_steps IS NOT NULL AS has_gaps, s.content
FROM tasks.sealed_log s CROSS JOIN LATERAL (
    SELECT s.first_id + COALESCE(sum(u.id_step) OVER upto, u.place - 1) AS log_id,
        s.first_line + COALESCE(sum(u.line_step) OVER upto, u.place - 1) AS line,
        COALESCE(u.place = ANY (s.continued), false) AS continues,
        replace(replace(COALESCE(u.text, ''), E'\x01n', E'\n'), E'\x01e', E'\x01') AS log_info,
        s.first_time + COALESCE(sum(u.time_step) OVER upto, 0) * interval '1 microsecond' AS exec_time,
        s.first_written + COALESCE(sum(u.written_step) OVER upto, 0) * interval '1 microsecond' AS log_time
    FROM unnest(CASE WHEN s.content = '' THEN ARRAY[''] ELSE string_to_array(s.content, E'\n') END, s.line_steps, s.id_steps, s.time_steps, s.written_steps)
        WITH ORDINALITY AS u (text, line_step, id_step, time_step, written_step, place)
    WINDOW upto AS (ORDER BY u.place)) l;
