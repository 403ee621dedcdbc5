-- People who sign in here with a password.
CREATE TABLE accounts.own_account (
    user_id       bigint PRIMARY KEY REFERENCES accounts.person,
    -- What is typed at sign-in, in lower case: one name is one account, however it is written.
    name          text NOT NULL UNIQUE,
    -- As the hasher of ASP.NET Core Identity writes it.
    password_hash text NOT NULL,
    password_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The key of the second factor, sealed. It is in force once a first code has been given.
    otp_key       bytea,
    otp_on        boolean NOT NULL DEFAULT false,
    -- The time step of the last code that was taken: no code is good twice.
    otp_step      bigint NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX revocation_person ON accounts.revocation (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX revocation_until ON accounts.revocation (until) WHERE until IS NOT NULL;
