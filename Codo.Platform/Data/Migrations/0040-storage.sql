-- How many bytes each kind of data took at the end of each day: what growth is told from.
CREATE TABLE platform.storage_sample (
    day   date NOT NULL,
    kind  text NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (day, kind)
);
-- What is written and deleted all the time is vacuumed early.
ALTER TABLE platform.outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
ALTER TABLE platform.node SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
