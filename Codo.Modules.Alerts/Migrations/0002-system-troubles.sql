-- Incidents of jobs that do not read (broken), and of Codo itself (system: its clock, its outbox, an order that does not read).
ALTER TABLE alerts.task_monitor DROP CONSTRAINT task_monitor_kind_check;
ALTER TABLE alerts.task_monitor ADD CONSTRAINT task_monitor_kind_check CHECK (kind IN ('failed', 'skipped', 'missed', 'waiting', 'overlong', 'broken', 'undeliverable', 'system'));
ALTER TABLE alerts.rule DROP CONSTRAINT rule_source_check;
ALTER TABLE alerts.rule ADD CONSTRAINT rule_source_check CHECK (source IN ('', 'job', 'order', 'codo'));
ALTER TABLE alerts.silence DROP CONSTRAINT silence_source_check;
ALTER TABLE alerts.silence ADD CONSTRAINT silence_source_check CHECK (source IN ('', 'job', 'order', 'codo'));

-- A job's success looks for the incidents that wait for it, each time.
CREATE INDEX task_monitor_pending ON alerts.task_monitor USING gin (pending) WHERE state <> 'resolved';
