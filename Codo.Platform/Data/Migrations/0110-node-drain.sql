-- runs beside: 0.2.0
-- A drained node takes no new work; what runs there goes on. It stays drained over restarts until somebody takes that back.
ALTER TABLE platform.node ADD drained_at timestamptz, ADD drained_by text NOT NULL DEFAULT '', ADD CHECK ((drained_at IS NULL) = (drained_by = ''));
