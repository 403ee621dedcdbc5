-- tasks.news becomes the outbox that all modules share.
INSERT INTO platform.outbox (at, stream, kind, payload)
SELECT at, 'order:' || list_id, 'orders.situation', jsonb_build_object('list_id', list_id, 'situation', situation) FROM tasks.news ORDER BY news_id;
DROP TABLE tasks.news;

-- An order that cannot be advanced (its rows do not read) is set apart with the reason and tried again each minute; all others go on.
ALTER TABLE tasks.scheduler_task_list ADD broken_zh text NOT NULL DEFAULT '', ADD broken_en text NOT NULL DEFAULT '';
CREATE INDEX scheduler_task_list_broken ON tasks.scheduler_task_list (list_id) WHERE broken_en <> '';

-- A NULL among ids or names reads as nothing that code expects. NOT VALID: rows of the version before are not looked at.
ALTER TABLE tasks.scheduler_task_list ADD CONSTRAINT scheduler_task_list_whole CHECK (array_position(approver_ids, NULL) IS NULL AND array_position(watchers, NULL) IS NULL) NOT VALID;
