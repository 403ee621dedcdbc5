-- What runs on a node's own machine names the user that it runs as. An installation that has run before goes on under the user that its host has: the host writes that name into
-- all that is there at its first start (stamp.run_as), and says so until a person has looked (look.run_as).
INSERT INTO platform.setting (key, value) SELECT 'stamp.run_as', 'due' WHERE EXISTS (SELECT FROM platform.node) ON CONFLICT (key) DO NOTHING;
