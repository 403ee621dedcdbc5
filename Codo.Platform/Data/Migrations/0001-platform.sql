-- What every module stands on: settings that all nodes share, the nodes themselves, and who changed what.
CREATE SCHEMA IF NOT EXISTS platform;

CREATE TABLE platform.setting (
    key   text PRIMARY KEY,
    value text NOT NULL
);

CREATE SEQUENCE platform.incarnation;

-- One row a node. A node is dead when its heartbeat is older than the lease, by this server's clock.
CREATE TABLE platform.node (
    name         text PRIMARY KEY,
    incarnation  bigint NOT NULL,
    machine      text NOT NULL,
    boot_id      text NOT NULL,
    process_id   int NOT NULL,
    version      text NOT NULL,
    address      text NOT NULL DEFAULT '',
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    clock_skew   interval NOT NULL DEFAULT '0',
    stopped_at   timestamptz,
    -- The newest incarnation that was declared dead (its heartbeat is refused from then on), and the newest whose rows under way were settled.
    fenced       bigint NOT NULL DEFAULT 0,
    settled      bigint NOT NULL DEFAULT 0,
    CHECK (settled <= fenced AND fenced <= incarnation)
);

-- Append-only: who did what to which object, from where; before and after with secrets masked.
CREATE TABLE platform.audit (
    audit_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id    bigint NOT NULL,
    username   text NOT NULL,
    nickname   text NOT NULL,
    address    text NOT NULL,
    request_id text NOT NULL,
    action     text NOT NULL,
    kind       text NOT NULL,
    object_id  text NOT NULL,
    before     jsonb,
    after      jsonb
);
CREATE INDEX audit_object ON platform.audit (kind, object_id, audit_id);

CREATE FUNCTION platform.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'platform.audit is append-only';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON platform.audit
    FOR EACH ROW EXECUTE FUNCTION platform.refuse_change();
