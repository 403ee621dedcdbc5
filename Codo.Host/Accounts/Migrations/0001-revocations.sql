-- Who may come in. First: signed tokens that are taken back before their end.
CREATE SCHEMA accounts;

-- Append-only, so that a node knows by the number of rows whether there is one that it has not read.
CREATE TABLE accounts.revocation (
    revocation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- One token, or all of a person that were issued up to the moment. A token tells when it was issued in whole seconds.
    jti           text CHECK (jti <> ''),
    user_id       bigint CHECK (user_id > 0),
    revoked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    by_id         bigint NOT NULL,
    reason        text NOT NULL DEFAULT '',
    CHECK ((jti IS NULL) <> (user_id IS NULL))
);
