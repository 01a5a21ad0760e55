-- What an operator defines: sources, destinations, computations and their versions.
-- Small tables, written rarely and joined anywhere (on a distributed PostgreSQL: reference tables).
CREATE SCHEMA IF NOT EXISTS muster;
SET LOCAL search_path TO muster;

CREATE TABLE catalog_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint  NOT NULL,
    buckets  integer NOT NULL
);
COMMENT ON TABLE catalog_version IS 'One row: a number that grows with every change of the definitions, so that a process notices that its copy is old.';
COMMENT ON COLUMN catalog_version.only_row IS 'Always true; makes a second row impossible.';
COMMENT ON COLUMN catalog_version.version IS 'Grows by one in each transaction that changes a definition, or drops events.';
COMMENT ON COLUMN catalog_version.buckets IS 'Number of buckets, fixed for ever; a program with another number refuses to start.';
INSERT INTO catalog_version (version, buckets) VALUES (1, 1024);

CREATE TABLE sources (
    source_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'),
    write_key_hash bytea UNIQUE CHECK (octet_length(write_key_hash) = 32),
    enabled        boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL
);
COMMENT ON TABLE sources IS 'Where calls come from: an app, a server, an import.';
COMMENT ON COLUMN sources.source_id IS 'Number of the source, as events carry it.';
COMMENT ON COLUMN sources.name IS 'Name of the source; the id that sources({exclude: ...}) names.';
COMMENT ON COLUMN sources.write_key_hash IS 'SHA-256 of the write key; null when the source takes no calls over HTTP.';
COMMENT ON COLUMN sources.enabled IS 'False: its calls are refused.';
COMMENT ON COLUMN sources.created_at IS 'When it was created.';

CREATE TABLE event_names (
    event_name_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE
);
COMMENT ON TABLE event_names IS 'Every event name ever seen or asked for by a definition, so that an event stores a number.';
COMMENT ON COLUMN event_names.event_name_id IS 'Number of the name.';
COMMENT ON COLUMN event_names.name IS 'The name as sent; page and screen calls are Page Viewed and Screen Viewed.';

CREATE TABLE destinations (
    destination_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'),
    kind           text NOT NULL CHECK (kind IN ('mixpanel')),
    paused         boolean NOT NULL DEFAULT false,
    halted_reason  text,
    aliasing       text NOT NULL DEFAULT '' CHECK (aliasing IN ('', 'once', 'each', 'identify')),
    created_at     timestamptz NOT NULL,
    removed_at     timestamptz
);
COMMENT ON TABLE destinations IS 'Whom changes are told to. Settings and secrets stay in the configuration file.';
COMMENT ON COLUMN destinations.destination_id IS 'Number of the destination.';
COMMENT ON COLUMN destinations.name IS 'Name in the configuration file.';
COMMENT ON COLUMN destinations.kind IS 'What it is; only mixpanel so far.';
COMMENT ON COLUMN destinations.paused IS 'True: an operator stopped delivery; the queue is kept.';
COMMENT ON COLUMN destinations.halted_reason IS 'Set when the destination refuses everything (such as wrong credentials): why delivery stopped by itself.';
COMMENT ON COLUMN destinations.aliasing IS 'How it is told that an anonymous id has become a user''s: not at all (empty), by one alias for a user id before anything else of that (once), by an alias for each pair of ids (each), by an identify with both (identify).';
COMMENT ON COLUMN destinations.created_at IS 'When it was first configured.';
COMMENT ON COLUMN destinations.removed_at IS 'When it left the configuration; its ledger is no longer looked at.';

CREATE TABLE computations (
    computation_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key                text NOT NULL CHECK (key ~ '^[a-z0-9_]{1,255}$'),
    name               text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    description        text NOT NULL DEFAULT '',
    kind               text NOT NULL CHECK (kind IN ('audience', 'trait')),
    include_anonymous  boolean NOT NULL DEFAULT false,
    include_historical boolean NOT NULL DEFAULT true,
    backfill_days      integer CHECK (backfill_days BETWEEN 1 AND 36500),
    status             text NOT NULL CHECK (status IN ('preparing', 'backfilling', 'live', 'disabled', 'failed', 'deleted')),
    status_reason      text,
    version            integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    created_at         timestamptz NOT NULL,
    created_seq        bigint NOT NULL,
    deleted_at         timestamptz,
    CHECK ((status = 'deleted') = (deleted_at IS NOT NULL))
);
CREATE UNIQUE INDEX computations_key ON computations (key) WHERE deleted_at IS NULL;
COMMENT ON TABLE computations IS 'Audiences and computed traits.';
COMMENT ON COLUMN computations.computation_id IS 'Number of the computation.';
COMMENT ON COLUMN computations.key IS 'Name under which its value lives on the profile and in the destination; never changes.';
COMMENT ON COLUMN computations.name IS 'Name for people.';
COMMENT ON COLUMN computations.description IS 'What it is for.';
COMMENT ON COLUMN computations.kind IS 'audience (a boolean) or trait (a value).';
COMMENT ON COLUMN computations.include_anonymous IS 'True: an anonymous id alone makes a profile eligible, and anonymous ids are told.';
COMMENT ON COLUMN computations.include_historical IS 'False: only events received after its creation count.';
COMMENT ON COLUMN computations.backfill_days IS 'Only events from this many days before its creation on count; null: all.';
COMMENT ON COLUMN computations.status IS 'preparing (waits for its backfill), backfilling, live, disabled, failed or deleted.';
COMMENT ON COLUMN computations.status_reason IS 'Why it is in this status, where that is not obvious.';
COMMENT ON COLUMN computations.version IS 'Version of the definition that serves all profiles; 0 before the first backfill is complete.';
COMMENT ON COLUMN computations.created_at IS 'When it was defined.';
COMMENT ON COLUMN computations.created_seq IS 'Last place in the order of arrival when it was defined: later events are received after its creation.';
COMMENT ON COLUMN computations.deleted_at IS 'When it was deleted; its last values became plain traits.';

CREATE TABLE computation_versions (
    computation_id bigint NOT NULL REFERENCES computations,
    version        integer NOT NULL CHECK (version >= 1),
    query          text NOT NULL,
    class          text NOT NULL CHECK (class IN ('realtime', 'scheduled')),
    schedule       text NOT NULL CHECK ((class = 'scheduled') = (schedule <> '')),
    refresh        text NOT NULL DEFAULT '' CHECK (refresh IN ('', 'realtime') AND (refresh = '' OR class = 'scheduled')),
    backfill_id    bigint,
    as_of          timestamptz,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (computation_id, version)
);
COMMENT ON TABLE computation_versions IS 'Every definition that a computation ever had; an edit adds one.';
COMMENT ON COLUMN computation_versions.computation_id IS 'The computation.';
COMMENT ON COLUMN computation_versions.version IS 'Number of the version, from 1.';
COMMENT ON COLUMN computation_versions.query IS 'The definition in canonical text.';
COMMENT ON COLUMN computation_versions.class IS 'realtime (changes only with events) or scheduled (the clock alone can change it).';
COMMENT ON COLUMN computation_versions.schedule IS 'When a scheduled one is recomputed, as cron text in UTC; empty for realtime.';
COMMENT ON COLUMN computation_versions.refresh IS 'realtime: a scheduled one that is also decided for a profile when a call comes that can change it; empty: at its slots only.';
COMMENT ON COLUMN computation_versions.backfill_id IS 'The backfill that computes it for the profiles that exist already; null while it waits for one.';
COMMENT ON COLUMN computation_versions.as_of IS 'Scheduled: the slot that its values are as of; null before its backfill begins.';
COMMENT ON COLUMN computation_versions.created_at IS 'When it was defined.';

CREATE TABLE leaves (
    leaf_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text       text NOT NULL,
    schedule   text NOT NULL,
    since_seq  bigint NOT NULL DEFAULT 0 CHECK (since_seq >= 0),
    since      timestamptz,
    built      boolean NOT NULL DEFAULT false,
    cut        bigint NOT NULL DEFAULT 0 CHECK (cut >= 0),
    as_of      timestamptz,
    CHECK ((as_of IS NULL) OR schedule <> '')
);
CREATE UNIQUE INDEX leaves_same ON leaves (text, schedule, since_seq, coalesce(since, 'epoch'));
COMMENT ON TABLE leaves IS 'One event(...) chain of one or more definitions; equal ones are computed once.';
COMMENT ON COLUMN leaves.leaf_id IS 'Number of the leaf.';
COMMENT ON COLUMN leaves.text IS 'Its canonical text.';
COMMENT ON COLUMN leaves.schedule IS 'Cron text of the computations that share a window over it; empty when it has no window.';
COMMENT ON COLUMN leaves.since_seq IS 'Only events that arrived after this one count (include_historical: false); 0: all.';
COMMENT ON COLUMN leaves.since IS 'Only events stamped at or after this instant count (backfill_days); null: all.';
COMMENT ON COLUMN leaves.built IS 'True when its states are complete for every profile.';
COMMENT ON COLUMN leaves.cut IS 'Windowed: the states hold the events that arrived up to this one. Unwindowed: the events up to this one are the backfill''s, later ones come by themselves.';
COMMENT ON COLUMN leaves.as_of IS 'Windowed: the instant at which the states show the window; null without a window.';

CREATE TABLE version_leaves (
    computation_id bigint NOT NULL,
    version        integer NOT NULL,
    leaf_id        bigint NOT NULL REFERENCES leaves,
    PRIMARY KEY (computation_id, version, leaf_id),
    FOREIGN KEY (computation_id, version) REFERENCES computation_versions
);
COMMENT ON TABLE version_leaves IS 'Which leaves a version of a definition reads, from the beginning of its backfill on.';
COMMENT ON COLUMN version_leaves.computation_id IS 'The computation.';
COMMENT ON COLUMN version_leaves.version IS 'Its version.';
COMMENT ON COLUMN version_leaves.leaf_id IS 'A leaf that it reads.';

CREATE TABLE connections (
    connection_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    computation_id bigint NOT NULL REFERENCES computations,
    destination_id bigint NOT NULL REFERENCES destinations,
    emit           text NOT NULL CHECK (emit IN ('identify', 'track', 'both')),
    entered_event  text NOT NULL DEFAULT 'Audience Entered',
    exited_event   text NOT NULL DEFAULT 'Audience Exited',
    computed_event text NOT NULL DEFAULT 'Trait Computed',
    id_strategy    text NOT NULL DEFAULT 'all' CHECK (id_strategy IN ('all', 'first', 'last')),
    cleanup        text NOT NULL DEFAULT 'none' CHECK (cleanup IN ('none', 'exit', 'unset')),
    sets_property  boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL,
    removed_at     timestamptz,
    swept_at       timestamptz
);
CREATE UNIQUE INDEX connections_pair ON connections (computation_id, destination_id) WHERE removed_at IS NULL;
COMMENT ON TABLE connections IS 'Which computation is told to which destination, and how.';
COMMENT ON COLUMN connections.connection_id IS 'Number of the connection.';
COMMENT ON COLUMN connections.computation_id IS 'What is told.';
COMMENT ON COLUMN connections.destination_id IS 'To whom.';
COMMENT ON COLUMN connections.emit IS 'identify (a property of the profile), track (an event), or both.';
COMMENT ON COLUMN connections.entered_event IS 'Name of the event when a profile enters an audience.';
COMMENT ON COLUMN connections.exited_event IS 'Name of the event when a profile leaves an audience.';
COMMENT ON COLUMN connections.computed_event IS 'Name of the event when a computed trait gets a new value.';
COMMENT ON COLUMN connections.id_strategy IS 'Which values of an id type with several are told: all, the first or the last; exits always go to all that were told.';
COMMENT ON COLUMN connections.cleanup IS 'What the destination is told when the connection or its computation is removed: nothing, that all have left (exit), or that the property is gone (unset).';
COMMENT ON COLUMN connections.sets_property IS 'It tells, or has told before it was edited, by identify calls: profiles may have the property.';
COMMENT ON COLUMN connections.created_at IS 'When it was made.';
COMMENT ON COLUMN connections.removed_at IS 'When it was removed; its ledger is no longer looked at.';
COMMENT ON COLUMN connections.swept_at IS 'When its ledger was dropped, a while after it was removed.';
