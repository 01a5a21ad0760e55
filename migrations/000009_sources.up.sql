-- Sources that are kept by command, and what people see of sources and their calls.
-- One block, so that it is one statement (docs/design.md, scaling out).
DO $migration$
BEGIN
    SET LOCAL search_path TO muster;

    ALTER TABLE sources
        ADD COLUMN origin text NOT NULL DEFAULT 'import' CHECK (origin IN ('config', 'command', 'import')),
        ADD COLUMN rate double precision CHECK (rate BETWEEN 0.001 AND 1000000),
        ADD COLUMN configured_rate double precision CHECK (configured_rate BETWEEN 0.001 AND 1000000);
    -- So far, only the configuration file gave keys.
    UPDATE sources SET origin = 'config' WHERE write_key_hash IS NOT NULL;
    COMMENT ON COLUMN sources.origin IS 'Where its write key is kept: config (in the configuration file), command (made by muster source), or import (it has none).';
    COMMENT ON COLUMN sources.rate IS 'Requests that it may send per second, on average and in a burst, as set by command; null: what the configuration file says.';
    COMMENT ON COLUMN sources.configured_rate IS 'The same as set in the configuration file; null: the default.';

    CREATE TABLE rotated_write_keys (
        write_key_hash bytea PRIMARY KEY CHECK (octet_length(write_key_hash) = 32),
        source_id      bigint NOT NULL REFERENCES sources,
        works_until    timestamptz NOT NULL
    );
    COMMENT ON TABLE rotated_write_keys IS 'Write keys that were replaced and work for a while longer, so that apps can be changed one by one.';
    COMMENT ON COLUMN rotated_write_keys.write_key_hash IS 'SHA-256 of the key.';
    COMMENT ON COLUMN rotated_write_keys.source_id IS 'Its source.';
    COMMENT ON COLUMN rotated_write_keys.works_until IS 'From this instant on it is refused.';

    COMMENT ON COLUMN recent_calls.message_id IS 'Its id; empty for suppressed calls and whole requests.';
    COMMENT ON COLUMN recent_calls.name IS 'Name of the event, page or screen; empty where there is none, and for suppressed calls.';
    COMMENT ON COLUMN recent_calls.call IS 'Its beginning, at most 4 KiB, without write key; empty for suppressed calls and whole requests.';

    ALTER TABLE suppressions ADD COLUMN subject_id uuid;
    UPDATE suppressions SET subject_id = gen_random_uuid();
    ALTER TABLE suppressions ALTER COLUMN subject_id SET NOT NULL;
    CREATE INDEX suppressions_subject ON suppressions (subject_id);
    COMMENT ON COLUMN suppressions.subject_id IS 'Random; the same for all ids that were suppressed as one person''s, so that one of them is enough to take it back.';

    CREATE VIEW inspect.sources AS
    SELECT s.name, s.enabled, s.origin, s.write_key_hash IS NOT NULL AS has_key, coalesce(s.rate, s.configured_rate) AS rate, s.created_at,
        (SELECT max(k.works_until) FROM muster.rotated_write_keys k WHERE k.source_id = s.source_id) AS old_keys_until,
        (SELECT r.received_at FROM muster.recent_calls r WHERE r.source_id = s.source_id ORDER BY r.call_id DESC LIMIT 1) AS last_call_at
    FROM muster.sources s;
    COMMENT ON VIEW inspect.sources IS 'Where calls come from, without their write keys.';
    COMMENT ON COLUMN inspect.sources.name IS 'Name.';
    COMMENT ON COLUMN inspect.sources.enabled IS 'False: its calls are refused.';
    COMMENT ON COLUMN inspect.sources.origin IS 'Where its write key is kept: config, command, or import (it has none).';
    COMMENT ON COLUMN inspect.sources.has_key IS 'Whether it takes calls over HTTP.';
    COMMENT ON COLUMN inspect.sources.rate IS 'Requests that it may send per second; null: the default.';
    COMMENT ON COLUMN inspect.sources.created_at IS 'When it came to be.';
    COMMENT ON COLUMN inspect.sources.old_keys_until IS 'Until when keys work that were replaced; null or past: none does.';
    COMMENT ON COLUMN inspect.sources.last_call_at IS 'When its latest call over HTTP was received, as far as the debugger remembers.';

    CREATE VIEW inspect.recent_calls AS
    SELECT r.call_id, s.name AS source, r.received_at, r.outcome, r.code, r.reason, r.type, r.name, r.message_id, r.call, r.ids
    FROM muster.recent_calls r JOIN muster.sources s USING (source_id);
    COMMENT ON VIEW inspect.recent_calls IS 'The debugger: the latest 500 calls of each source with what became of them.';
    COMMENT ON COLUMN inspect.recent_calls.call_id IS 'Order of arrival.';
    COMMENT ON COLUMN inspect.recent_calls.source IS 'Where it came from.';
    COMMENT ON COLUMN inspect.recent_calls.received_at IS 'When it was received.';
    COMMENT ON COLUMN inspect.recent_calls.outcome IS 'accepted, duplicate, suppressed, skipped or rejected.';
    COMMENT ON COLUMN inspect.recent_calls.code IS 'Short name of the reason.';
    COMMENT ON COLUMN inspect.recent_calls.reason IS 'The reason in words.';
    COMMENT ON COLUMN inspect.recent_calls.type IS 'identify, track, page, screen, group, alias, or what it said it was.';
    COMMENT ON COLUMN inspect.recent_calls.name IS 'Name of the event, page or screen.';
    COMMENT ON COLUMN inspect.recent_calls.message_id IS 'Its id.';
    COMMENT ON COLUMN inspect.recent_calls.call IS 'Its beginning, without write key.';
    COMMENT ON COLUMN inspect.recent_calls.ids IS 'The external ids that it carries, as TYPE:VALUE.';
END
$migration$;
