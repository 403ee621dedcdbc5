-- runs beside: 0.2.0
-- Sign-ins of a terminal that somebody has approved in a browser and that the terminal has not finished yet. They last minutes.
CREATE TABLE accounts.terminal_login (
    -- SHA-256 of the grant, which the browser takes to the terminal.
    digest      text PRIMARY KEY,
    -- SHA-256 of the verifier, which has never left the terminal.
    challenge   text NOT NULL,
    user_id     bigint NOT NULL REFERENCES accounts.person,
    -- Of the token that it becomes.
    name        text NOT NULL,
    scopes      text[] NOT NULL,
    days        int NOT NULL CHECK (days > 0),
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz NOT NULL
);
CREATE INDEX terminal_login_expires ON accounts.terminal_login (expires_at);
