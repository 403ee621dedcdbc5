-- Sign-ins that were seen: each token with a jti that was accepted, other than access tokens, until it expires.
CREATE TABLE accounts.session (
    session_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint NOT NULL CHECK (user_id > 0),
    jti        text NOT NULL CHECK (jti <> ''),
    -- Null for a token that does not say when it was issued.
    issued_at  timestamptz,
    expires_at timestamptz NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of the last request that was recorded.
    last_from  text NOT NULL DEFAULT '',
    user_agent text NOT NULL DEFAULT '',
    UNIQUE (user_id, jti)
);
CREATE INDEX session_expires ON accounts.session (expires_at);

-- A revocation of a person may leave the one session alone that asked for it. A node of the version before does not know the column and ends that session too.
ALTER TABLE accounts.revocation ADD COLUMN except_jti text CHECK (except_jti IS NULL OR user_id IS NOT NULL);
