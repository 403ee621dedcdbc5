-- runs beside: 0.2.0
-- Attempts that another machine has settled while their node was away: whether the command still runs is for that node to find out when it is back.
ALTER TABLE cron.attempt ADD COLUMN left_unknown boolean;
CREATE INDEX attempt_left_unknown ON cron.attempt (node) WHERE left_unknown;
