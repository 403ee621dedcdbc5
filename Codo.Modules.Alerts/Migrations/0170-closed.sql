-- runs beside: 0.2.0
-- What a person closed while it still ran or waited: asked for every second while it does.
CREATE INDEX task_monitor_closed ON alerts.task_monitor (fingerprint, resolved_at) WHERE state = 'resolved' AND ending = 'person';
