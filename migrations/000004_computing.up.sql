-- What is computed: states of leaves, values of computations, and the work that waits.
SET LOCAL search_path TO muster;

CREATE TABLE leaf_states (
    bucket        integer NOT NULL,
    profile_id    bigint NOT NULL,
    event_name_id bigint NOT NULL,
    states        bytea NOT NULL,
    PRIMARY KEY (bucket, profile_id, event_name_id)
) WITH (fillfactor = 75);
COMMENT ON TABLE leaf_states IS 'What a profile''s events of one name amount to, for every leaf over them, in a form to which events are added and from which they are taken out.';
COMMENT ON COLUMN leaf_states.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN leaf_states.profile_id IS 'The profile.';
COMMENT ON COLUMN leaf_states.event_name_id IS 'Name of the events, see event_names.';
COMMENT ON COLUMN leaf_states.states IS 'List of leaf and state in a compact binary form (docs/design.md, states).';

CREATE TABLE overflows (
    bucket     integer NOT NULL,
    profile_id bigint NOT NULL,
    leaf_id    bigint NOT NULL,
    dropped    bigint NOT NULL CHECK (dropped > 0),
    PRIMARY KEY (bucket, profile_id, leaf_id)
);
COMMENT ON TABLE overflows IS 'Where a mode or unique chain has seen more different values of a profile than it keeps.';
COMMENT ON COLUMN overflows.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN overflows.profile_id IS 'The profile.';
COMMENT ON COLUMN overflows.leaf_id IS 'The chain.';
COMMENT ON COLUMN overflows.dropped IS 'How often the values occurred that are not kept.';

CREATE TABLE computed_values (
    bucket         integer NOT NULL,
    profile_id     bigint NOT NULL,
    computation_id bigint NOT NULL,
    value          jsonb NOT NULL,
    since          timestamptz NOT NULL,
    reason         text NOT NULL,
    PRIMARY KEY (bucket, profile_id, computation_id)
) WITH (fillfactor = 75);
CREATE INDEX computed_values_by_computation ON computed_values (computation_id, bucket, profile_id);
COMMENT ON TABLE computed_values IS 'Present values: true for members, false for former members (who never was one has no row); a trait''s value, JSON null when it has none any more.';
COMMENT ON COLUMN computed_values.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN computed_values.profile_id IS 'The profile.';
COMMENT ON COLUMN computed_values.computation_id IS 'The computation.';
COMMENT ON COLUMN computed_values.value IS 'The value.';
COMMENT ON COLUMN computed_values.since IS 'Since when it has this value.';
COMMENT ON COLUMN computed_values.reason IS 'What made it change: event, trait, slot, backfill, edit, merge, cascade, repair.';

CREATE TABLE value_changes (
    bucket         integer NOT NULL,
    profile_id     bigint NOT NULL,
    computation_id bigint NOT NULL,
    changed_at     timestamptz NOT NULL,
    change_id      bigint GENERATED ALWAYS AS IDENTITY,
    value          jsonb NOT NULL,
    reason         text NOT NULL,
    PRIMARY KEY (bucket, profile_id, computation_id, changed_at, change_id)
) PARTITION BY RANGE (changed_at);
CREATE INDEX value_changes_by_time ON value_changes USING brin (changed_at);
COMMENT ON TABLE value_changes IS 'History of computed_values, a partition a month.';
COMMENT ON COLUMN value_changes.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN value_changes.profile_id IS 'The profile.';
COMMENT ON COLUMN value_changes.computation_id IS 'The computation.';
COMMENT ON COLUMN value_changes.changed_at IS 'When it got the value.';
COMMENT ON COLUMN value_changes.change_id IS 'Number of the change.';
COMMENT ON COLUMN value_changes.value IS 'The value it got.';
COMMENT ON COLUMN value_changes.reason IS 'Why.';

CREATE TABLE due_evaluations (
    bucket         integer NOT NULL,
    profile_id     bigint NOT NULL,
    computation_id bigint NOT NULL,
    due_at         timestamptz NOT NULL,
    PRIMARY KEY (bucket, profile_id, computation_id)
);
CREATE INDEX due_evaluations_when ON due_evaluations (computation_id, due_at);
COMMENT ON TABLE due_evaluations IS 'Which profile a scheduled computation must look at again, and from when on: something it reads has changed, or a date in a trait will be reached.';
COMMENT ON COLUMN due_evaluations.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN due_evaluations.profile_id IS 'The profile.';
COMMENT ON COLUMN due_evaluations.computation_id IS 'The computation.';
COMMENT ON COLUMN due_evaluations.due_at IS 'The first slot at or after this instant looks at it; 1970: the next slot, whichever it is.';

CREATE TABLE slots (
    schedule    text NOT NULL,
    slot        timestamptz NOT NULL,
    status      text NOT NULL CHECK (status IN ('running', 'done', 'failed')),
    owner       text NOT NULL,
    lease_until timestamptz NOT NULL,
    attempt     integer NOT NULL CHECK (attempt >= 1),
    missed      integer NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    retry_at    timestamptz,
    error       text,
    PRIMARY KEY (schedule, slot)
);
COMMENT ON TABLE slots IS 'Scheduled instants that were or are being computed. The key makes one slot one run, however many processes there are.';
COMMENT ON COLUMN slots.schedule IS 'Cron text.';
COMMENT ON COLUMN slots.slot IS 'The instant that the results are as of.';
COMMENT ON COLUMN slots.status IS 'running, done or failed.';
COMMENT ON COLUMN slots.owner IS 'Whose attempt it is: a new text for each.';
COMMENT ON COLUMN slots.lease_until IS 'After this instant another process may take it over.';
COMMENT ON COLUMN slots.attempt IS 'How often it was begun.';
COMMENT ON COLUMN slots.missed IS 'How many older slots it stands for, that passed while nothing ran.';
COMMENT ON COLUMN slots.started_at IS 'When the attempt began.';
COMMENT ON COLUMN slots.finished_at IS 'When it ended.';
COMMENT ON COLUMN slots.retry_at IS 'When a failed slot is tried again.';
COMMENT ON COLUMN slots.error IS 'Why it failed.';

CREATE TABLE runs (
    run_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    computation_id bigint NOT NULL REFERENCES computations,
    kind           text NOT NULL CHECK (kind IN ('slot', 'backfill', 'resync', 'cleanup')),
    as_of          timestamptz NOT NULL,
    started_at     timestamptz NOT NULL,
    finished_at    timestamptz,
    events_read    bigint NOT NULL DEFAULT 0,
    profiles       bigint NOT NULL DEFAULT 0,
    entered        bigint NOT NULL DEFAULT 0,
    exited         bigint NOT NULL DEFAULT 0,
    changed        bigint NOT NULL DEFAULT 0,
    UNIQUE (computation_id, kind, as_of)
);
COMMENT ON TABLE runs IS 'What a slot, a backfill, a resync or a cleanup did for one computation.';
COMMENT ON COLUMN runs.run_id IS 'Number of the run.';
COMMENT ON COLUMN runs.computation_id IS 'The computation.';
COMMENT ON COLUMN runs.kind IS 'slot, backfill, resync (everything was told again) or cleanup (what was told was taken back).';
COMMENT ON COLUMN runs.as_of IS 'The instant that the results are as of.';
COMMENT ON COLUMN runs.started_at IS 'When it began.';
COMMENT ON COLUMN runs.finished_at IS 'When it ended; null while it runs.';
COMMENT ON COLUMN runs.events_read IS 'Events read (shared by all computations of the slot).';
COMMENT ON COLUMN runs.profiles IS 'Profiles evaluated; of a resync or cleanup those that were told.';
COMMENT ON COLUMN runs.entered IS 'Profiles that became members.';
COMMENT ON COLUMN runs.exited IS 'Profiles that ceased to be members.';
COMMENT ON COLUMN runs.changed IS 'Profiles whose trait got another value.';

CREATE TABLE backfills (
    backfill_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    status         text NOT NULL CHECK (status IN ('running', 'done', 'failed')),
    cut            bigint NOT NULL,
    max_profile_id bigint NOT NULL,
    at_bucket      integer NOT NULL DEFAULT 0 CHECK (at_bucket BETWEEN 0 AND 1024),
    at_profile_id  bigint NOT NULL DEFAULT 0,
    profiles_total bigint NOT NULL,
    profiles_done  bigint NOT NULL DEFAULT 0,
    events_read    bigint NOT NULL DEFAULT 0,
    started_at     timestamptz NOT NULL,
    progressed_at  timestamptz,
    finished_at    timestamptz,
    error          text
);
CREATE UNIQUE INDEX backfills_one_running ON backfills ((true)) WHERE status = 'running';
COMMENT ON TABLE backfills IS 'Walks over all profiles that compute new and edited definitions from history; one at a time, for all definitions that wait.';
COMMENT ON COLUMN backfills.backfill_id IS 'Number of the backfill.';
COMMENT ON COLUMN backfills.status IS 'running, done or failed.';
COMMENT ON COLUMN backfills.cut IS 'Events that arrived up to this one are the backfill''s; later ones are counted as they come.';
COMMENT ON COLUMN backfills.max_profile_id IS 'Profiles with a higher number are younger than the backfill and complete from birth.';
COMMENT ON COLUMN backfills.at_bucket IS 'Progress: profiles up to (at_bucket, at_profile_id) are done.';
COMMENT ON COLUMN backfills.at_profile_id IS 'Progress, see at_bucket.';
COMMENT ON COLUMN backfills.profiles_total IS 'How many profiles there were at its start.';
COMMENT ON COLUMN backfills.profiles_done IS 'How many are done.';
COMMENT ON COLUMN backfills.events_read IS 'Events read so far.';
COMMENT ON COLUMN backfills.started_at IS 'When it began.';
COMMENT ON COLUMN backfills.progressed_at IS 'When the last of profiles_done were done.';
COMMENT ON COLUMN backfills.finished_at IS 'When it ended.';
COMMENT ON COLUMN backfills.error IS 'Why it failed.';

CREATE TABLE retellings (
    retelling_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection_id bigint NOT NULL REFERENCES connections,
    kind          text NOT NULL CHECK (kind IN ('resync', 'exit', 'unset')),
    merges        boolean NOT NULL DEFAULT false,
    at_bucket     integer NOT NULL DEFAULT 0 CHECK (at_bucket BETWEEN 0 AND 1024),
    at_profile_id bigint NOT NULL DEFAULT 0,
    profiles      bigint NOT NULL DEFAULT 0,
    messages      bigint NOT NULL DEFAULT 0,
    started_at    timestamptz NOT NULL,
    pass_at       timestamptz NOT NULL,
    progressed_at timestamptz,
    finished_at   timestamptz
);
CREATE UNIQUE INDEX retellings_one_running ON retellings (connection_id) WHERE finished_at IS NULL;
COMMENT ON TABLE retellings IS 'Walks over what connections were told, to tell it again (resync) or to take it back after their removal (exit, unset).';
COMMENT ON COLUMN retellings.retelling_id IS 'Number of the retelling; the oldest that is under way goes first.';
COMMENT ON COLUMN retellings.connection_id IS 'Whom it tells what; perhaps removed, and its computation deleted.';
COMMENT ON COLUMN retellings.kind IS 'resync, exit (whoever heard that a value was on hears that it is off) or unset (the property is removed).';
COMMENT ON COLUMN retellings.merges IS 'True: the walk over all profiles is done, and goes over those into which others were merged meanwhile.';
COMMENT ON COLUMN retellings.at_bucket IS 'Progress: profiles up to (at_bucket, at_profile_id) are done; after merges up to at_profile_id.';
COMMENT ON COLUMN retellings.at_profile_id IS 'Progress, see at_bucket.';
COMMENT ON COLUMN retellings.profiles IS 'Profiles told so far.';
COMMENT ON COLUMN retellings.messages IS 'Messages queued so far.';
COMMENT ON COLUMN retellings.started_at IS 'When it began; what was told later needs not be told again.';
COMMENT ON COLUMN retellings.pass_at IS 'When the part of the walk that is under way began.';
COMMENT ON COLUMN retellings.progressed_at IS 'When it last came further.';
COMMENT ON COLUMN retellings.finished_at IS 'When it ended; null while it is under way.';
