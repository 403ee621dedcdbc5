-- runs beside: 0.2.0
-- The list of silences, those that are in force, and those that are past their retention.
CREATE INDEX silence_ends ON alerts.silence (ends_at DESC, silence_id DESC);
