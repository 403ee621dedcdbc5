-- runs beside: 0.2.0
-- What a binary reads of migrations that only a newer one knows: whether it may run on a schema that has them.
CREATE TABLE platform.migration (
    -- As in platform.schema_version.
    script text PRIMARY KEY,
    -- The oldest version that may run beside it, such as 0.2.0.
    oldest text NOT NULL
);
