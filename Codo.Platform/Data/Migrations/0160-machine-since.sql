-- runs beside: 0.2.0
-- The incarnation with which a node came to the machine that it is on: what it ran before that ran elsewhere, and may run there still. Of what came before
-- this migration that is not known; what is under way now runs where its node is.
ALTER TABLE platform.node ADD machine_since bigint NOT NULL DEFAULT 0;
UPDATE platform.node SET machine_since = incarnation;
