-- runs beside: 0.2.0
-- Whether something is kept of a space that is deleted: runs of its deleted jobs, ended orders, incidents. Whoever sees every space that is left does not see
-- that. Found out when a space goes, so that no change of rights has to look through the history.
CREATE FUNCTION accounts.keeps_of(gone bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM cron.deleted_job WHERE space_id = gone) OR EXISTS (SELECT FROM tasks.deleted_template WHERE space_id = gone)
        OR EXISTS (SELECT FROM tasks.scheduler_task_list WHERE space_id = gone) OR EXISTS (SELECT FROM alerts.task_monitor WHERE space_id = gone)
$$;

CREATE FUNCTION accounts.note_former_space() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF accounts.keeps_of(OLD.space_id) THEN
        INSERT INTO platform.setting (key, value) VALUES ('accounts.former_spaces', 'true') ON CONFLICT (key) DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER former_space AFTER DELETE ON accounts.space FOR EACH ROW EXECUTE FUNCTION accounts.note_former_space();

-- Spaces that went before: numbers that were given and are there no more.
INSERT INTO platform.setting (key, value)
SELECT 'accounts.former_spaces', 'true'
WHERE EXISTS (SELECT FROM generate_series(1, pg_sequence_last_value(CAST(pg_get_serial_sequence('accounts.space', 'space_id') AS regclass))) AS number
    WHERE number NOT IN (SELECT space_id FROM accounts.space) AND accounts.keeps_of(number))
ON CONFLICT (key) DO NOTHING;
