-- interpreter stands for a first line #! of the command; '' is none. pty: the command runs on a terminal of its own.
ALTER TABLE tasks.scheduler_temp_details ADD pty boolean NOT NULL DEFAULT false, ADD interpreter text NOT NULL DEFAULT '';
ALTER TABLE tasks.scheduler_task_info ADD pty boolean NOT NULL DEFAULT false, ADD interpreter text NOT NULL DEFAULT '';

-- What commands on its hosts are handed over in, and what they write.
ALTER TABLE tasks.scheduler_execute_user ADD encoding text NOT NULL DEFAULT 'utf-8';
