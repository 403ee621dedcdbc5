-- runs beside: 0.2.0
-- Whom the end of a silence tells of an incident that opened in it: [{"Name": "ann", "Id": 7}].
ALTER TABLE alerts.task_monitor ADD COLUMN held_people jsonb NOT NULL DEFAULT '[]';
-- What opened in a silence before: at least the channels of its rule hear of it.
UPDATE alerts.task_monitor SET escalate_at = clock_timestamp() WHERE state = 'open' AND told_at IS NULL AND silence_id IS NOT NULL AND rule_id IS NOT NULL;
