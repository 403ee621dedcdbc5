-- What everyone signed in has in the space default is decided once by the first host that starts after an upgrade: viewer where a list of operators is set (stamp.default_role).
INSERT INTO platform.setting (key, value) SELECT 'stamp.default_role', 'due' WHERE EXISTS (SELECT FROM platform.node) ON CONFLICT (key) DO NOTHING;
