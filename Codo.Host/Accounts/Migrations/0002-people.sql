-- Everyone whose token was accepted, and everyone who has an account here.
CREATE TABLE accounts.person (
    -- The token's user_id. Those of codo-admin are small; Codo's own begin at 1,000,000,000.
    user_id      bigint PRIMARY KEY CHECK (user_id > 0),
    username     text NOT NULL,
    nickname     text NOT NULL DEFAULT '',
    email        text NOT NULL DEFAULT '',
    is_superuser boolean NOT NULL DEFAULT false,
    kind         text NOT NULL CHECK (kind IN ('codo-admin', 'own', 'oidc')),
    -- Names and the superuser's mark are Codo's own to say (an account with a password, a sign-in by OpenID Connect); false: they are those of the newest token.
    managed      boolean NOT NULL DEFAULT false,
    -- When the token was issued that names and mark are from.
    facts_at     timestamptz,
    first_seen   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen    timestamptz,
    -- Refused with any token.
    disabled     boolean NOT NULL DEFAULT false
);
CREATE INDEX person_name ON accounts.person (lower(username), user_id);
CREATE INDEX person_disabled ON accounts.person (user_id) WHERE disabled;

-- Raised by whatever nodes keep in memory of this schema, in the transaction of the change: the row's lock brings the changes into one order.
CREATE TABLE accounts.generation (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    number bigint NOT NULL
);
INSERT INTO accounts.generation (number) VALUES (0);

-- A revocation of a person may leave access tokens alone (a new password), and one of a token need not be kept after the token's end.
ALTER TABLE accounts.revocation ADD COLUMN sessions_only boolean NOT NULL DEFAULT false, ADD COLUMN until timestamptz;
