-- The user of the operating system that its command runs as; empty (an import) is Codo:RunAs.
ALTER TABLE cron.job ADD run_as text NOT NULL DEFAULT '';
