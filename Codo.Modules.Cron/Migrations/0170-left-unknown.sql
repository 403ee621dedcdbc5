-- runs beside: 0.2.0
-- Attempts that another machine has settled while their node was away: whether the command still runs is for that node to find out when it is back.
CREATE TABLE cron.left_unknown (
    node       text NOT NULL,
    log_id     bigint NOT NULL,
    nominal_at timestamptz NOT NULL,
    attempt    int NOT NULL,
    PRIMARY KEY (node, log_id, attempt)
);
