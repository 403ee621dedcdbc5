-- Incidents of jobs that do not read (broken), and of Codo itself (system: its clock, its outbox, an order that does not read).
ALTER TABLE alerts.task_monitor DROP CONSTRAINT task_monitor_kind_check;
ALTER TABLE alerts.task_monitor ADD CONSTRAINT task_monitor_kind_check CHECK (kind IN ('failed', 'skipped', 'missed', 'waiting', 'overlong', 'broken', 'undeliverable', 'system'));
ALTER TABLE alerts.rule DROP CONSTRAINT rule_source_check;
ALTER TABLE alerts.rule ADD CONSTRAINT rule_source_check CHECK (source IN ('', 'job', 'order', 'codo'));
ALTER TABLE alerts.silence DROP CONSTRAINT silence_source_check;
ALTER TABLE alerts.silence ADD CONSTRAINT silence_source_check CHECK (source IN ('', 'job', 'order', 'codo'));

-- A job's success looks for the incidents that wait for it, each time.
CREATE INDEX task_monitor_pending ON alerts.task_monitor USING gin (pending) WHERE state <> 'resolved';

-- A NULL among names or ids reads as nothing that code expects: one such row kept every alert from being told. NOT VALID: rows of the version before are not looked at.
ALTER TABLE alerts.rule ADD CONSTRAINT rule_whole CHECK (array_position(kinds, NULL) IS NULL AND array_position(people, NULL) IS NULL AND array_position(channels, NULL) IS NULL) NOT VALID;
ALTER TABLE alerts.task_monitor ADD CONSTRAINT task_monitor_whole
    CHECK (array_position(subjects, NULL) IS NULL AND array_position(pending, NULL) IS NULL AND array_position(told_names, NULL) IS NULL AND array_position(told_ids, NULL) IS NULL) NOT VALID;
ALTER TABLE alerts.delivery ADD CONSTRAINT delivery_whole CHECK (array_position(people, NULL) IS NULL) NOT VALID;
