-- What was told to whom, and what is still to be told.
SET LOCAL search_path TO muster;

CREATE TABLE ledger (
    bucket        integer NOT NULL,
    profile_id    bigint NOT NULL,
    connection_id bigint NOT NULL,
    ids           text NOT NULL,
    value         jsonb NOT NULL,
    told          integer NOT NULL CHECK (told >= 1),
    told_at       timestamptz NOT NULL,
    PRIMARY KEY (bucket, profile_id, connection_id, ids)
) WITH (fillfactor = 75);
COMMENT ON TABLE ledger IS 'The last value told, per connection and combination of external ids. What is to be told is the difference to it.';
COMMENT ON COLUMN ledger.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN ledger.profile_id IS 'The profile.';
COMMENT ON COLUMN ledger.connection_id IS 'Computation and destination.';
COMMENT ON COLUMN ledger.ids IS 'The combination of ids that the call carries.';
COMMENT ON COLUMN ledger.value IS 'The value last told.';
COMMENT ON COLUMN ledger.told IS 'How often something was told to this combination; part of the message id.';
COMMENT ON COLUMN ledger.told_at IS 'Time in the message.';

CREATE SEQUENCE queue_seq;
COMMENT ON SEQUENCE queue_seq IS 'Order of the queue; drawn under a lock that is held to the commit, so that this order is commit order.';

CREATE TABLE queue (
    destination_id bigint NOT NULL,
    seq            bigint NOT NULL,
    connection_id  bigint NOT NULL,
    profile_id     bigint NOT NULL,
    at             timestamptz NOT NULL,
    queued_at      timestamptz NOT NULL,
    barrier        bigint,
    bucket         integer NOT NULL,
    told           integer NOT NULL,
    lane           smallint NOT NULL CHECK (lane BETWEEN 0 AND 15),
    form           text NOT NULL,
    reason         text NOT NULL,
    ids            text NOT NULL,
    value          jsonb NOT NULL,
    event          text,
    call           json,
    PRIMARY KEY (destination_id, lane, seq),
    CHECK ((call IS NULL) = (connection_id <> 0)),
    CHECK (barrier IS NULL OR call IS NOT NULL)
) PARTITION BY RANGE (seq);
COMMENT ON TABLE queue IS 'Messages to be told, a log: appended with the change that made them, read in order, dropped by whole partitions when every destination is past them.';
COMMENT ON COLUMN queue.destination_id IS 'To whom.';
COMMENT ON COLUMN queue.lane IS 'Range of buckets of the id that the destination files the message under; order holds within a lane.';
COMMENT ON COLUMN queue.seq IS 'Position; within a lane, commit order.';
COMMENT ON COLUMN queue.connection_id IS 'What is told, and how; 0: nothing computed, but the call of a source, or an alias.';
COMMENT ON COLUMN queue.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN queue.profile_id IS 'The profile when it was queued; 0: a forwarded call that no profile has seen.';
COMMENT ON COLUMN queue.form IS 'identify or track; of a call that is kept as such also page, screen, group or alias.';
COMMENT ON COLUMN queue.ids IS 'The combination of ids that the call carries.';
COMMENT ON COLUMN queue.value IS 'The value; null of a forwarded call.';
COMMENT ON COLUMN queue.event IS 'Name of the event, of what was computed and is told by one.';
COMMENT ON COLUMN queue.told IS 'Which message to this combination it is; with the other columns it makes the message id. 0 of a forwarded call, which has its own.';
COMMENT ON COLUMN queue.at IS 'Time in the message.';
COMMENT ON COLUMN queue.reason IS 'Why it is told: entered, exited, changed, first_sync, new_external_id, merge, definition_edit, resync, cleanup, repair; forwarded: it is a source''s own call; alias: an anonymous id has become a user''s.';
COMMENT ON COLUMN queue.queued_at IS 'When it was queued.';
COMMENT ON COLUMN queue.barrier IS 'Of a call that makes one person of two ids, which stands in the lanes of both: the seq of its other row. The row that comes second is sent, the first only waits for that. Null of all others.';
COMMENT ON COLUMN queue.call IS 'The call, if it is forwarded or an alias; null of what was computed.';

CREATE TABLE aliases (
    bucket         integer NOT NULL,
    user_id        text NOT NULL,
    destination_id bigint NOT NULL,
    anonymous_id   text NOT NULL,
    queued_at      timestamptz NOT NULL,
    PRIMARY KEY (bucket, user_id, destination_id, anonymous_id)
);
COMMENT ON TABLE aliases IS 'Anonymous ids of which a destination was told that they have become a user''s, so that it is told each once.';
COMMENT ON COLUMN aliases.bucket IS 'Bucket of the user id.';
COMMENT ON COLUMN aliases.user_id IS 'The user id.';
COMMENT ON COLUMN aliases.destination_id IS 'The destination.';
COMMENT ON COLUMN aliases.anonymous_id IS 'The anonymous id.';
COMMENT ON COLUMN aliases.queued_at IS 'When that was queued.';

CREATE TABLE queue_positions (
    destination_id  bigint NOT NULL REFERENCES destinations,
    lane            smallint NOT NULL CHECK (lane BETWEEN 0 AND 15),
    seq             bigint NOT NULL DEFAULT 0,
    ahead           bigint[] NOT NULL DEFAULT '{}',
    in_flight       bigint[] NOT NULL DEFAULT '{}',
    delivered       bigint NOT NULL DEFAULT 0,
    failing_seq     bigint NOT NULL DEFAULT 0,
    attempt         integer NOT NULL DEFAULT 0,
    failing_since   timestamptz,
    next_attempt_at timestamptz,
    last_code       text NOT NULL DEFAULT '',
    last_reason     text NOT NULL DEFAULT '',
    owner           text NOT NULL DEFAULT '',
    lease_until     timestamptz,
    token           bigint NOT NULL DEFAULT 0,
    moved_at        timestamptz,
    PRIMARY KEY (destination_id, lane)
) WITH (fillfactor = 50);
COMMENT ON TABLE queue_positions IS 'How far each destination has read each lane, and which process reads it.';
COMMENT ON COLUMN queue_positions.destination_id IS 'The destination.';
COMMENT ON COLUMN queue_positions.lane IS 'The lane.';
COMMENT ON COLUMN queue_positions.seq IS 'Everything up to here is settled: acknowledged, or in the dead letters.';
COMMENT ON COLUMN queue_positions.ahead IS 'Messages behind the position that are settled already.';
COMMENT ON COLUMN queue_positions.in_flight IS 'Messages that must not be repeated blindly and were being sent; after a crash they are uncertain.';
COMMENT ON COLUMN queue_positions.delivered IS 'How many messages were acknowledged.';
COMMENT ON COLUMN queue_positions.failing_seq IS 'The oldest message that fails; 0 when none does.';
COMMENT ON COLUMN queue_positions.attempt IS 'How often it has failed.';
COMMENT ON COLUMN queue_positions.failing_since IS 'Since when it fails.';
COMMENT ON COLUMN queue_positions.next_attempt_at IS 'Nothing of the lane is sent before this instant.';
COMMENT ON COLUMN queue_positions.last_code IS 'Short name of the last failure.';
COMMENT ON COLUMN queue_positions.last_reason IS 'The last failure in words.';
COMMENT ON COLUMN queue_positions.owner IS 'The process that delivers the lane; empty: nobody.';
COMMENT ON COLUMN queue_positions.lease_until IS 'After this instant another process may take the lane over.';
COMMENT ON COLUMN queue_positions.token IS 'Grows each time the lane changes hands; what an earlier holder says is refused.';
COMMENT ON COLUMN queue_positions.moved_at IS 'When the position last moved.';

CREATE TABLE queue_barriers (
    destination_id bigint NOT NULL REFERENCES destinations,
    barrier        text NOT NULL,
    reached        boolean NOT NULL DEFAULT false,
    passed_at      timestamptz,
    PRIMARY KEY (destination_id, barrier)
);
COMMENT ON TABLE queue_barriers IS 'Calls that join two ids and stand in the lanes of both: each lane waits there for the other.';
COMMENT ON COLUMN queue_barriers.destination_id IS 'The destination.';
COMMENT ON COLUMN queue_barriers.barrier IS 'The seq of the row that is sent.';
COMMENT ON COLUMN queue_barriers.reached IS 'The lane that only waits has come to it.';
COMMENT ON COLUMN queue_barriers.passed_at IS 'When the call was settled.';

CREATE TABLE dead_letters (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    destination_id bigint NOT NULL,
    lane           smallint NOT NULL,
    seq            bigint NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('rejected', 'uncertain', 'gave_up', 'undeliverable')),
    code           text NOT NULL,
    reason         text NOT NULL,
    connection_id  bigint NOT NULL,
    bucket         integer NOT NULL,
    profile_id     bigint NOT NULL,
    form           text NOT NULL,
    ids            text NOT NULL,
    value          jsonb NOT NULL,
    told           integer NOT NULL,
    at             timestamptz NOT NULL,
    reason_told    text NOT NULL,
    attempts       integer NOT NULL,
    died_at        timestamptz NOT NULL,
    event          text,
    call           json,
    waits_in       smallint CHECK (waits_in BETWEEN 0 AND 15),
    resolution     text CHECK (resolution IN ('retried', 'dropped', 'superseded')),
    resolved_at    timestamptz
);
CREATE UNIQUE INDEX dead_letters_once ON dead_letters (destination_id, lane, seq, kind) WHERE kind <> 'undeliverable';
CREATE INDEX dead_letters_open ON dead_letters (destination_id, died_at) WHERE resolution IS NULL;
COMMENT ON TABLE dead_letters IS 'Messages that were not told and that an operator decides about.';
COMMENT ON COLUMN dead_letters.dead_letter_id IS 'Number of the dead letter.';
COMMENT ON COLUMN dead_letters.destination_id IS 'To whom it should have gone.';
COMMENT ON COLUMN dead_letters.lane IS 'Its lane in the queue.';
COMMENT ON COLUMN dead_letters.seq IS 'Its position in the queue.';
COMMENT ON COLUMN dead_letters.kind IS 'rejected (refused for good), uncertain (perhaps applied), gave_up (failed for too long), undeliverable (no id that the destination takes).';
COMMENT ON COLUMN dead_letters.code IS 'Short name of the reason, for counting.';
COMMENT ON COLUMN dead_letters.reason IS 'The reason in words.';
COMMENT ON COLUMN dead_letters.connection_id IS 'What was to be told; 0: a forwarded call, or an alias.';
COMMENT ON COLUMN dead_letters.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN dead_letters.profile_id IS 'The profile; 0: a forwarded call that no profile has seen.';
COMMENT ON COLUMN dead_letters.form IS 'identify or track; of a call that is kept as such also page, screen, group or alias.';
COMMENT ON COLUMN dead_letters.ids IS 'The combination of ids.';
COMMENT ON COLUMN dead_letters.value IS 'The value; null of a forwarded call.';
COMMENT ON COLUMN dead_letters.told IS 'Which message to this combination it was; 0 of a forwarded call.';
COMMENT ON COLUMN dead_letters.at IS 'Time in the message.';
COMMENT ON COLUMN dead_letters.reason_told IS 'Why it was to be told.';
COMMENT ON COLUMN dead_letters.attempts IS 'How often the destination was asked.';
COMMENT ON COLUMN dead_letters.died_at IS 'When it was given up.';
COMMENT ON COLUMN dead_letters.event IS 'Name of the event, of what was computed and was to be told by one.';
COMMENT ON COLUMN dead_letters.call IS 'The call, if it is forwarded or an alias; null of what was computed.';
COMMENT ON COLUMN dead_letters.waits_in IS 'Of a call that makes one person of two ids: the lane of the other id, which waits for it. Null of all others.';
COMMENT ON COLUMN dead_letters.resolution IS 'retried or dropped by an operator; superseded: it was to be retried, but its ids had been told a newer value; null while it waits for one.';
COMMENT ON COLUMN dead_letters.resolved_at IS 'When.';
