-- runs beside: 0.2.0
-- Whether what asked for the token was a superuser's: one that was not makes no superuser's token, whatever its person is now or becomes. Those of before keep
-- what they had.
ALTER TABLE accounts.access_token ADD COLUMN of_superuser boolean NOT NULL DEFAULT true;
ALTER TABLE accounts.terminal_login ADD COLUMN of_superuser boolean NOT NULL DEFAULT true;
