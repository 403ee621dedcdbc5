-- runs beside: 0.2.0
-- Whom the end of a silence tells of an incident that opened in it: [{"Name": "ann", "Id": 7}].
ALTER TABLE alerts.task_monitor ADD COLUMN held_people jsonb NOT NULL DEFAULT '[]';
