-- Tokens of the admin API and the Profile API.
-- One block, so that it is one statement (docs/design.md, scaling out).
DO $migration$
BEGIN
    SET LOCAL search_path TO muster;

    CREATE TABLE api_tokens (
        token_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name         text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'),
        token_hash   bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
        scope        text NOT NULL CHECK (scope IN ('read', 'write')),
        created_at   timestamptz NOT NULL,
        last_used_at timestamptz
    );
    COMMENT ON TABLE api_tokens IS 'Who may use the admin API and the Profile API. Tokens are known by a hash only.';
    COMMENT ON COLUMN api_tokens.token_id IS 'Number of the token.';
    COMMENT ON COLUMN api_tokens.name IS 'Who or what uses it, for people.';
    COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token, which has 130 random bits.';
    COMMENT ON COLUMN api_tokens.scope IS 'read, or write, which may read too.';
    COMMENT ON COLUMN api_tokens.created_at IS 'When it was made.';
    COMMENT ON COLUMN api_tokens.last_used_at IS 'When it was used last, to a minute; null: never.';

    CREATE VIEW inspect.api_tokens AS
    SELECT t.name, t.scope, t.created_at, t.last_used_at FROM muster.api_tokens t;
    COMMENT ON VIEW inspect.api_tokens IS 'Who may use the admin API and the Profile API, without the tokens.';
    COMMENT ON COLUMN inspect.api_tokens.name IS 'Who or what uses it, for people.';
    COMMENT ON COLUMN inspect.api_tokens.scope IS 'read, or write, which may read too.';
    COMMENT ON COLUMN inspect.api_tokens.created_at IS 'When it was made.';
    COMMENT ON COLUMN inspect.api_tokens.last_used_at IS 'When it was used last, to a minute; null: never.';
END
$migration$;
