-- runs beside: 0.2.0
-- Who last changed what the job runs: its command, interpreter or variables. That person cannot release it where a high-risk rule asks for a second one;
-- pausing it, or editing anything else, makes nobody its writer. NULL: not changed since this column is there, and the newest version's author counts.
ALTER TABLE cron.job ADD COLUMN writer_id bigint;
ALTER TABLE cron.deleted_job ADD COLUMN writer_id bigint;
UPDATE cron.job j SET writer_id = v.by_id FROM cron.job_version v WHERE v.job = j.id AND v.version = j.version;
