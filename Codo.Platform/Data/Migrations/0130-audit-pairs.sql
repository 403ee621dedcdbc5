-- runs beside: 0.2.0
-- Two filters together: what else is asked for is read in the index, so that a person's lines that do not match are passed over without a look at their rows.
-- A person and an action have an index of their own, since a script's account may have a million lines and none of that action.
DROP INDEX platform.audit_person;
DROP INDEX platform.audit_name;
DROP INDEX platform.audit_kind;
CREATE INDEX audit_person ON platform.audit (user_id, at, audit_id, action, kind, result);
CREATE INDEX audit_person_action ON platform.audit (user_id, action, at, audit_id);
CREATE INDEX audit_name ON platform.audit (username, at, audit_id, action, kind, result);
CREATE INDEX audit_kind ON platform.audit (kind, at, audit_id, action, result);
