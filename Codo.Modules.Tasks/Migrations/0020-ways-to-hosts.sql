-- How a host is reached, and with what: bastions, certificates, and host keys that are known before the first contact.

ALTER TABLE tasks.scheduler_execute_user
    -- The address of the machine when this user is entered as a bastion; empty when it is none.
    ADD COLUMN ssh_host    text NOT NULL DEFAULT '',
    -- The bastion over which this user's hosts are reached; null when they are reached directly.
    ADD COLUMN via_id      bigint CONSTRAINT scheduler_execute_user_via REFERENCES tasks.scheduler_execute_user (id),
    -- An OpenSSH certificate of the key, one line; empty when there is none. It is public.
    ADD COLUMN certificate text NOT NULL DEFAULT '',
    ADD CHECK (via_id <> id);
CREATE INDEX scheduler_execute_user_via_id ON tasks.scheduler_execute_user (via_id) WHERE via_id IS NOT NULL;

-- One address may be another machine behind another bastion.
ALTER TABLE tasks.host_keys
    -- The bastions on the way, host:port from the first to the last, with commas between; empty when the host is reached directly.
    ADD COLUMN path     text NOT NULL DEFAULT '',
    -- Who gave the key before the first contact; empty when it was pinned by that contact.
    ADD COLUMN added_by text NOT NULL DEFAULT '',
    DROP CONSTRAINT host_keys_pkey,
    ADD PRIMARY KEY (path, host, port);
