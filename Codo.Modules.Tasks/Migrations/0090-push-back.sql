-- A person pushes an order back: it awaits approval still, the approvals that it had no longer count, and its submitter reads why.
ALTER TABLE tasks.approval DROP CONSTRAINT approval_verdict_check;
ALTER TABLE tasks.approval ADD CONSTRAINT approval_verdict_check CHECK (verdict IN ('approve', 'reject', 'push_back', 'break_glass'));

-- The orders of a template, newest first.
CREATE INDEX scheduler_task_list_template ON tasks.scheduler_task_list (temp_id, list_id DESC);
