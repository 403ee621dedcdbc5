-- runs beside: 0.2.0
-- A node whose clock is more than 30 s off this server's begins nothing (Node.MostSkew), so it is none that may take new work.
CREATE OR REPLACE VIEW platform.live_node AS
    SELECT name, roles, tags, labels FROM platform.node
    WHERE stopped_at IS NULL AND drained_at IS NULL AND fenced < incarnation AND heartbeat_at >= clock_timestamp() - interval '10 seconds'
        AND clock_skew BETWEEN interval '-30 seconds' AND interval '30 seconds';
