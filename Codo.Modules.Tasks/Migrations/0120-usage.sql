-- runs beside: 0.2.0
-- What each attempt on Codo's own machine used, its whole process tree; NULL is what was not measured. While it runs its node stores the figures every few
-- seconds, so that other nodes show them and an attempt whose node dies keeps them.
ALTER TABLE tasks.attempt ADD COLUMN cpu_ms bigint, ADD COLUMN peak_memory_bytes bigint, ADD COLUMN read_bytes bigint, ADD COLUMN written_bytes bigint,
    -- rusage, sampled or both.
    ADD COLUMN usage_source text,
    -- When the figures of an attempt under way were taken.
    ADD COLUMN usage_at timestamptz;
