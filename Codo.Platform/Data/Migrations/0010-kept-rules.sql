-- An installation that has run before keeps what its people rely on, until somebody sets the new rule: quotas are off (see Codo:Quotas).
INSERT INTO platform.setting (key, value) SELECT 'keep.quotas', 'off' WHERE EXISTS (SELECT FROM platform.node) ON CONFLICT (key) DO NOTHING;
