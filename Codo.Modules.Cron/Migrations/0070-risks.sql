-- High-risk rules that found the job's command. A job that needs a second person is paused, and held_by cannot release it; released is a digest of the command
-- that was released, so that an edit of anything else asks nobody again.
ALTER TABLE cron.job ADD COLUMN risks jsonb NOT NULL DEFAULT '[]', ADD COLUMN held_by bigint, ADD COLUMN held_zh text NOT NULL DEFAULT '',
    ADD COLUMN held_en text NOT NULL DEFAULT '', ADD COLUMN released text NOT NULL DEFAULT '';
