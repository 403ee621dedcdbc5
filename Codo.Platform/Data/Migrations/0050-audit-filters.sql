-- Each filter of the audit is an index in the order of its pages: an object is asked for without its kind as well, and a kind without an object.
DROP INDEX platform.audit_object;
CREATE INDEX audit_object ON platform.audit (object_id, at, audit_id);
CREATE INDEX audit_kind ON platform.audit (kind, at, audit_id);
