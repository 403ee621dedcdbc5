-- Rules, silences and channels of a space are for its jobs and orders alone; those in default (1) are for all. An incident keeps the space of its job or order.
ALTER TABLE alerts.rule ADD space_id bigint NOT NULL DEFAULT 1;
ALTER TABLE alerts.silence ADD space_id bigint NOT NULL DEFAULT 1;
ALTER TABLE alerts.channel ADD space_id bigint NOT NULL DEFAULT 1;
ALTER TABLE alerts.task_monitor ADD space_id bigint NOT NULL DEFAULT 1;
