-- runs beside: 0.2.0
-- A node takes a part of the cluster's work (its roles), and what a selector over names and tags lets it take. The version before takes everything.
ALTER TABLE platform.node ADD roles text[] NOT NULL DEFAULT '{web,cron,orders,logs,alerts}', ADD tags text[] NOT NULL DEFAULT '{}',
    ADD labels tsvector GENERATED ALWAYS AS (array_to_tsvector(tags || name)) STORED;

-- Whether labels fit a selector, read as a tsquery: both have &, |, ! and parentheses, so that only terms are quoted. The host stores no term with a quote or a
-- backslash. A selector that does not read, of a damaged row, fits nobody and holds up no claim of others.
CREATE FUNCTION platform.fits(labels tsvector, selector text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN selector = '' OR labels @@ CAST(regexp_replace(selector, '[^ &|!()]+', '''\&''', 'g') AS tsquery);
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;

-- The nodes that may take new work now: they have joined, hold their lease (10 s) and are not drained.
CREATE VIEW platform.live_node AS
    SELECT name, roles, tags, labels FROM platform.node
    WHERE stopped_at IS NULL AND drained_at IS NULL AND fenced < incarnation AND heartbeat_at >= clock_timestamp() - interval '10 seconds';

-- Whether a node that may take new work of a role fits a selector.
CREATE FUNCTION platform.has_node(wanted text, selector text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM platform.live_node n WHERE wanted = ANY (n.roles) AND platform.fits(n.labels, selector))
$$;
