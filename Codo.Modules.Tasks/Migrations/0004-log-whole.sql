-- Whether the database has every line of an attempt that has ended: said by the node in whose spool they lay. Until then a reader on another node cannot know
-- whether there is more.
ALTER TABLE tasks.attempt ADD COLUMN log_whole boolean NOT NULL DEFAULT false;
-- What ended before this was said is taken to be whole.
UPDATE tasks.attempt SET log_whole = true WHERE ended_at IS NOT NULL;
CREATE INDEX attempt_log ON tasks.attempt (node) WHERE NOT log_whole;
