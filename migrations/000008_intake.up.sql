-- What operators see of calls that come in, and whose calls are not taken.
SET LOCAL search_path TO muster;

CREATE UNLOGGED TABLE recent_calls (
    source_id   bigint NOT NULL,
    call_id     bigint GENERATED ALWAYS AS IDENTITY,
    received_at timestamptz NOT NULL,
    message_id  text NOT NULL,
    type        text NOT NULL,
    name        text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('accepted', 'duplicate', 'suppressed', 'skipped', 'rejected')),
    code        text NOT NULL,
    reason      text NOT NULL,
    call        text NOT NULL,
    ids         jsonb NOT NULL,
    PRIMARY KEY (source_id, call_id)
);
COMMENT ON TABLE recent_calls IS 'The debugger: the latest calls of each source with what became of them, 500 a source. Gone after a crash of the database.';
COMMENT ON COLUMN recent_calls.source_id IS 'The source.';
COMMENT ON COLUMN recent_calls.call_id IS 'Order of arrival.';
COMMENT ON COLUMN recent_calls.received_at IS 'When it was received.';
COMMENT ON COLUMN recent_calls.message_id IS 'Its id.';
COMMENT ON COLUMN recent_calls.type IS 'identify, track, page, screen, group, alias, or what it said it was.';
COMMENT ON COLUMN recent_calls.name IS 'Name of the event, page or screen.';
COMMENT ON COLUMN recent_calls.outcome IS 'accepted, duplicate, suppressed, skipped (it must not touch profiles) or rejected.';
COMMENT ON COLUMN recent_calls.code IS 'Short name of the reason.';
COMMENT ON COLUMN recent_calls.reason IS 'The reason in words.';
COMMENT ON COLUMN recent_calls.call IS 'Its beginning, as it came.';
COMMENT ON COLUMN recent_calls.ids IS 'The external ids that were found in it, as TYPE:VALUE, by which it is found when somebody is to be forgotten; none for suppressed calls and whole requests.';

CREATE TABLE suppressions (
    id_hash       bytea PRIMARY KEY CHECK (octet_length(id_hash) = 32),
    suppressed_at timestamptz NOT NULL
);
COMMENT ON TABLE suppressions IS 'Whose calls are dropped before they are stored. Ids are known by a salted hash only.';
COMMENT ON COLUMN suppressions.id_hash IS 'HMAC-SHA-256 of the type and value of an external id under the salt.';
COMMENT ON COLUMN suppressions.suppressed_at IS 'When.';

CREATE TABLE suppression_salt (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    salt     bytea NOT NULL CHECK (octet_length(salt) >= 16)
);
COMMENT ON TABLE suppression_salt IS 'One row: the salt of the hashes in suppressions, made when it is first needed.';
COMMENT ON COLUMN suppression_salt.only_row IS 'Always true; makes a second row impossible.';
COMMENT ON COLUMN suppression_salt.salt IS 'Random bytes.';
