-- An index for each filter of the lists of incidents and deliveries, in the order of the list.
CREATE INDEX task_monitor_state ON alerts.task_monitor (state, id DESC);
CREATE INDEX task_monitor_source ON alerts.task_monitor (source, id DESC);
CREATE INDEX task_monitor_kind ON alerts.task_monitor (kind, id DESC);
CREATE INDEX task_monitor_list ON alerts.task_monitor (list_id, id DESC) WHERE list_id IS NOT NULL;
CREATE INDEX task_monitor_subjects ON alerts.task_monitor USING gin (subjects);
CREATE INDEX delivery_list_state ON alerts.delivery (state, delivery_id DESC);
CREATE INDEX delivery_list_reason ON alerts.delivery (reason, delivery_id DESC);
CREATE INDEX delivery_list_channel ON alerts.delivery (channel_id, delivery_id DESC);
