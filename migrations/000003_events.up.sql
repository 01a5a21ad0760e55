-- The log of events and the keys that keep a call from being counted twice.
SET LOCAL search_path TO muster;

CREATE SEQUENCE event_seq INCREMENT BY 1024;
COMMENT ON SEQUENCE event_seq IS 'Order of arrival of calls: a value stands for itself and the 1,023 that follow, so that a transaction draws many at once.';

CREATE TABLE events (
    bucket        integer NOT NULL,
    profile_id    bigint NOT NULL,
    event_name_id bigint NOT NULL,
    ts            timestamptz NOT NULL,
    seq           bigint NOT NULL,
    source_id     bigint NOT NULL,
    received_at   timestamptz NOT NULL,
    message_id    text NOT NULL,
    properties    jsonb,
    context       jsonb,
    PRIMARY KEY (bucket, profile_id, event_name_id, ts, seq)
) PARTITION BY RANGE (ts);
CREATE INDEX events_by_ts ON events USING brin (ts) WITH (pages_per_range = 32);
CREATE INDEX events_by_seq ON events USING brin (seq) WITH (pages_per_range = 32);
COMMENT ON TABLE events IS 'Track, page and screen calls, a partition a month of their timestamps. The key finds a profile''s history; the two BRIN indexes find what entered and left a window.';
COMMENT ON COLUMN events.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN events.profile_id IS 'The profile.';
COMMENT ON COLUMN events.event_name_id IS 'Name of the event, see event_names.';
COMMENT ON COLUMN events.ts IS 'When it happened: the call''s timestamp, corrected for the client''s clock.';
COMMENT ON COLUMN events.seq IS 'Order of arrival.';
COMMENT ON COLUMN events.source_id IS 'Where it came from.';
COMMENT ON COLUMN events.received_at IS 'When it was received.';
COMMENT ON COLUMN events.message_id IS 'Id of the call.';
COMMENT ON COLUMN events.properties IS 'Properties; for pages and screens also page_name and screen_name.';
COMMENT ON COLUMN events.context IS 'Context of the call.';

CREATE TABLE message_keys (
    received_on date NOT NULL,
    key         uuid NOT NULL,
    PRIMARY KEY (key, received_on)
) PARTITION BY RANGE (received_on);
COMMENT ON TABLE message_keys IS 'Hashes of the message ids of the last days, a partition a day: a call whose key stands here is a duplicate.';
COMMENT ON COLUMN message_keys.received_on IS 'Day (UTC) on which the call was received.';
COMMENT ON COLUMN message_keys.key IS 'First 128 bits of the SHA-256 of the message id.';

CREATE TABLE kept_events (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    since      timestamptz,
    cut        bigint NOT NULL DEFAULT 0,
    dropped_at timestamptz
);
INSERT INTO kept_events DEFAULT VALUES;
COMMENT ON TABLE kept_events IS 'One row: how far back the log of events goes, where old ones are dropped (retention).';
COMMENT ON COLUMN kept_events.only_row IS 'Always true; makes a second row impossible.';
COMMENT ON COLUMN kept_events.since IS 'Events stamped before it were dropped, but for those that have come since; null: none ever was.';
COMMENT ON COLUMN kept_events.cut IS 'Place in the order of arrival at which events were dropped last: states that are built later hold nothing that the log does not.';
COMMENT ON COLUMN kept_events.dropped_at IS 'When events were dropped last.';
