-- Words of its steps' arguments that orders may replace, beside those that the library names.
ALTER TABLE tasks.scheduler_temp_list ADD declared text[] NOT NULL DEFAULT '{}';

-- An installation that has run before keeps the original's rule, that any word of args is a parameter (Codo:Tasks:AnyWord), and counts pending orders from now.
INSERT INTO platform.setting (key, value) SELECT k.key, k.value
FROM (VALUES ('keep.tasks.any_word', 'true'), ('keep.tasks.pending_from', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))) AS k(key, value)
WHERE EXISTS (SELECT FROM platform.node) ON CONFLICT (key) DO NOTHING;

-- watchers holds the names in associated_user that come without an id. Those with one, "<id>,,,<nickname>", are here, and their names for whoever writes to them.
ALTER TABLE tasks.scheduler_task_list ADD watcher_ids bigint[] NOT NULL DEFAULT '{}', ADD watcher_names text[] NOT NULL DEFAULT '{}',
    ADD CHECK (cardinality(watcher_ids) = cardinality(watcher_names));

-- Until now the names of those who may approve, and the submitter's, were among the watchers, though their ids are known: whoever had such a nickname saw the order.
CREATE FUNCTION pg_temp.people(text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT p #>> '{}' FROM jsonb_path_query(CAST($1 AS jsonb) - 'admin', 'strict $.** ? (@.type() == "string")') AS p;
EXCEPTION WHEN OTHERS THEN
    -- Not an object: an import may have brought anything. Nobody is named there.
    RETURN;
END $$;
UPDATE tasks.scheduler_task_list o SET watchers = ARRAY(SELECT DISTINCT who FROM pg_temp.people(o.associated_user) AS who WHERE who <> '' AND who !~ '^[0-9]{1,18},,,' ORDER BY who),
    watcher_ids = ARRAY(SELECT CAST(split_part(who, ',,,', 1) AS bigint) FROM pg_temp.people(o.associated_user) AS who WHERE who ~ '^[0-9]{1,18},,,' ORDER BY who),
    watcher_names = ARRAY(SELECT split_part(who, ',,,', 2) FROM pg_temp.people(o.associated_user) AS who WHERE who ~ '^[0-9]{1,18},,,' ORDER BY who)
WHERE o.creator_id IS NOT NULL AND o.watchers <> '{}';
