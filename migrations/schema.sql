-- The schema after all migrations, for reading. PostgreSQL 15 wrote it: go test ./migrations -update

CREATE SCHEMA inspect;

COMMENT ON SCHEMA inspect IS 'Views for people: what is computed, who is a member, what was told, what waits.';

CREATE SCHEMA muster;

CREATE TABLE muster.account_members (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    group_id text NOT NULL,
    linked_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE muster.account_members IS 'Which profile belongs to which accounts.';

COMMENT ON COLUMN muster.account_members.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.account_members.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.account_members.group_id IS 'The account.';

COMMENT ON COLUMN muster.account_members.linked_at IS 'When a call linked them first.';

CREATE VIEW inspect.account_members AS
 SELECT m.group_id,
    m.profile_id,
    m.linked_at
   FROM muster.account_members m;

COMMENT ON VIEW inspect.account_members IS 'Which profile belongs to which accounts.';

COMMENT ON COLUMN inspect.account_members.group_id IS 'The account.';

COMMENT ON COLUMN inspect.account_members.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.account_members.linked_at IS 'When a call linked them first.';

CREATE TABLE muster.account_traits (
    bucket integer NOT NULL,
    group_id text NOT NULL,
    key text NOT NULL,
    value jsonb,
    changed_at timestamp with time zone NOT NULL,
    arrival bigint NOT NULL
)
WITH (fillfactor='85');

COMMENT ON TABLE muster.account_traits IS 'What is known of an account: the last value by timestamp wins.';

COMMENT ON COLUMN muster.account_traits.bucket IS 'Bucket of the account.';

COMMENT ON COLUMN muster.account_traits.group_id IS 'The account.';

COMMENT ON COLUMN muster.account_traits.key IS 'Name of the trait.';

COMMENT ON COLUMN muster.account_traits.value IS 'Its value; null when it was removed.';

COMMENT ON COLUMN muster.account_traits.changed_at IS 'Timestamp of the call that set it.';

COMMENT ON COLUMN muster.account_traits.arrival IS 'Order of arrival of that call; decides between equal timestamps.';

CREATE TABLE muster.accounts (
    bucket integer NOT NULL,
    group_id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT accounts_bucket_check CHECK (((bucket >= 0) AND (bucket <= 1023)))
);

COMMENT ON TABLE muster.accounts IS 'Companies, teams, households: the groups of group calls.';

COMMENT ON COLUMN muster.accounts.bucket IS 'Fixed hash of group_id, 0 to 1,023.';

COMMENT ON COLUMN muster.accounts.group_id IS 'The groupId of the calls.';

COMMENT ON COLUMN muster.accounts.created_at IS 'When its first call was received.';

CREATE VIEW inspect.accounts AS
 SELECT a.group_id,
    a.created_at,
    ( SELECT count(*) AS count
           FROM muster.account_members m
          WHERE (m.group_id = a.group_id)) AS members,
    ( SELECT COALESCE(jsonb_object_agg(t.key, t.value), '{}'::jsonb) AS "coalesce"
           FROM muster.account_traits t
          WHERE ((t.bucket = a.bucket) AND (t.group_id = a.group_id) AND (t.value IS NOT NULL))) AS traits
   FROM muster.accounts a;

COMMENT ON VIEW inspect.accounts IS 'Companies, teams, households: the groups of group calls.';

COMMENT ON COLUMN inspect.accounts.group_id IS 'The groupId of the calls.';

COMMENT ON COLUMN inspect.accounts.created_at IS 'When its first call was received.';

COMMENT ON COLUMN inspect.accounts.members IS 'How many profiles belong to it.';

COMMENT ON COLUMN inspect.accounts.traits IS 'What is known of it.';

CREATE TABLE muster.api_tokens (
    token_id bigint NOT NULL,
    name text NOT NULL,
    token_hash bytea NOT NULL,
    scope text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone,
    CONSTRAINT api_tokens_name_check CHECK ((name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'::text)),
    CONSTRAINT api_tokens_scope_check CHECK ((scope = ANY (ARRAY['read'::text, 'write'::text]))),
    CONSTRAINT api_tokens_token_hash_check CHECK ((octet_length(token_hash) = 32))
);

COMMENT ON TABLE muster.api_tokens IS 'Who may use the admin API and the Profile API. Tokens are known by a hash only.';

COMMENT ON COLUMN muster.api_tokens.token_id IS 'Number of the token.';

COMMENT ON COLUMN muster.api_tokens.name IS 'Who or what uses it, for people.';

COMMENT ON COLUMN muster.api_tokens.token_hash IS 'SHA-256 of the token, which has 130 random bits.';

COMMENT ON COLUMN muster.api_tokens.scope IS 'read, or write, which may read too.';

COMMENT ON COLUMN muster.api_tokens.created_at IS 'When it was made.';

COMMENT ON COLUMN muster.api_tokens.last_used_at IS 'When it was used last, to a minute; null: never.';

CREATE VIEW inspect.api_tokens AS
 SELECT t.name,
    t.scope,
    t.created_at,
    t.last_used_at
   FROM muster.api_tokens t;

COMMENT ON VIEW inspect.api_tokens IS 'Who may use the admin API and the Profile API, without the tokens.';

COMMENT ON COLUMN inspect.api_tokens.name IS 'Who or what uses it, for people.';

COMMENT ON COLUMN inspect.api_tokens.scope IS 'read, or write, which may read too.';

COMMENT ON COLUMN inspect.api_tokens.created_at IS 'When it was made.';

COMMENT ON COLUMN inspect.api_tokens.last_used_at IS 'When it was used last, to a minute; null: never.';

CREATE TABLE muster.backfills (
    backfill_id bigint NOT NULL,
    status text NOT NULL,
    cut bigint NOT NULL,
    max_profile_id bigint NOT NULL,
    at_bucket integer DEFAULT 0 NOT NULL,
    at_profile_id bigint DEFAULT 0 NOT NULL,
    profiles_total bigint NOT NULL,
    profiles_done bigint DEFAULT 0 NOT NULL,
    events_read bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    progressed_at timestamp with time zone,
    finished_at timestamp with time zone,
    error text,
    CONSTRAINT backfills_at_bucket_check CHECK (((at_bucket >= 0) AND (at_bucket <= 1024))),
    CONSTRAINT backfills_status_check CHECK ((status = ANY (ARRAY['running'::text, 'done'::text, 'failed'::text])))
);

COMMENT ON TABLE muster.backfills IS 'Walks over all profiles that compute new and edited definitions from history; one at a time, for all definitions that wait.';

COMMENT ON COLUMN muster.backfills.backfill_id IS 'Number of the backfill.';

COMMENT ON COLUMN muster.backfills.status IS 'running, done or failed.';

COMMENT ON COLUMN muster.backfills.cut IS 'Events that arrived up to this one are the backfill''s; later ones are counted as they come.';

COMMENT ON COLUMN muster.backfills.max_profile_id IS 'Profiles with a higher number are younger than the backfill and complete from birth.';

COMMENT ON COLUMN muster.backfills.at_bucket IS 'Progress: profiles up to (at_bucket, at_profile_id) are done.';

COMMENT ON COLUMN muster.backfills.at_profile_id IS 'Progress, see at_bucket.';

COMMENT ON COLUMN muster.backfills.profiles_total IS 'How many profiles there were at its start.';

COMMENT ON COLUMN muster.backfills.profiles_done IS 'How many are done.';

COMMENT ON COLUMN muster.backfills.events_read IS 'Events read so far.';

COMMENT ON COLUMN muster.backfills.started_at IS 'When it began.';

COMMENT ON COLUMN muster.backfills.progressed_at IS 'When the last of profiles_done were done.';

COMMENT ON COLUMN muster.backfills.finished_at IS 'When it ended.';

COMMENT ON COLUMN muster.backfills.error IS 'Why it failed.';

CREATE VIEW inspect.backfills AS
 SELECT b.backfill_id,
    b.status,
    b.profiles_done,
    b.profiles_total,
        CASE
            WHEN (b.status = 'done'::text) THEN (100)::bigint
            WHEN (b.profiles_total = 0) THEN (0)::bigint
            ELSE LEAST((100)::bigint, ((100 * b.profiles_done) / b.profiles_total))
        END AS percent,
    b.events_read,
    pace.profiles_per_second,
        CASE
            WHEN (b.status = 'running'::text) THEN make_interval(secs => (((b.profiles_total - b.profiles_done))::double precision / NULLIF(pace.profiles_per_second, (0)::double precision)))
            ELSE NULL::interval
        END AS remaining,
    b.started_at,
    b.progressed_at,
    b.finished_at,
    b.error
   FROM muster.backfills b,
    LATERAL ( SELECT (round(((b.profiles_done)::numeric / NULLIF(EXTRACT(epoch FROM (b.progressed_at - b.started_at)), (0)::numeric)), 1))::double precision AS profiles_per_second) pace;

COMMENT ON VIEW inspect.backfills IS 'Walks over all profiles for new and edited definitions, with their progress.';

COMMENT ON COLUMN inspect.backfills.backfill_id IS 'Number of the backfill.';

COMMENT ON COLUMN inspect.backfills.status IS 'Where it stands.';

COMMENT ON COLUMN inspect.backfills.profiles_done IS 'Profiles done.';

COMMENT ON COLUMN inspect.backfills.profiles_total IS 'Profiles at its start.';

COMMENT ON COLUMN inspect.backfills.percent IS 'Share done.';

COMMENT ON COLUMN inspect.backfills.events_read IS 'Events read.';

COMMENT ON COLUMN inspect.backfills.profiles_per_second IS 'Its speed on average so far.';

COMMENT ON COLUMN inspect.backfills.remaining IS 'How long the rest takes at that speed.';

COMMENT ON COLUMN inspect.backfills.started_at IS 'When it began.';

COMMENT ON COLUMN inspect.backfills.progressed_at IS 'When the last of profiles_done were done.';

COMMENT ON COLUMN inspect.backfills.finished_at IS 'When it ended; null while it runs.';

COMMENT ON COLUMN inspect.backfills.error IS 'Why it failed.';

CREATE TABLE muster.computations (
    computation_id bigint NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    kind text NOT NULL,
    include_anonymous boolean DEFAULT false NOT NULL,
    include_historical boolean DEFAULT true NOT NULL,
    backfill_days integer,
    status text NOT NULL,
    status_reason text,
    version integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_seq bigint NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT computations_backfill_days_check CHECK (((backfill_days >= 1) AND (backfill_days <= 36500))),
    CONSTRAINT computations_check CHECK (((status = 'deleted'::text) = (deleted_at IS NOT NULL))),
    CONSTRAINT computations_key_check CHECK ((key ~ '^[a-z0-9_]{1,255}$'::text)),
    CONSTRAINT computations_kind_check CHECK ((kind = ANY (ARRAY['audience'::text, 'trait'::text]))),
    CONSTRAINT computations_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255))),
    CONSTRAINT computations_status_check CHECK ((status = ANY (ARRAY['preparing'::text, 'backfilling'::text, 'live'::text, 'disabled'::text, 'failed'::text, 'deleted'::text]))),
    CONSTRAINT computations_version_check CHECK ((version >= 0))
);

COMMENT ON TABLE muster.computations IS 'Audiences and computed traits.';

COMMENT ON COLUMN muster.computations.computation_id IS 'Number of the computation.';

COMMENT ON COLUMN muster.computations.key IS 'Name under which its value lives on the profile and in the destination; never changes.';

COMMENT ON COLUMN muster.computations.name IS 'Name for people.';

COMMENT ON COLUMN muster.computations.description IS 'What it is for.';

COMMENT ON COLUMN muster.computations.kind IS 'audience (a boolean) or trait (a value).';

COMMENT ON COLUMN muster.computations.include_anonymous IS 'True: an anonymous id alone makes a profile eligible, and anonymous ids are told.';

COMMENT ON COLUMN muster.computations.include_historical IS 'False: only events received after its creation count.';

COMMENT ON COLUMN muster.computations.backfill_days IS 'Only events from this many days before its creation on count; null: all.';

COMMENT ON COLUMN muster.computations.status IS 'preparing (waits for its backfill), backfilling, live, disabled, failed or deleted.';

COMMENT ON COLUMN muster.computations.status_reason IS 'Why it is in this status, where that is not obvious.';

COMMENT ON COLUMN muster.computations.version IS 'Version of the definition that serves all profiles; 0 before the first backfill is complete.';

COMMENT ON COLUMN muster.computations.created_at IS 'When it was defined.';

COMMENT ON COLUMN muster.computations.created_seq IS 'Last place in the order of arrival when it was defined: later events are received after its creation.';

COMMENT ON COLUMN muster.computations.deleted_at IS 'When it was deleted; its last values became plain traits.';

CREATE TABLE muster.value_changes (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    computation_id bigint NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    change_id bigint NOT NULL,
    value jsonb NOT NULL,
    reason text NOT NULL
)
PARTITION BY RANGE (changed_at);

COMMENT ON TABLE muster.value_changes IS 'History of computed_values, a partition a month.';

COMMENT ON COLUMN muster.value_changes.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.value_changes.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.value_changes.computation_id IS 'The computation.';

COMMENT ON COLUMN muster.value_changes.changed_at IS 'When it got the value.';

COMMENT ON COLUMN muster.value_changes.change_id IS 'Number of the change.';

COMMENT ON COLUMN muster.value_changes.value IS 'The value it got.';

COMMENT ON COLUMN muster.value_changes.reason IS 'Why.';

CREATE VIEW inspect.changes AS
 SELECT c.key,
    c.kind,
    h.profile_id,
    h.changed_at,
    h.value,
    h.reason,
    h.bucket
   FROM (muster.value_changes h
     JOIN muster.computations c USING (computation_id));

COMMENT ON VIEW inspect.changes IS 'History of memberships and trait values.';

COMMENT ON COLUMN inspect.changes.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';

COMMENT ON COLUMN inspect.changes.kind IS 'audience or trait.';

COMMENT ON COLUMN inspect.changes.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.changes.changed_at IS 'When it got the value.';

COMMENT ON COLUMN inspect.changes.value IS 'The value.';

COMMENT ON COLUMN inspect.changes.reason IS 'Why.';

COMMENT ON COLUMN inspect.changes.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE TABLE muster.computation_versions (
    computation_id bigint NOT NULL,
    version integer NOT NULL,
    query text NOT NULL,
    class text NOT NULL,
    schedule text NOT NULL,
    refresh text DEFAULT ''::text NOT NULL,
    backfill_id bigint,
    as_of timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT computation_versions_check CHECK (((class = 'scheduled'::text) = (schedule <> ''::text))),
    CONSTRAINT computation_versions_check1 CHECK (((refresh = ANY (ARRAY[''::text, 'realtime'::text])) AND ((refresh = ''::text) OR (class = 'scheduled'::text)))),
    CONSTRAINT computation_versions_class_check CHECK ((class = ANY (ARRAY['realtime'::text, 'scheduled'::text]))),
    CONSTRAINT computation_versions_version_check CHECK ((version >= 1))
);

COMMENT ON TABLE muster.computation_versions IS 'Every definition that a computation ever had; an edit adds one.';

COMMENT ON COLUMN muster.computation_versions.computation_id IS 'The computation.';

COMMENT ON COLUMN muster.computation_versions.version IS 'Number of the version, from 1.';

COMMENT ON COLUMN muster.computation_versions.query IS 'The definition in canonical text.';

COMMENT ON COLUMN muster.computation_versions.class IS 'realtime (changes only with events) or scheduled (the clock alone can change it).';

COMMENT ON COLUMN muster.computation_versions.schedule IS 'When a scheduled one is recomputed, as cron text in UTC; empty for realtime.';

COMMENT ON COLUMN muster.computation_versions.refresh IS 'realtime: a scheduled one that is also decided for a profile when a call comes that can change it; empty: at its slots only.';

COMMENT ON COLUMN muster.computation_versions.backfill_id IS 'The backfill that computes it for the profiles that exist already; null while it waits for one.';

COMMENT ON COLUMN muster.computation_versions.as_of IS 'Scheduled: the slot that its values are as of; null before its backfill begins.';

COMMENT ON COLUMN muster.computation_versions.created_at IS 'When it was defined.';

CREATE VIEW inspect.computations AS
 SELECT c.key,
    c.kind,
    c.name,
    c.status,
    c.status_reason,
    v.version,
    v.class,
    v.schedule,
    v.as_of,
    v.query,
    n.version AS next_version,
    n.query AS next_query,
    c.include_anonymous,
    c.created_at
   FROM ((muster.computations c
     LEFT JOIN muster.computation_versions v ON (((v.computation_id = c.computation_id) AND (v.version = c.version))))
     LEFT JOIN LATERAL ( SELECT x.version,
            x.query
           FROM muster.computation_versions x
          WHERE ((x.computation_id = c.computation_id) AND (x.version > c.version))
          ORDER BY x.version DESC
         LIMIT 1) n ON (true))
  WHERE (c.deleted_at IS NULL);

COMMENT ON VIEW inspect.computations IS 'Audiences and computed traits: definition, status, and the instant that their values are as of (null: the present).';

COMMENT ON COLUMN inspect.computations.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';

COMMENT ON COLUMN inspect.computations.kind IS 'audience or trait.';

COMMENT ON COLUMN inspect.computations.name IS 'Name.';

COMMENT ON COLUMN inspect.computations.status IS 'Where it stands.';

COMMENT ON COLUMN inspect.computations.status_reason IS 'Why, where that is not obvious.';

COMMENT ON COLUMN inspect.computations.version IS 'Version of the definition that serves.';

COMMENT ON COLUMN inspect.computations.class IS 'realtime or scheduled.';

COMMENT ON COLUMN inspect.computations.schedule IS 'Cron text in UTC; empty for realtime.';

COMMENT ON COLUMN inspect.computations.as_of IS 'The instant that the results are as of; null: the present.';

COMMENT ON COLUMN inspect.computations.query IS 'The definition.';

COMMENT ON COLUMN inspect.computations.next_version IS 'Version that waits for its backfill, or is in it.';

COMMENT ON COLUMN inspect.computations.next_query IS 'Its definition.';

COMMENT ON COLUMN inspect.computations.include_anonymous IS 'Whether an anonymous id alone makes a profile eligible.';

COMMENT ON COLUMN inspect.computations.created_at IS 'When it came to be.';

CREATE TABLE muster.connections (
    connection_id bigint NOT NULL,
    computation_id bigint NOT NULL,
    destination_id bigint NOT NULL,
    emit text NOT NULL,
    entered_event text DEFAULT 'Audience Entered'::text NOT NULL,
    exited_event text DEFAULT 'Audience Exited'::text NOT NULL,
    computed_event text DEFAULT 'Trait Computed'::text NOT NULL,
    id_strategy text DEFAULT 'all'::text NOT NULL,
    cleanup text DEFAULT 'none'::text NOT NULL,
    sets_property boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    swept_at timestamp with time zone,
    CONSTRAINT connections_cleanup_check CHECK ((cleanup = ANY (ARRAY['none'::text, 'exit'::text, 'unset'::text]))),
    CONSTRAINT connections_emit_check CHECK ((emit = ANY (ARRAY['identify'::text, 'track'::text, 'both'::text]))),
    CONSTRAINT connections_id_strategy_check CHECK ((id_strategy = ANY (ARRAY['all'::text, 'first'::text, 'last'::text])))
);

COMMENT ON TABLE muster.connections IS 'Which computation is told to which destination, and how.';

COMMENT ON COLUMN muster.connections.connection_id IS 'Number of the connection.';

COMMENT ON COLUMN muster.connections.computation_id IS 'What is told.';

COMMENT ON COLUMN muster.connections.destination_id IS 'To whom.';

COMMENT ON COLUMN muster.connections.emit IS 'identify (a property of the profile), track (an event), or both.';

COMMENT ON COLUMN muster.connections.entered_event IS 'Name of the event when a profile enters an audience.';

COMMENT ON COLUMN muster.connections.exited_event IS 'Name of the event when a profile leaves an audience.';

COMMENT ON COLUMN muster.connections.computed_event IS 'Name of the event when a computed trait gets a new value.';

COMMENT ON COLUMN muster.connections.id_strategy IS 'Which values of an id type with several are told: all, the first or the last; exits always go to all that were told.';

COMMENT ON COLUMN muster.connections.cleanup IS 'What the destination is told when the connection or its computation is removed: nothing, that all have left (exit), or that the property is gone (unset).';

COMMENT ON COLUMN muster.connections.sets_property IS 'It tells, or has told before it was edited, by identify calls: profiles may have the property.';

COMMENT ON COLUMN muster.connections.created_at IS 'When it was made.';

COMMENT ON COLUMN muster.connections.removed_at IS 'When it was removed; its ledger is no longer looked at.';

COMMENT ON COLUMN muster.connections.swept_at IS 'When its ledger was dropped, a while after it was removed.';

CREATE TABLE muster.dead_letters (
    dead_letter_id bigint NOT NULL,
    destination_id bigint NOT NULL,
    lane smallint NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    connection_id bigint NOT NULL,
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    form text NOT NULL,
    ids text NOT NULL,
    value jsonb NOT NULL,
    told integer NOT NULL,
    at timestamp with time zone NOT NULL,
    reason_told text NOT NULL,
    attempts integer NOT NULL,
    died_at timestamp with time zone NOT NULL,
    event text,
    call json,
    waits_in smallint,
    resolution text,
    resolved_at timestamp with time zone,
    CONSTRAINT dead_letters_kind_check CHECK ((kind = ANY (ARRAY['rejected'::text, 'uncertain'::text, 'gave_up'::text, 'undeliverable'::text]))),
    CONSTRAINT dead_letters_resolution_check CHECK ((resolution = ANY (ARRAY['retried'::text, 'dropped'::text, 'superseded'::text]))),
    CONSTRAINT dead_letters_waits_in_check CHECK (((waits_in >= 0) AND (waits_in <= 15)))
);

COMMENT ON TABLE muster.dead_letters IS 'Messages that were not told and that an operator decides about.';

COMMENT ON COLUMN muster.dead_letters.dead_letter_id IS 'Number of the dead letter.';

COMMENT ON COLUMN muster.dead_letters.destination_id IS 'To whom it should have gone.';

COMMENT ON COLUMN muster.dead_letters.lane IS 'Its lane in the queue.';

COMMENT ON COLUMN muster.dead_letters.seq IS 'Its position in the queue.';

COMMENT ON COLUMN muster.dead_letters.kind IS 'rejected (refused for good), uncertain (perhaps applied), gave_up (failed for too long), undeliverable (no id that the destination takes).';

COMMENT ON COLUMN muster.dead_letters.code IS 'Short name of the reason, for counting.';

COMMENT ON COLUMN muster.dead_letters.reason IS 'The reason in words.';

COMMENT ON COLUMN muster.dead_letters.connection_id IS 'What was to be told; 0: a forwarded call, or an alias.';

COMMENT ON COLUMN muster.dead_letters.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.dead_letters.profile_id IS 'The profile; 0: a forwarded call that no profile has seen.';

COMMENT ON COLUMN muster.dead_letters.form IS 'identify or track; of a call that is kept as such also page, screen, group or alias.';

COMMENT ON COLUMN muster.dead_letters.ids IS 'The combination of ids.';

COMMENT ON COLUMN muster.dead_letters.value IS 'The value; null of a forwarded call.';

COMMENT ON COLUMN muster.dead_letters.told IS 'Which message to this combination it was; 0 of a forwarded call.';

COMMENT ON COLUMN muster.dead_letters.at IS 'Time in the message.';

COMMENT ON COLUMN muster.dead_letters.reason_told IS 'Why it was to be told.';

COMMENT ON COLUMN muster.dead_letters.attempts IS 'How often the destination was asked.';

COMMENT ON COLUMN muster.dead_letters.died_at IS 'When it was given up.';

COMMENT ON COLUMN muster.dead_letters.event IS 'Name of the event, of what was computed and was to be told by one.';

COMMENT ON COLUMN muster.dead_letters.call IS 'The call, if it is forwarded or an alias; null of what was computed.';

COMMENT ON COLUMN muster.dead_letters.waits_in IS 'Of a call that makes one person of two ids: the lane of the other id, which waits for it. Null of all others.';

COMMENT ON COLUMN muster.dead_letters.resolution IS 'retried or dropped by an operator; superseded: it was to be retried, but its ids had been told a newer value; null while it waits for one.';

COMMENT ON COLUMN muster.dead_letters.resolved_at IS 'When.';

CREATE TABLE muster.destinations (
    destination_id bigint NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    halted_reason text,
    aliasing text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    configuration jsonb,
    CONSTRAINT destinations_aliasing_check CHECK ((aliasing = ANY (ARRAY[''::text, 'once'::text, 'each'::text, 'identify'::text]))),
    CONSTRAINT destinations_kind_check CHECK ((kind = 'mixpanel'::text)),
    CONSTRAINT destinations_name_check CHECK ((name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'::text))
);

COMMENT ON TABLE muster.destinations IS 'Whom changes are told to. Secrets stay in the environment, or in the configuration file.';

COMMENT ON COLUMN muster.destinations.destination_id IS 'Number of the destination.';

COMMENT ON COLUMN muster.destinations.name IS 'Name in the configuration file.';

COMMENT ON COLUMN muster.destinations.kind IS 'What it is; only mixpanel so far.';

COMMENT ON COLUMN muster.destinations.paused IS 'True: an operator stopped delivery; the queue is kept.';

COMMENT ON COLUMN muster.destinations.halted_reason IS 'Set when the destination refuses everything (such as wrong credentials): why delivery stopped by itself.';

COMMENT ON COLUMN muster.destinations.aliasing IS 'How it is told that an anonymous id has become a user''s: not at all (empty), by one alias for a user id before anything else of that (once), by an alias for each pair of ids (each), by an identify with both (identify).';

COMMENT ON COLUMN muster.destinations.created_at IS 'When it was first configured.';

COMMENT ON COLUMN muster.destinations.removed_at IS 'When it left the configuration; its ledger is no longer looked at.';

COMMENT ON COLUMN muster.destinations.configuration IS 'Its settings as configured. Of a secret it holds the name of the variable that has it, if one has, and a hash; null: not known.';

CREATE VIEW inspect.dead_letters AS
 SELECT l.dead_letter_id,
    d.name AS destination,
    c.key,
    l.kind,
    l.code,
    l.reason,
    l.profile_id,
    l.ids,
    l.value,
    l.attempts,
    l.died_at,
    l.resolution,
    l.resolved_at,
    l.call
   FROM (((muster.dead_letters l
     JOIN muster.destinations d USING (destination_id))
     LEFT JOIN muster.connections n USING (connection_id))
     LEFT JOIN muster.computations c ON ((c.computation_id = n.computation_id)));

COMMENT ON VIEW inspect.dead_letters IS 'Messages that were not told, with the reason.';

COMMENT ON COLUMN inspect.dead_letters.dead_letter_id IS 'Number of the dead letter.';

COMMENT ON COLUMN inspect.dead_letters.destination IS 'To whom.';

COMMENT ON COLUMN inspect.dead_letters.key IS 'Key of the audience or trait; null of a forwarded call.';

COMMENT ON COLUMN inspect.dead_letters.kind IS 'audience or trait.';

COMMENT ON COLUMN inspect.dead_letters.code IS 'Short name of the reason.';

COMMENT ON COLUMN inspect.dead_letters.reason IS 'Why.';

COMMENT ON COLUMN inspect.dead_letters.profile_id IS 'The profile; 0: a forwarded call that no profile has seen.';

COMMENT ON COLUMN inspect.dead_letters.ids IS 'The combination of external ids that the call carries.';

COMMENT ON COLUMN inspect.dead_letters.value IS 'The value; null of a forwarded call.';

COMMENT ON COLUMN inspect.dead_letters.attempts IS 'How often the destination was asked.';

COMMENT ON COLUMN inspect.dead_letters.died_at IS 'When it was given up.';

COMMENT ON COLUMN inspect.dead_letters.resolution IS 'retried or dropped; null while it waits for a decision.';

COMMENT ON COLUMN inspect.dead_letters.resolved_at IS 'When that was decided.';

COMMENT ON COLUMN inspect.dead_letters.call IS 'The call of a source that was forwarded; null of what was computed.';

CREATE TABLE muster.event_names (
    event_name_id bigint NOT NULL,
    name text NOT NULL
);

COMMENT ON TABLE muster.event_names IS 'Every event name ever seen or asked for by a definition, so that an event stores a number.';

COMMENT ON COLUMN muster.event_names.event_name_id IS 'Number of the name.';

COMMENT ON COLUMN muster.event_names.name IS 'The name as sent; page and screen calls are Page Viewed and Screen Viewed.';

CREATE TABLE muster.events (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    event_name_id bigint NOT NULL,
    ts timestamp with time zone NOT NULL,
    seq bigint NOT NULL,
    source_id bigint NOT NULL,
    received_at timestamp with time zone NOT NULL,
    message_id text NOT NULL,
    properties jsonb,
    context jsonb
)
PARTITION BY RANGE (ts);

COMMENT ON TABLE muster.events IS 'Track, page and screen calls, a partition a month of their timestamps. The key finds a profile''s history; the two BRIN indexes find what entered and left a window.';

COMMENT ON COLUMN muster.events.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.events.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.events.event_name_id IS 'Name of the event, see event_names.';

COMMENT ON COLUMN muster.events.ts IS 'When it happened: the call''s timestamp, corrected for the client''s clock.';

COMMENT ON COLUMN muster.events.seq IS 'Order of arrival.';

COMMENT ON COLUMN muster.events.source_id IS 'Where it came from.';

COMMENT ON COLUMN muster.events.received_at IS 'When it was received.';

COMMENT ON COLUMN muster.events.message_id IS 'Id of the call.';

COMMENT ON COLUMN muster.events.properties IS 'Properties; for pages and screens also page_name and screen_name.';

COMMENT ON COLUMN muster.events.context IS 'Context of the call.';

CREATE TABLE muster.sources (
    source_id bigint NOT NULL,
    name text NOT NULL,
    write_key_hash bytea,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone NOT NULL,
    origin text DEFAULT 'import'::text NOT NULL,
    rate double precision,
    configured_rate double precision,
    CONSTRAINT sources_configured_rate_check CHECK (((configured_rate >= (0.001)::double precision) AND (configured_rate <= (1000000)::double precision))),
    CONSTRAINT sources_name_check CHECK ((name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$'::text)),
    CONSTRAINT sources_origin_check CHECK ((origin = ANY (ARRAY['config'::text, 'command'::text, 'import'::text]))),
    CONSTRAINT sources_rate_check CHECK (((rate >= (0.001)::double precision) AND (rate <= (1000000)::double precision))),
    CONSTRAINT sources_write_key_hash_check CHECK ((octet_length(write_key_hash) = 32))
);

COMMENT ON TABLE muster.sources IS 'Where calls come from: an app, a server, an import.';

COMMENT ON COLUMN muster.sources.source_id IS 'Number of the source, as events carry it.';

COMMENT ON COLUMN muster.sources.name IS 'Name of the source; the id that sources({exclude: ...}) names.';

COMMENT ON COLUMN muster.sources.write_key_hash IS 'SHA-256 of the write key; null when the source takes no calls over HTTP.';

COMMENT ON COLUMN muster.sources.enabled IS 'False: its calls are refused.';

COMMENT ON COLUMN muster.sources.created_at IS 'When it was created.';

COMMENT ON COLUMN muster.sources.origin IS 'Where its write key is kept: config (in the configuration file), command (made by muster source), or import (it has none).';

COMMENT ON COLUMN muster.sources.rate IS 'Requests that it may send per second, on average and in a burst, as set by command; null: what the configuration file says.';

COMMENT ON COLUMN muster.sources.configured_rate IS 'The same as set in the configuration file; null: the default.';

CREATE VIEW inspect.events AS
 SELECT e.profile_id,
    n.name,
    e.ts,
    e.received_at,
    s.name AS source,
    e.message_id,
    e.properties,
    e.context,
    e.bucket
   FROM ((muster.events e
     JOIN muster.event_names n USING (event_name_id))
     JOIN muster.sources s USING (source_id));

COMMENT ON VIEW inspect.events IS 'Events with their names. Give a range of ts, or bucket and profile_id: the log is long.';

COMMENT ON COLUMN inspect.events.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.events.name IS 'Name.';

COMMENT ON COLUMN inspect.events.ts IS 'When it happened.';

COMMENT ON COLUMN inspect.events.received_at IS 'When it was received.';

COMMENT ON COLUMN inspect.events.source IS 'Where it came from.';

COMMENT ON COLUMN inspect.events.message_id IS 'The call.';

COMMENT ON COLUMN inspect.events.properties IS 'Properties.';

COMMENT ON COLUMN inspect.events.context IS 'Context.';

COMMENT ON COLUMN inspect.events.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE TABLE muster.external_ids (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    id_type text NOT NULL,
    id_value text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    message_id text NOT NULL
);

COMMENT ON TABLE muster.external_ids IS 'The ids by which a profile is known outside.';

COMMENT ON COLUMN muster.external_ids.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.external_ids.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.external_ids.id_type IS 'user_id, email, anonymous_id, ...';

COMMENT ON COLUMN muster.external_ids.id_value IS 'The id; emails in lower case.';

COMMENT ON COLUMN muster.external_ids.added_at IS 'When the profile got it.';

COMMENT ON COLUMN muster.external_ids.message_id IS 'The call that brought it.';

CREATE VIEW inspect.external_ids AS
 SELECT e.id_type,
    e.id_value,
    e.profile_id,
    e.added_at,
    e.message_id,
    e.bucket
   FROM muster.external_ids e;

COMMENT ON VIEW inspect.external_ids IS 'Which profile has which external id, since when, and by which call.';

COMMENT ON COLUMN inspect.external_ids.id_type IS 'Type of the id.';

COMMENT ON COLUMN inspect.external_ids.id_value IS 'The id.';

COMMENT ON COLUMN inspect.external_ids.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.external_ids.added_at IS 'Since when the profile has it.';

COMMENT ON COLUMN inspect.external_ids.message_id IS 'The call.';

COMMENT ON COLUMN inspect.external_ids.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE TABLE muster.computed_values (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    computation_id bigint NOT NULL,
    value jsonb NOT NULL,
    since timestamp with time zone NOT NULL,
    reason text NOT NULL
)
WITH (fillfactor='75');

COMMENT ON TABLE muster.computed_values IS 'Present values: true for members, false for former members (who never was one has no row); a trait''s value, JSON null when it has none any more.';

COMMENT ON COLUMN muster.computed_values.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.computed_values.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.computed_values.computation_id IS 'The computation.';

COMMENT ON COLUMN muster.computed_values.value IS 'The value.';

COMMENT ON COLUMN muster.computed_values.since IS 'Since when it has this value.';

COMMENT ON COLUMN muster.computed_values.reason IS 'What made it change: event, trait, slot, backfill, edit, merge, cascade, repair.';

CREATE VIEW inspect.members AS
 SELECT c.key,
    v.profile_id,
    v.since,
    v.reason,
    v.bucket
   FROM (muster.computed_values v
     JOIN muster.computations c USING (computation_id))
  WHERE ((c.kind = 'audience'::text) AND (v.value = 'true'::jsonb));

COMMENT ON VIEW inspect.members IS 'Who is in which audience, since when, and what made it so.';

COMMENT ON COLUMN inspect.members.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';

COMMENT ON COLUMN inspect.members.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.members.since IS 'Since when.';

COMMENT ON COLUMN inspect.members.reason IS 'Why.';

COMMENT ON COLUMN inspect.members.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE TABLE muster.profile_merges (
    bucket integer NOT NULL,
    loser_id bigint NOT NULL,
    survivor_id bigint NOT NULL,
    merged_at timestamp with time zone NOT NULL,
    message_id text NOT NULL
);

COMMENT ON TABLE muster.profile_merges IS 'Which profile was merged into which, when, and by which call.';

COMMENT ON COLUMN muster.profile_merges.bucket IS 'Bucket of the profile that is no more.';

COMMENT ON COLUMN muster.profile_merges.loser_id IS 'The profile that is no more.';

COMMENT ON COLUMN muster.profile_merges.survivor_id IS 'The profile that has its ids, events and traits now.';

COMMENT ON COLUMN muster.profile_merges.merged_at IS 'When.';

COMMENT ON COLUMN muster.profile_merges.message_id IS 'The call that carried ids of both.';

CREATE VIEW inspect.merges AS
 SELECT m.loser_id,
    m.survivor_id,
    m.merged_at,
    m.message_id
   FROM muster.profile_merges m;

COMMENT ON VIEW inspect.merges IS 'Which profile was merged into which, and by which call.';

COMMENT ON COLUMN inspect.merges.loser_id IS 'The profile that is no more.';

COMMENT ON COLUMN inspect.merges.survivor_id IS 'The profile that has all its ids and events now.';

COMMENT ON COLUMN inspect.merges.merged_at IS 'When.';

COMMENT ON COLUMN inspect.merges.message_id IS 'The call.';

CREATE TABLE muster.leaves (
    leaf_id bigint NOT NULL,
    text text NOT NULL,
    schedule text NOT NULL,
    since_seq bigint DEFAULT 0 NOT NULL,
    since timestamp with time zone,
    built boolean DEFAULT false NOT NULL,
    cut bigint DEFAULT 0 NOT NULL,
    as_of timestamp with time zone,
    CONSTRAINT leaves_check CHECK (((as_of IS NULL) OR (schedule <> ''::text))),
    CONSTRAINT leaves_cut_check CHECK ((cut >= 0)),
    CONSTRAINT leaves_since_seq_check CHECK ((since_seq >= 0))
);

COMMENT ON TABLE muster.leaves IS 'One event(...) chain of one or more definitions; equal ones are computed once.';

COMMENT ON COLUMN muster.leaves.leaf_id IS 'Number of the leaf.';

COMMENT ON COLUMN muster.leaves.text IS 'Its canonical text.';

COMMENT ON COLUMN muster.leaves.schedule IS 'Cron text of the computations that share a window over it; empty when it has no window.';

COMMENT ON COLUMN muster.leaves.since_seq IS 'Only events that arrived after this one count (include_historical: false); 0: all.';

COMMENT ON COLUMN muster.leaves.since IS 'Only events stamped at or after this instant count (backfill_days); null: all.';

COMMENT ON COLUMN muster.leaves.built IS 'True when its states are complete for every profile.';

COMMENT ON COLUMN muster.leaves.cut IS 'Windowed: the states hold the events that arrived up to this one. Unwindowed: the events up to this one are the backfill''s, later ones come by themselves.';

COMMENT ON COLUMN muster.leaves.as_of IS 'Windowed: the instant at which the states show the window; null without a window.';

CREATE TABLE muster.overflows (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    leaf_id bigint NOT NULL,
    dropped bigint NOT NULL,
    CONSTRAINT overflows_dropped_check CHECK ((dropped > 0))
);

COMMENT ON TABLE muster.overflows IS 'Where a mode or unique chain has seen more different values of a profile than it keeps.';

COMMENT ON COLUMN muster.overflows.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.overflows.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.overflows.leaf_id IS 'The chain.';

COMMENT ON COLUMN muster.overflows.dropped IS 'How often the values occurred that are not kept.';

CREATE TABLE muster.version_leaves (
    computation_id bigint NOT NULL,
    version integer NOT NULL,
    leaf_id bigint NOT NULL
);

COMMENT ON TABLE muster.version_leaves IS 'Which leaves a version of a definition reads, from the beginning of its backfill on.';

COMMENT ON COLUMN muster.version_leaves.computation_id IS 'The computation.';

COMMENT ON COLUMN muster.version_leaves.version IS 'Its version.';

COMMENT ON COLUMN muster.version_leaves.leaf_id IS 'A leaf that it reads.';

CREATE VIEW inspect.overflows AS
 SELECT c.key,
    o.profile_id,
    l.text AS chain,
    o.dropped
   FROM (((muster.overflows o
     JOIN muster.leaves l USING (leaf_id))
     JOIN muster.version_leaves r USING (leaf_id))
     JOIN muster.computations c ON (((c.computation_id = r.computation_id) AND (c.version = r.version))))
  WHERE (c.deleted_at IS NULL);

COMMENT ON VIEW inspect.overflows IS 'Profiles of which a mode or unique chain has seen more different values than the 10,000 that it keeps.';

COMMENT ON COLUMN inspect.overflows.key IS 'The computation that reads the chain.';

COMMENT ON COLUMN inspect.overflows.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.overflows.chain IS 'The event chain.';

COMMENT ON COLUMN inspect.overflows.dropped IS 'How often the values occurred that are not kept.';

CREATE TABLE muster.profiles (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    merges integer DEFAULT 0 NOT NULL,
    ids integer DEFAULT 0 NOT NULL,
    suppressed boolean DEFAULT false NOT NULL,
    CONSTRAINT profiles_bucket_check CHECK (((bucket >= 0) AND (bucket <= 1023)))
)
WITH (fillfactor='85');

COMMENT ON TABLE muster.profiles IS 'People, as far as their external ids tell. Locking the row is what makes two transactions on one profile take turns.';

COMMENT ON COLUMN muster.profiles.bucket IS 'Fixed hash of profile_id, 0 to 1,023: the unit of parallelism.';

COMMENT ON COLUMN muster.profiles.profile_id IS 'Number of the profile; of two that merge the lower one survives.';

COMMENT ON COLUMN muster.profiles.created_at IS 'When its first call was received.';

COMMENT ON COLUMN muster.profiles.merges IS 'How many profiles were merged into it.';

COMMENT ON COLUMN muster.profiles.ids IS 'How many external ids it has.';

COMMENT ON COLUMN muster.profiles.suppressed IS 'True while its ids are on the suppression list: its values stay as they are, and nothing of it is told.';

CREATE VIEW inspect.profiles AS
 SELECT p.profile_id,
    p.created_at,
    p.merges,
    ( SELECT array_agg(e.id_value ORDER BY e.added_at) AS array_agg
           FROM muster.external_ids e
          WHERE ((e.bucket = p.bucket) AND (e.profile_id = p.profile_id) AND (e.id_type = 'user_id'::text))) AS user_ids,
    ( SELECT array_agg(e.id_value ORDER BY e.added_at) AS array_agg
           FROM muster.external_ids e
          WHERE ((e.bucket = p.bucket) AND (e.profile_id = p.profile_id) AND (e.id_type = 'email'::text))) AS emails,
    ( SELECT array_agg(e.id_value ORDER BY e.added_at) AS array_agg
           FROM muster.external_ids e
          WHERE ((e.bucket = p.bucket) AND (e.profile_id = p.profile_id) AND (e.id_type = 'anonymous_id'::text))) AS anonymous_ids,
    p.bucket
   FROM muster.profiles p;

COMMENT ON VIEW inspect.profiles IS 'Profiles with the ids that destinations know them by.';

COMMENT ON COLUMN inspect.profiles.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.profiles.created_at IS 'When it came to be.';

COMMENT ON COLUMN inspect.profiles.merges IS 'How many profiles were merged into it.';

COMMENT ON COLUMN inspect.profiles.user_ids IS 'Its user ids, oldest first.';

COMMENT ON COLUMN inspect.profiles.emails IS 'Its emails, oldest first.';

COMMENT ON COLUMN inspect.profiles.anonymous_ids IS 'Its anonymous ids, oldest first.';

COMMENT ON COLUMN inspect.profiles.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE TABLE muster.queue (
    destination_id bigint NOT NULL,
    seq bigint NOT NULL,
    connection_id bigint NOT NULL,
    profile_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    barrier bigint,
    bucket integer NOT NULL,
    told integer NOT NULL,
    lane smallint NOT NULL,
    form text NOT NULL,
    reason text NOT NULL,
    ids text NOT NULL,
    value jsonb NOT NULL,
    event text,
    call json,
    CONSTRAINT queue_check CHECK (((call IS NULL) = (connection_id <> 0))),
    CONSTRAINT queue_check1 CHECK (((barrier IS NULL) OR (call IS NOT NULL))),
    CONSTRAINT queue_lane_check CHECK (((lane >= 0) AND (lane <= 15)))
)
PARTITION BY RANGE (seq);

COMMENT ON TABLE muster.queue IS 'Messages to be told, a log: appended with the change that made them, read in order, dropped by whole partitions when every destination is past them.';

COMMENT ON COLUMN muster.queue.destination_id IS 'To whom.';

COMMENT ON COLUMN muster.queue.seq IS 'Position; within a lane, commit order.';

COMMENT ON COLUMN muster.queue.connection_id IS 'What is told, and how; 0: nothing computed, but the call of a source, or an alias.';

COMMENT ON COLUMN muster.queue.profile_id IS 'The profile when it was queued; 0: a forwarded call that no profile has seen.';

COMMENT ON COLUMN muster.queue.at IS 'Time in the message.';

COMMENT ON COLUMN muster.queue.queued_at IS 'When it was queued.';

COMMENT ON COLUMN muster.queue.barrier IS 'Of a call that makes one person of two ids, which stands in the lanes of both: the seq of its other row. The row that comes second is sent, the first only waits for that. Null of all others.';

COMMENT ON COLUMN muster.queue.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.queue.told IS 'Which message to this combination it is; with the other columns it makes the message id. 0 of a forwarded call, which has its own.';

COMMENT ON COLUMN muster.queue.lane IS 'Range of buckets of the id that the destination files the message under; order holds within a lane.';

COMMENT ON COLUMN muster.queue.form IS 'identify or track; of a call that is kept as such also page, screen, group or alias.';

COMMENT ON COLUMN muster.queue.reason IS 'Why it is told: entered, exited, changed, first_sync, new_external_id, merge, definition_edit, resync, cleanup, repair; forwarded: it is a source''s own call; alias: an anonymous id has become a user''s.';

COMMENT ON COLUMN muster.queue.ids IS 'The combination of ids that the call carries.';

COMMENT ON COLUMN muster.queue.value IS 'The value; null of a forwarded call.';

COMMENT ON COLUMN muster.queue.event IS 'Name of the event, of what was computed and is told by one.';

COMMENT ON COLUMN muster.queue.call IS 'The call, if it is forwarded or an alias; null of what was computed.';

CREATE TABLE muster.queue_positions (
    destination_id bigint NOT NULL,
    lane smallint NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    ahead bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    in_flight bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    delivered bigint DEFAULT 0 NOT NULL,
    failing_seq bigint DEFAULT 0 NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    next_attempt_at timestamp with time zone,
    last_code text DEFAULT ''::text NOT NULL,
    last_reason text DEFAULT ''::text NOT NULL,
    owner text DEFAULT ''::text NOT NULL,
    lease_until timestamp with time zone,
    token bigint DEFAULT 0 NOT NULL,
    moved_at timestamp with time zone,
    CONSTRAINT queue_positions_lane_check CHECK (((lane >= 0) AND (lane <= 15)))
)
WITH (fillfactor='50');

COMMENT ON TABLE muster.queue_positions IS 'How far each destination has read each lane, and which process reads it.';

COMMENT ON COLUMN muster.queue_positions.destination_id IS 'The destination.';

COMMENT ON COLUMN muster.queue_positions.lane IS 'The lane.';

COMMENT ON COLUMN muster.queue_positions.seq IS 'Everything up to here is settled: acknowledged, or in the dead letters.';

COMMENT ON COLUMN muster.queue_positions.ahead IS 'Messages behind the position that are settled already.';

COMMENT ON COLUMN muster.queue_positions.in_flight IS 'Messages that must not be repeated blindly and were being sent; after a crash they are uncertain.';

COMMENT ON COLUMN muster.queue_positions.delivered IS 'How many messages were acknowledged.';

COMMENT ON COLUMN muster.queue_positions.failing_seq IS 'The oldest message that fails; 0 when none does.';

COMMENT ON COLUMN muster.queue_positions.attempt IS 'How often it has failed.';

COMMENT ON COLUMN muster.queue_positions.failing_since IS 'Since when it fails.';

COMMENT ON COLUMN muster.queue_positions.next_attempt_at IS 'Nothing of the lane is sent before this instant.';

COMMENT ON COLUMN muster.queue_positions.last_code IS 'Short name of the last failure.';

COMMENT ON COLUMN muster.queue_positions.last_reason IS 'The last failure in words.';

COMMENT ON COLUMN muster.queue_positions.owner IS 'The process that delivers the lane; empty: nobody.';

COMMENT ON COLUMN muster.queue_positions.lease_until IS 'After this instant another process may take the lane over.';

COMMENT ON COLUMN muster.queue_positions.token IS 'Grows each time the lane changes hands; what an earlier holder says is refused.';

COMMENT ON COLUMN muster.queue_positions.moved_at IS 'When the position last moved.';

CREATE VIEW inspect.queue_lag AS
 SELECT d.name AS destination,
    p.lane,
    d.paused,
    d.halted_reason,
    p.seq AS "position",
    p.delivered,
    ( SELECT count(*) AS count
           FROM muster.queue q
          WHERE ((q.destination_id = p.destination_id) AND (q.lane = p.lane) AND (q.seq > p.seq))) AS waiting,
    ( SELECT min(q.queued_at) AS min
           FROM muster.queue q
          WHERE ((q.destination_id = p.destination_id) AND (q.lane = p.lane) AND (q.seq > p.seq))) AS oldest,
    p.attempt,
    p.next_attempt_at,
    p.last_code,
    p.last_reason,
    p.moved_at
   FROM (muster.queue_positions p
     JOIN muster.destinations d USING (destination_id));

COMMENT ON VIEW inspect.queue_lag IS 'What waits to be told, by destination and lane, and why if it fails.';

COMMENT ON COLUMN inspect.queue_lag.destination IS 'To whom.';

COMMENT ON COLUMN inspect.queue_lag.lane IS 'The lane.';

COMMENT ON COLUMN inspect.queue_lag.paused IS 'An operator stopped delivery.';

COMMENT ON COLUMN inspect.queue_lag.halted_reason IS 'Why delivery stopped by itself.';

COMMENT ON COLUMN inspect.queue_lag."position" IS 'Everything up to here is settled.';

COMMENT ON COLUMN inspect.queue_lag.delivered IS 'Messages acknowledged.';

COMMENT ON COLUMN inspect.queue_lag.waiting IS 'Messages that wait.';

COMMENT ON COLUMN inspect.queue_lag.oldest IS 'Since when the oldest waits.';

COMMENT ON COLUMN inspect.queue_lag.attempt IS 'How often it was tried.';

COMMENT ON COLUMN inspect.queue_lag.next_attempt_at IS 'Nothing is sent before.';

COMMENT ON COLUMN inspect.queue_lag.last_code IS 'Short name of the last failure.';

COMMENT ON COLUMN inspect.queue_lag.last_reason IS 'The last failure.';

COMMENT ON COLUMN inspect.queue_lag.moved_at IS 'When it last moved.';

CREATE UNLOGGED TABLE muster.recent_calls (
    source_id bigint NOT NULL,
    call_id bigint NOT NULL,
    received_at timestamp with time zone NOT NULL,
    message_id text NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    outcome text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    call text NOT NULL,
    ids jsonb NOT NULL,
    CONSTRAINT recent_calls_outcome_check CHECK ((outcome = ANY (ARRAY['accepted'::text, 'duplicate'::text, 'suppressed'::text, 'skipped'::text, 'rejected'::text])))
);

COMMENT ON TABLE muster.recent_calls IS 'The debugger: the latest calls of each source with what became of them, 500 a source. Gone after a crash of the database.';

COMMENT ON COLUMN muster.recent_calls.source_id IS 'The source.';

COMMENT ON COLUMN muster.recent_calls.call_id IS 'Order of arrival.';

COMMENT ON COLUMN muster.recent_calls.received_at IS 'When it was received.';

COMMENT ON COLUMN muster.recent_calls.message_id IS 'Its id; empty for suppressed calls and whole requests.';

COMMENT ON COLUMN muster.recent_calls.type IS 'identify, track, page, screen, group, alias, or what it said it was.';

COMMENT ON COLUMN muster.recent_calls.name IS 'Name of the event, page or screen; empty where there is none, and for suppressed calls.';

COMMENT ON COLUMN muster.recent_calls.outcome IS 'accepted, duplicate, suppressed, skipped (it must not touch profiles) or rejected.';

COMMENT ON COLUMN muster.recent_calls.code IS 'Short name of the reason.';

COMMENT ON COLUMN muster.recent_calls.reason IS 'The reason in words.';

COMMENT ON COLUMN muster.recent_calls.call IS 'Its beginning, at most 4 KiB, without write key; empty for suppressed calls and whole requests.';

COMMENT ON COLUMN muster.recent_calls.ids IS 'The external ids that were found in it, as TYPE:VALUE, by which it is found when somebody is to be forgotten; none for suppressed calls and whole requests.';

CREATE VIEW inspect.recent_calls AS
 SELECT r.call_id,
    s.name AS source,
    r.received_at,
    r.outcome,
    r.code,
    r.reason,
    r.type,
    r.name,
    r.message_id,
    r.call,
    r.ids
   FROM (muster.recent_calls r
     JOIN muster.sources s USING (source_id));

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

CREATE TABLE muster.runs (
    run_id bigint NOT NULL,
    computation_id bigint NOT NULL,
    kind text NOT NULL,
    as_of timestamp with time zone NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    events_read bigint DEFAULT 0 NOT NULL,
    profiles bigint DEFAULT 0 NOT NULL,
    entered bigint DEFAULT 0 NOT NULL,
    exited bigint DEFAULT 0 NOT NULL,
    changed bigint DEFAULT 0 NOT NULL,
    CONSTRAINT runs_kind_check CHECK ((kind = ANY (ARRAY['slot'::text, 'backfill'::text, 'resync'::text, 'cleanup'::text])))
);

COMMENT ON TABLE muster.runs IS 'What a slot, a backfill, a resync or a cleanup did for one computation.';

COMMENT ON COLUMN muster.runs.run_id IS 'Number of the run.';

COMMENT ON COLUMN muster.runs.computation_id IS 'The computation.';

COMMENT ON COLUMN muster.runs.kind IS 'slot, backfill, resync (everything was told again) or cleanup (what was told was taken back).';

COMMENT ON COLUMN muster.runs.as_of IS 'The instant that the results are as of.';

COMMENT ON COLUMN muster.runs.started_at IS 'When it began.';

COMMENT ON COLUMN muster.runs.finished_at IS 'When it ended; null while it runs.';

COMMENT ON COLUMN muster.runs.events_read IS 'Events read (shared by all computations of the slot).';

COMMENT ON COLUMN muster.runs.profiles IS 'Profiles evaluated; of a resync or cleanup those that were told.';

COMMENT ON COLUMN muster.runs.entered IS 'Profiles that became members.';

COMMENT ON COLUMN muster.runs.exited IS 'Profiles that ceased to be members.';

COMMENT ON COLUMN muster.runs.changed IS 'Profiles whose trait got another value.';

CREATE VIEW inspect.runs AS
 SELECT c.key,
    r.kind,
    r.as_of,
    r.started_at,
    r.finished_at,
    r.events_read,
    r.profiles,
    r.entered,
    r.exited,
    r.changed
   FROM (muster.runs r
     JOIN muster.computations c USING (computation_id));

COMMENT ON VIEW inspect.runs IS 'What each slot and backfill did for each computation.';

COMMENT ON COLUMN inspect.runs.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';

COMMENT ON COLUMN inspect.runs.kind IS 'audience or trait.';

COMMENT ON COLUMN inspect.runs.as_of IS 'The instant that the results are as of; null: the present.';

COMMENT ON COLUMN inspect.runs.started_at IS 'When it began.';

COMMENT ON COLUMN inspect.runs.finished_at IS 'When it ended; null while it runs.';

COMMENT ON COLUMN inspect.runs.events_read IS 'Events read.';

COMMENT ON COLUMN inspect.runs.profiles IS 'Profiles evaluated.';

COMMENT ON COLUMN inspect.runs.entered IS 'Profiles that became members.';

COMMENT ON COLUMN inspect.runs.exited IS 'Profiles that ceased to be members.';

COMMENT ON COLUMN inspect.runs.changed IS 'Profiles whose trait got another value.';

CREATE TABLE muster.slots (
    schedule text NOT NULL,
    slot timestamp with time zone NOT NULL,
    status text NOT NULL,
    owner text NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    attempt integer NOT NULL,
    missed integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    retry_at timestamp with time zone,
    error text,
    CONSTRAINT slots_attempt_check CHECK ((attempt >= 1)),
    CONSTRAINT slots_status_check CHECK ((status = ANY (ARRAY['running'::text, 'done'::text, 'failed'::text])))
);

COMMENT ON TABLE muster.slots IS 'Scheduled instants that were or are being computed. The key makes one slot one run, however many processes there are.';

COMMENT ON COLUMN muster.slots.schedule IS 'Cron text.';

COMMENT ON COLUMN muster.slots.slot IS 'The instant that the results are as of.';

COMMENT ON COLUMN muster.slots.status IS 'running, done or failed.';

COMMENT ON COLUMN muster.slots.owner IS 'Whose attempt it is: a new text for each.';

COMMENT ON COLUMN muster.slots.lease_until IS 'After this instant another process may take it over.';

COMMENT ON COLUMN muster.slots.attempt IS 'How often it was begun.';

COMMENT ON COLUMN muster.slots.missed IS 'How many older slots it stands for, that passed while nothing ran.';

COMMENT ON COLUMN muster.slots.started_at IS 'When the attempt began.';

COMMENT ON COLUMN muster.slots.finished_at IS 'When it ended.';

COMMENT ON COLUMN muster.slots.retry_at IS 'When a failed slot is tried again.';

COMMENT ON COLUMN muster.slots.error IS 'Why it failed.';

CREATE VIEW inspect.slots AS
 SELECT s.schedule,
    s.slot,
    s.status,
    s.attempt,
    s.missed,
    s.started_at,
    s.finished_at,
    s.retry_at,
    s.error
   FROM muster.slots s;

COMMENT ON VIEW inspect.slots IS 'Scheduled instants: done, running, or failed and why.';

COMMENT ON COLUMN inspect.slots.schedule IS 'Cron text in UTC; empty for realtime.';

COMMENT ON COLUMN inspect.slots.slot IS 'The instant.';

COMMENT ON COLUMN inspect.slots.status IS 'Where it stands.';

COMMENT ON COLUMN inspect.slots.attempt IS 'How often it was tried.';

COMMENT ON COLUMN inspect.slots.missed IS 'Older slots that it stands for.';

COMMENT ON COLUMN inspect.slots.started_at IS 'When it began.';

COMMENT ON COLUMN inspect.slots.finished_at IS 'When it ended; null while it runs.';

COMMENT ON COLUMN inspect.slots.retry_at IS 'When it is tried again.';

COMMENT ON COLUMN inspect.slots.error IS 'Why it failed.';

CREATE TABLE muster.rotated_write_keys (
    write_key_hash bytea NOT NULL,
    source_id bigint NOT NULL,
    works_until timestamp with time zone NOT NULL,
    CONSTRAINT rotated_write_keys_write_key_hash_check CHECK ((octet_length(write_key_hash) = 32))
);

COMMENT ON TABLE muster.rotated_write_keys IS 'Write keys that were replaced and work for a while longer, so that apps can be changed one by one.';

COMMENT ON COLUMN muster.rotated_write_keys.write_key_hash IS 'SHA-256 of the key.';

COMMENT ON COLUMN muster.rotated_write_keys.source_id IS 'Its source.';

COMMENT ON COLUMN muster.rotated_write_keys.works_until IS 'From this instant on it is refused.';

CREATE VIEW inspect.sources AS
 SELECT s.name,
    s.enabled,
    s.origin,
    (s.write_key_hash IS NOT NULL) AS has_key,
    COALESCE(s.rate, s.configured_rate) AS rate,
    s.created_at,
    ( SELECT max(k.works_until) AS max
           FROM muster.rotated_write_keys k
          WHERE (k.source_id = s.source_id)) AS old_keys_until,
    ( SELECT r.received_at
           FROM muster.recent_calls r
          WHERE (r.source_id = s.source_id)
          ORDER BY r.call_id DESC
         LIMIT 1) AS last_call_at
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

CREATE VIEW inspect.storage AS
 SELECT (t.relname)::text AS name,
    (count(*))::integer AS partitions,
    (sum(GREATEST(c.reltuples, (0)::real)))::bigint AS rows,
    (sum(pg_total_relation_size((p.relid)::regclass)))::bigint AS bytes,
    (sum(pg_indexes_size((p.relid)::regclass)))::bigint AS index_bytes,
    obj_description(t.oid, 'pg_class'::name) AS holds
   FROM ((pg_class t
     CROSS JOIN LATERAL ( SELECT t.oid AS relid
          WHERE (t.relkind = 'r'::"char")
        UNION ALL
         SELECT i.inhrelid
           FROM pg_inherits i
          WHERE (i.inhparent = t.oid)) p)
     JOIN pg_class c ON ((c.oid = p.relid)))
  WHERE ((t.relnamespace = ('muster'::regnamespace)::oid) AND (t.relkind = ANY (ARRAY['r'::"char", 'p'::"char"])) AND (NOT t.relispartition))
  GROUP BY t.oid, t.relname;

COMMENT ON VIEW inspect.storage IS 'What the tables take on disk, as far as PostgreSQL knows it.';

COMMENT ON COLUMN inspect.storage.name IS 'The table in the schema muster.';

COMMENT ON COLUMN inspect.storage.partitions IS 'How many parts it has.';

COMMENT ON COLUMN inspect.storage.rows IS 'How many rows, as of the last VACUUM or ANALYZE.';

COMMENT ON COLUMN inspect.storage.bytes IS 'Its size with indexes.';

COMMENT ON COLUMN inspect.storage.index_bytes IS 'Of it, indexes.';

COMMENT ON COLUMN inspect.storage.holds IS 'What is in it.';

CREATE TABLE muster.ledger (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    connection_id bigint NOT NULL,
    ids text NOT NULL,
    value jsonb NOT NULL,
    told integer NOT NULL,
    told_at timestamp with time zone NOT NULL,
    CONSTRAINT ledger_told_check CHECK ((told >= 1))
)
WITH (fillfactor='75');

COMMENT ON TABLE muster.ledger IS 'The last value told, per connection and combination of external ids. What is to be told is the difference to it.';

COMMENT ON COLUMN muster.ledger.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.ledger.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.ledger.connection_id IS 'Computation and destination.';

COMMENT ON COLUMN muster.ledger.ids IS 'The combination of ids that the call carries.';

COMMENT ON COLUMN muster.ledger.value IS 'The value last told.';

COMMENT ON COLUMN muster.ledger.told IS 'How often something was told to this combination; part of the message id.';

COMMENT ON COLUMN muster.ledger.told_at IS 'Time in the message.';

CREATE VIEW inspect.told AS
 SELECT d.name AS destination,
    c.key,
    l.profile_id,
    l.ids,
    l.value,
    l.told,
    l.told_at,
    l.bucket
   FROM (((muster.ledger l
     JOIN muster.connections n USING (connection_id))
     JOIN muster.computations c USING (computation_id))
     JOIN muster.destinations d USING (destination_id))
  WHERE (n.removed_at IS NULL);

COMMENT ON VIEW inspect.told IS 'The ledger: what each combination of ids last heard, how often it heard something, and when.';

COMMENT ON COLUMN inspect.told.destination IS 'To whom.';

COMMENT ON COLUMN inspect.told.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';

COMMENT ON COLUMN inspect.told.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.told.ids IS 'The combination of external ids that the call carries.';

COMMENT ON COLUMN inspect.told.value IS 'The value.';

COMMENT ON COLUMN inspect.told.told IS 'How often it heard something.';

COMMENT ON COLUMN inspect.told.told_at IS 'Time in the last message.';

COMMENT ON COLUMN inspect.told.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE VIEW inspect.trait_values AS
 SELECT c.key,
    v.profile_id,
    v.value,
    v.since,
    v.reason,
    v.bucket
   FROM (muster.computed_values v
     JOIN muster.computations c USING (computation_id))
  WHERE ((c.kind = 'trait'::text) AND (v.value <> 'null'::jsonb));

COMMENT ON VIEW inspect.trait_values IS 'Values of computed traits.';

COMMENT ON COLUMN inspect.trait_values.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';

COMMENT ON COLUMN inspect.trait_values.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.trait_values.value IS 'The value.';

COMMENT ON COLUMN inspect.trait_values.since IS 'Since when.';

COMMENT ON COLUMN inspect.trait_values.reason IS 'Why.';

COMMENT ON COLUMN inspect.trait_values.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE TABLE muster.traits (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    key text NOT NULL,
    value jsonb,
    changed_at timestamp with time zone NOT NULL,
    arrival bigint NOT NULL
)
WITH (fillfactor='85');

COMMENT ON TABLE muster.traits IS 'What is known of a profile: the last value by timestamp wins. Values of computations are in computed_values.';

COMMENT ON COLUMN muster.traits.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.traits.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.traits.key IS 'Name of the trait.';

COMMENT ON COLUMN muster.traits.value IS 'Its value; null when it was removed (kept, so that an older call that comes late does not bring it back).';

COMMENT ON COLUMN muster.traits.changed_at IS 'Timestamp of the call that set it.';

COMMENT ON COLUMN muster.traits.arrival IS 'Order of arrival of that call; decides between equal timestamps.';

CREATE VIEW inspect.traits AS
 SELECT t.profile_id,
    t.key,
    t.value,
    t.changed_at,
    t.bucket
   FROM muster.traits t
  WHERE (t.value IS NOT NULL);

COMMENT ON VIEW inspect.traits IS 'Traits that calls have set.';

COMMENT ON COLUMN inspect.traits.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.traits.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';

COMMENT ON COLUMN inspect.traits.value IS 'The value.';

COMMENT ON COLUMN inspect.traits.changed_at IS 'When it got the value.';

COMMENT ON COLUMN inspect.traits.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';

CREATE TABLE muster.identity_violations (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    violation_id bigint NOT NULL,
    id_type text NOT NULL,
    id_value text NOT NULL,
    rule text NOT NULL,
    reason text NOT NULL,
    message_id text NOT NULL,
    happened_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE muster.identity_violations IS 'Ids that a call carried and that a rule kept from its profile, of the last 30 days.';

COMMENT ON COLUMN muster.identity_violations.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.identity_violations.profile_id IS 'The profile that the call went to.';

COMMENT ON COLUMN muster.identity_violations.violation_id IS 'Number of the violation.';

COMMENT ON COLUMN muster.identity_violations.id_type IS 'Type of the id that was dropped.';

COMMENT ON COLUMN muster.identity_violations.id_value IS 'The id that was dropped.';

COMMENT ON COLUMN muster.identity_violations.rule IS 'The rule: value limit, merge limit, mapping limit.';

COMMENT ON COLUMN muster.identity_violations.reason IS 'The rule in words.';

COMMENT ON COLUMN muster.identity_violations.message_id IS 'The call.';

COMMENT ON COLUMN muster.identity_violations.happened_at IS 'When.';

CREATE VIEW inspect.violations AS
 SELECT v.profile_id,
    v.id_type,
    v.id_value,
    v.rule,
    v.reason,
    v.message_id,
    v.happened_at
   FROM muster.identity_violations v;

COMMENT ON VIEW inspect.violations IS 'Ids that a rule kept from a profile, of the last 30 days.';

COMMENT ON COLUMN inspect.violations.profile_id IS 'The profile.';

COMMENT ON COLUMN inspect.violations.id_type IS 'Type of the id.';

COMMENT ON COLUMN inspect.violations.id_value IS 'The id.';

COMMENT ON COLUMN inspect.violations.rule IS 'The rule.';

COMMENT ON COLUMN inspect.violations.reason IS 'Why.';

COMMENT ON COLUMN inspect.violations.message_id IS 'The call.';

COMMENT ON COLUMN inspect.violations.happened_at IS 'When.';

CREATE TABLE muster.aliases (
    bucket integer NOT NULL,
    user_id text NOT NULL,
    destination_id bigint NOT NULL,
    anonymous_id text NOT NULL,
    queued_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE muster.aliases IS 'Anonymous ids of which a destination was told that they have become a user''s, so that it is told each once.';

COMMENT ON COLUMN muster.aliases.bucket IS 'Bucket of the user id.';

COMMENT ON COLUMN muster.aliases.user_id IS 'The user id.';

COMMENT ON COLUMN muster.aliases.destination_id IS 'The destination.';

COMMENT ON COLUMN muster.aliases.anonymous_id IS 'The anonymous id.';

COMMENT ON COLUMN muster.aliases.queued_at IS 'When that was queued.';

ALTER TABLE muster.api_tokens ALTER COLUMN token_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.api_tokens_token_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE muster.backfills ALTER COLUMN backfill_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.backfills_backfill_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE muster.catalog_version (
    only_row boolean DEFAULT true NOT NULL,
    version bigint NOT NULL,
    buckets integer NOT NULL,
    configuration bigint DEFAULT 0 NOT NULL,
    CONSTRAINT catalog_version_only_row_check CHECK (only_row)
);

COMMENT ON TABLE muster.catalog_version IS 'One row: a number that grows with every change of the definitions, so that a process notices that its copy is old.';

COMMENT ON COLUMN muster.catalog_version.only_row IS 'Always true; makes a second row impossible.';

COMMENT ON COLUMN muster.catalog_version.version IS 'Grows by one in each transaction that changes a definition, or drops events.';

COMMENT ON COLUMN muster.catalog_version.buckets IS 'Number of buckets, fixed for ever; a program with another number refuses to start.';

COMMENT ON COLUMN muster.catalog_version.configuration IS 'Grows by one in each transaction that changes destinations or identity rules, so that a running process notices.';

ALTER TABLE muster.computations ALTER COLUMN computation_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.computations_computation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE muster.connections ALTER COLUMN connection_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.connections_connection_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE muster.dead_letters ALTER COLUMN dead_letter_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.dead_letters_dead_letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE muster.destinations ALTER COLUMN destination_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.destinations_destination_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE muster.due_evaluations (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    computation_id bigint NOT NULL,
    due_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE muster.due_evaluations IS 'Which profile a scheduled computation must look at again, and from when on: something it reads has changed, or a date in a trait will be reached.';

COMMENT ON COLUMN muster.due_evaluations.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.due_evaluations.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.due_evaluations.computation_id IS 'The computation.';

COMMENT ON COLUMN muster.due_evaluations.due_at IS 'The first slot at or after this instant looks at it; 1970: the next slot, whichever it is.';

ALTER TABLE muster.event_names ALTER COLUMN event_name_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.event_names_event_name_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE SEQUENCE muster.event_seq
    START WITH 1
    INCREMENT BY 1024
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE muster.event_seq IS 'Order of arrival of calls: a value stands for itself and the 1,023 that follow, so that a transaction draws many at once.';

CREATE TABLE muster.id_owners (
    bucket integer NOT NULL,
    id_type text NOT NULL,
    id_value text NOT NULL,
    profile_id bigint NOT NULL,
    CONSTRAINT id_owners_bucket_check CHECK (((bucket >= 0) AND (bucket <= 1023)))
);

COMMENT ON TABLE muster.id_owners IS 'Which profile owns an external id: the way in from a call. One owner an id, kept by the key.';

COMMENT ON COLUMN muster.id_owners.bucket IS 'Fixed hash of the id itself, 0 to 1,023.';

COMMENT ON COLUMN muster.id_owners.id_type IS 'Type of the id.';

COMMENT ON COLUMN muster.id_owners.id_value IS 'The id.';

COMMENT ON COLUMN muster.id_owners.profile_id IS 'Its profile.';

CREATE TABLE muster.identity_rules (
    only_row boolean DEFAULT true NOT NULL,
    settings jsonb NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    CONSTRAINT identity_rules_only_row_check CHECK (only_row)
);

COMMENT ON TABLE muster.identity_rules IS 'One row: how calls find their profile, as configured; none: the defaults.';

COMMENT ON COLUMN muster.identity_rules.only_row IS 'Always true; makes a second row impossible.';

COMMENT ON COLUMN muster.identity_rules.settings IS 'The rules that differ from the defaults, by the names that they have in the configuration file.';

COMMENT ON COLUMN muster.identity_rules.changed_at IS 'When they were last changed; they hold for calls from then on.';

ALTER TABLE muster.identity_violations ALTER COLUMN violation_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.identity_violations_violation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE muster.kept_events (
    only_row boolean DEFAULT true NOT NULL,
    since timestamp with time zone,
    cut bigint DEFAULT 0 NOT NULL,
    dropped_at timestamp with time zone,
    CONSTRAINT kept_events_only_row_check CHECK (only_row)
);

COMMENT ON TABLE muster.kept_events IS 'One row: how far back the log of events goes, where old ones are dropped (retention).';

COMMENT ON COLUMN muster.kept_events.only_row IS 'Always true; makes a second row impossible.';

COMMENT ON COLUMN muster.kept_events.since IS 'Events stamped before it were dropped, but for those that have come since; null: none ever was.';

COMMENT ON COLUMN muster.kept_events.cut IS 'Place in the order of arrival at which events were dropped last: states that are built later hold nothing that the log does not.';

COMMENT ON COLUMN muster.kept_events.dropped_at IS 'When events were dropped last.';

CREATE TABLE muster.leaf_states (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    event_name_id bigint NOT NULL,
    states bytea NOT NULL
)
WITH (fillfactor='75');

COMMENT ON TABLE muster.leaf_states IS 'What a profile''s events of one name amount to, for every leaf over them, in a form to which events are added and from which they are taken out.';

COMMENT ON COLUMN muster.leaf_states.bucket IS 'Bucket of the profile.';

COMMENT ON COLUMN muster.leaf_states.profile_id IS 'The profile.';

COMMENT ON COLUMN muster.leaf_states.event_name_id IS 'Name of the events, see event_names.';

COMMENT ON COLUMN muster.leaf_states.states IS 'List of leaf and state in a compact binary form (docs/design.md, states).';

ALTER TABLE muster.leaves ALTER COLUMN leaf_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.leaves_leaf_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE muster.message_keys (
    received_on date NOT NULL,
    key uuid NOT NULL
)
PARTITION BY RANGE (received_on);

COMMENT ON TABLE muster.message_keys IS 'Hashes of the message ids of the last days, a partition a day: a call whose key stands here is a duplicate.';

COMMENT ON COLUMN muster.message_keys.received_on IS 'Day (UTC) on which the call was received.';

COMMENT ON COLUMN muster.message_keys.key IS 'First 128 bits of the SHA-256 of the message id.';

CREATE TABLE muster.profile_deletions (
    bucket integer NOT NULL,
    profile_id bigint NOT NULL,
    deleted_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE muster.profile_deletions IS 'That a profile was deleted, and when; nothing else of it is kept.';

COMMENT ON COLUMN muster.profile_deletions.bucket IS 'Bucket of the profile that is no more.';

COMMENT ON COLUMN muster.profile_deletions.profile_id IS 'The profile that is no more; its number is not used again.';

COMMENT ON COLUMN muster.profile_deletions.deleted_at IS 'When.';

CREATE SEQUENCE muster.profile_ids
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE muster.profile_ids IS 'Numbers of profiles; some are drawn in vain, so there are gaps.';

CREATE TABLE muster.queue_barriers (
    destination_id bigint NOT NULL,
    barrier text NOT NULL,
    reached boolean DEFAULT false NOT NULL,
    passed_at timestamp with time zone
);

COMMENT ON TABLE muster.queue_barriers IS 'Calls that join two ids and stand in the lanes of both: each lane waits there for the other.';

COMMENT ON COLUMN muster.queue_barriers.destination_id IS 'The destination.';

COMMENT ON COLUMN muster.queue_barriers.barrier IS 'The seq of the row that is sent.';

COMMENT ON COLUMN muster.queue_barriers.reached IS 'The lane that only waits has come to it.';

COMMENT ON COLUMN muster.queue_barriers.passed_at IS 'When the call was settled.';

CREATE SEQUENCE muster.queue_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

COMMENT ON SEQUENCE muster.queue_seq IS 'Order of the queue; drawn under a lock that is held to the commit, so that this order is commit order.';

ALTER TABLE muster.recent_calls ALTER COLUMN call_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.recent_calls_call_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE muster.retellings (
    retelling_id bigint NOT NULL,
    connection_id bigint NOT NULL,
    kind text NOT NULL,
    merges boolean DEFAULT false NOT NULL,
    at_bucket integer DEFAULT 0 NOT NULL,
    at_profile_id bigint DEFAULT 0 NOT NULL,
    profiles bigint DEFAULT 0 NOT NULL,
    messages bigint DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    pass_at timestamp with time zone NOT NULL,
    progressed_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT retellings_at_bucket_check CHECK (((at_bucket >= 0) AND (at_bucket <= 1024))),
    CONSTRAINT retellings_kind_check CHECK ((kind = ANY (ARRAY['resync'::text, 'exit'::text, 'unset'::text])))
);

COMMENT ON TABLE muster.retellings IS 'Walks over what connections were told, to tell it again (resync) or to take it back after their removal (exit, unset).';

COMMENT ON COLUMN muster.retellings.retelling_id IS 'Number of the retelling; the oldest that is under way goes first.';

COMMENT ON COLUMN muster.retellings.connection_id IS 'Whom it tells what; perhaps removed, and its computation deleted.';

COMMENT ON COLUMN muster.retellings.kind IS 'resync, exit (whoever heard that a value was on hears that it is off) or unset (the property is removed).';

COMMENT ON COLUMN muster.retellings.merges IS 'True: the walk over all profiles is done, and goes over those into which others were merged meanwhile.';

COMMENT ON COLUMN muster.retellings.at_bucket IS 'Progress: profiles up to (at_bucket, at_profile_id) are done; after merges up to at_profile_id.';

COMMENT ON COLUMN muster.retellings.at_profile_id IS 'Progress, see at_bucket.';

COMMENT ON COLUMN muster.retellings.profiles IS 'Profiles told so far.';

COMMENT ON COLUMN muster.retellings.messages IS 'Messages queued so far.';

COMMENT ON COLUMN muster.retellings.started_at IS 'When it began; what was told later needs not be told again.';

COMMENT ON COLUMN muster.retellings.pass_at IS 'When the part of the walk that is under way began.';

COMMENT ON COLUMN muster.retellings.progressed_at IS 'When it last came further.';

COMMENT ON COLUMN muster.retellings.finished_at IS 'When it ended; null while it is under way.';

ALTER TABLE muster.retellings ALTER COLUMN retelling_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.retellings_retelling_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE muster.runs ALTER COLUMN run_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.runs_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE muster.schema_history (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    CONSTRAINT schema_history_version_check CHECK ((version > 0))
);

COMMENT ON TABLE muster.schema_history IS 'The migrations that are in this database, each entered in its own transaction.';

COMMENT ON COLUMN muster.schema_history.version IS 'Number of the migration.';

COMMENT ON COLUMN muster.schema_history.name IS 'Its file, without .up.sql.';

COMMENT ON COLUMN muster.schema_history.checksum IS 'SHA-256 of the file as it was applied, in hex.';

COMMENT ON COLUMN muster.schema_history.applied_at IS 'When, by the database''s clock.';

CREATE TABLE muster.schema_migrations (
    version bigint NOT NULL,
    dirty boolean NOT NULL
);

COMMENT ON TABLE muster.schema_migrations IS 'One row: how far the schema is, as golang-migrate keeps it.';

COMMENT ON COLUMN muster.schema_migrations.version IS 'Number of the newest migration, see schema_history.';

COMMENT ON COLUMN muster.schema_migrations.dirty IS 'True while that migration runs, and for ever if it was cut off; muster migrate repair sorts that out.';

ALTER TABLE muster.sources ALTER COLUMN source_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.sources_source_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE muster.suppression_salt (
    only_row boolean DEFAULT true NOT NULL,
    salt bytea NOT NULL,
    CONSTRAINT suppression_salt_only_row_check CHECK (only_row),
    CONSTRAINT suppression_salt_salt_check CHECK ((octet_length(salt) >= 16))
);

COMMENT ON TABLE muster.suppression_salt IS 'One row: the salt of the hashes in suppressions, made when it is first needed.';

COMMENT ON COLUMN muster.suppression_salt.only_row IS 'Always true; makes a second row impossible.';

COMMENT ON COLUMN muster.suppression_salt.salt IS 'Random bytes.';

CREATE TABLE muster.suppressions (
    id_hash bytea NOT NULL,
    suppressed_at timestamp with time zone NOT NULL,
    subject_id uuid NOT NULL,
    CONSTRAINT suppressions_id_hash_check CHECK ((octet_length(id_hash) = 32))
);

COMMENT ON TABLE muster.suppressions IS 'Whose calls are dropped before they are stored. Ids are known by a salted hash only.';

COMMENT ON COLUMN muster.suppressions.id_hash IS 'HMAC-SHA-256 of the type and value of an external id under the salt.';

COMMENT ON COLUMN muster.suppressions.suppressed_at IS 'When.';

COMMENT ON COLUMN muster.suppressions.subject_id IS 'Random; the same for all ids that were suppressed as one person''s, so that one of them is enough to take it back.';

ALTER TABLE muster.value_changes ALTER COLUMN change_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME muster.value_changes_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY muster.account_members
    ADD CONSTRAINT account_members_pkey PRIMARY KEY (bucket, profile_id, group_id);

ALTER TABLE ONLY muster.account_traits
    ADD CONSTRAINT account_traits_pkey PRIMARY KEY (bucket, group_id, key);

ALTER TABLE ONLY muster.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (bucket, group_id);

ALTER TABLE ONLY muster.aliases
    ADD CONSTRAINT aliases_pkey PRIMARY KEY (bucket, user_id, destination_id, anonymous_id);

ALTER TABLE ONLY muster.api_tokens
    ADD CONSTRAINT api_tokens_name_key UNIQUE (name);

ALTER TABLE ONLY muster.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY muster.api_tokens
    ADD CONSTRAINT api_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE ONLY muster.backfills
    ADD CONSTRAINT backfills_pkey PRIMARY KEY (backfill_id);

ALTER TABLE ONLY muster.catalog_version
    ADD CONSTRAINT catalog_version_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY muster.computation_versions
    ADD CONSTRAINT computation_versions_pkey PRIMARY KEY (computation_id, version);

ALTER TABLE ONLY muster.computations
    ADD CONSTRAINT computations_pkey PRIMARY KEY (computation_id);

ALTER TABLE ONLY muster.computed_values
    ADD CONSTRAINT computed_values_pkey PRIMARY KEY (bucket, profile_id, computation_id);

ALTER TABLE ONLY muster.connections
    ADD CONSTRAINT connections_pkey PRIMARY KEY (connection_id);

ALTER TABLE ONLY muster.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (dead_letter_id);

ALTER TABLE ONLY muster.destinations
    ADD CONSTRAINT destinations_name_key UNIQUE (name);

ALTER TABLE ONLY muster.destinations
    ADD CONSTRAINT destinations_pkey PRIMARY KEY (destination_id);

ALTER TABLE ONLY muster.due_evaluations
    ADD CONSTRAINT due_evaluations_pkey PRIMARY KEY (bucket, profile_id, computation_id);

ALTER TABLE ONLY muster.event_names
    ADD CONSTRAINT event_names_name_key UNIQUE (name);

ALTER TABLE ONLY muster.event_names
    ADD CONSTRAINT event_names_pkey PRIMARY KEY (event_name_id);

ALTER TABLE ONLY muster.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (bucket, profile_id, event_name_id, ts, seq);

ALTER TABLE ONLY muster.external_ids
    ADD CONSTRAINT external_ids_pkey PRIMARY KEY (bucket, profile_id, id_type, id_value);

ALTER TABLE ONLY muster.id_owners
    ADD CONSTRAINT id_owners_pkey PRIMARY KEY (bucket, id_type, id_value);

ALTER TABLE ONLY muster.identity_rules
    ADD CONSTRAINT identity_rules_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY muster.identity_violations
    ADD CONSTRAINT identity_violations_pkey PRIMARY KEY (bucket, profile_id, violation_id);

ALTER TABLE ONLY muster.kept_events
    ADD CONSTRAINT kept_events_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY muster.leaf_states
    ADD CONSTRAINT leaf_states_pkey PRIMARY KEY (bucket, profile_id, event_name_id);

ALTER TABLE ONLY muster.leaves
    ADD CONSTRAINT leaves_pkey PRIMARY KEY (leaf_id);

ALTER TABLE ONLY muster.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (bucket, profile_id, connection_id, ids);

ALTER TABLE ONLY muster.message_keys
    ADD CONSTRAINT message_keys_pkey PRIMARY KEY (key, received_on);

ALTER TABLE ONLY muster.overflows
    ADD CONSTRAINT overflows_pkey PRIMARY KEY (bucket, profile_id, leaf_id);

ALTER TABLE ONLY muster.profile_deletions
    ADD CONSTRAINT profile_deletions_pkey PRIMARY KEY (bucket, profile_id);

ALTER TABLE ONLY muster.profile_merges
    ADD CONSTRAINT profile_merges_pkey PRIMARY KEY (bucket, loser_id);

ALTER TABLE ONLY muster.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (bucket, profile_id);

ALTER TABLE ONLY muster.queue_barriers
    ADD CONSTRAINT queue_barriers_pkey PRIMARY KEY (destination_id, barrier);

ALTER TABLE ONLY muster.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (destination_id, lane, seq);

ALTER TABLE ONLY muster.queue_positions
    ADD CONSTRAINT queue_positions_pkey PRIMARY KEY (destination_id, lane);

ALTER TABLE ONLY muster.recent_calls
    ADD CONSTRAINT recent_calls_pkey PRIMARY KEY (source_id, call_id);

ALTER TABLE ONLY muster.retellings
    ADD CONSTRAINT retellings_pkey PRIMARY KEY (retelling_id);

ALTER TABLE ONLY muster.rotated_write_keys
    ADD CONSTRAINT rotated_write_keys_pkey PRIMARY KEY (write_key_hash);

ALTER TABLE ONLY muster.runs
    ADD CONSTRAINT runs_computation_id_kind_as_of_key UNIQUE (computation_id, kind, as_of);

ALTER TABLE ONLY muster.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY muster.schema_history
    ADD CONSTRAINT schema_history_pkey PRIMARY KEY (version);

ALTER TABLE ONLY muster.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY muster.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (schedule, slot);

ALTER TABLE ONLY muster.sources
    ADD CONSTRAINT sources_name_key UNIQUE (name);

ALTER TABLE ONLY muster.sources
    ADD CONSTRAINT sources_pkey PRIMARY KEY (source_id);

ALTER TABLE ONLY muster.sources
    ADD CONSTRAINT sources_write_key_hash_key UNIQUE (write_key_hash);

ALTER TABLE ONLY muster.suppression_salt
    ADD CONSTRAINT suppression_salt_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY muster.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (id_hash);

ALTER TABLE ONLY muster.traits
    ADD CONSTRAINT traits_pkey PRIMARY KEY (bucket, profile_id, key);

ALTER TABLE ONLY muster.value_changes
    ADD CONSTRAINT value_changes_pkey PRIMARY KEY (bucket, profile_id, computation_id, changed_at, change_id);

ALTER TABLE ONLY muster.version_leaves
    ADD CONSTRAINT version_leaves_pkey PRIMARY KEY (computation_id, version, leaf_id);

CREATE INDEX account_members_by_group ON muster.account_members USING btree (group_id);

CREATE UNIQUE INDEX backfills_one_running ON muster.backfills USING btree ((true)) WHERE (status = 'running'::text);

CREATE UNIQUE INDEX computations_key ON muster.computations USING btree (key) WHERE (deleted_at IS NULL);

CREATE INDEX computed_values_by_computation ON muster.computed_values USING btree (computation_id, bucket, profile_id);

CREATE UNIQUE INDEX connections_pair ON muster.connections USING btree (computation_id, destination_id) WHERE (removed_at IS NULL);

CREATE UNIQUE INDEX dead_letters_once ON muster.dead_letters USING btree (destination_id, lane, seq, kind) WHERE (kind <> 'undeliverable'::text);

CREATE INDEX dead_letters_open ON muster.dead_letters USING btree (destination_id, died_at) WHERE (resolution IS NULL);

CREATE INDEX due_evaluations_when ON muster.due_evaluations USING btree (computation_id, due_at);

CREATE INDEX events_by_seq ON ONLY muster.events USING brin (seq) WITH (pages_per_range='32');

CREATE INDEX events_by_ts ON ONLY muster.events USING brin (ts) WITH (pages_per_range='32');

CREATE INDEX external_ids_by_value ON muster.external_ids USING btree (id_value);

CREATE INDEX identity_violations_by_time ON muster.identity_violations USING brin (happened_at) WITH (pages_per_range='32');

CREATE UNIQUE INDEX leaves_same ON muster.leaves USING btree (text, schedule, since_seq, COALESCE(since, '1970-01-01 00:00:00+00'::timestamp with time zone));

CREATE INDEX profile_merges_by_time ON muster.profile_merges USING brin (merged_at) WITH (pages_per_range='32');

CREATE INDEX profile_merges_survivor ON muster.profile_merges USING btree (survivor_id);

CREATE UNIQUE INDEX retellings_one_running ON muster.retellings USING btree (connection_id) WHERE (finished_at IS NULL);

CREATE INDEX suppressions_subject ON muster.suppressions USING btree (subject_id);

CREATE INDEX value_changes_by_time ON ONLY muster.value_changes USING brin (changed_at);

ALTER TABLE ONLY muster.computation_versions
    ADD CONSTRAINT computation_versions_computation_id_fkey FOREIGN KEY (computation_id) REFERENCES muster.computations(computation_id);

ALTER TABLE ONLY muster.connections
    ADD CONSTRAINT connections_computation_id_fkey FOREIGN KEY (computation_id) REFERENCES muster.computations(computation_id);

ALTER TABLE ONLY muster.connections
    ADD CONSTRAINT connections_destination_id_fkey FOREIGN KEY (destination_id) REFERENCES muster.destinations(destination_id);

ALTER TABLE ONLY muster.queue_barriers
    ADD CONSTRAINT queue_barriers_destination_id_fkey FOREIGN KEY (destination_id) REFERENCES muster.destinations(destination_id);

ALTER TABLE ONLY muster.queue_positions
    ADD CONSTRAINT queue_positions_destination_id_fkey FOREIGN KEY (destination_id) REFERENCES muster.destinations(destination_id);

ALTER TABLE ONLY muster.retellings
    ADD CONSTRAINT retellings_connection_id_fkey FOREIGN KEY (connection_id) REFERENCES muster.connections(connection_id);

ALTER TABLE ONLY muster.rotated_write_keys
    ADD CONSTRAINT rotated_write_keys_source_id_fkey FOREIGN KEY (source_id) REFERENCES muster.sources(source_id);

ALTER TABLE ONLY muster.runs
    ADD CONSTRAINT runs_computation_id_fkey FOREIGN KEY (computation_id) REFERENCES muster.computations(computation_id);

ALTER TABLE ONLY muster.version_leaves
    ADD CONSTRAINT version_leaves_computation_id_version_fkey FOREIGN KEY (computation_id, version) REFERENCES muster.computation_versions(computation_id, version);

ALTER TABLE ONLY muster.version_leaves
    ADD CONSTRAINT version_leaves_leaf_id_fkey FOREIGN KEY (leaf_id) REFERENCES muster.leaves(leaf_id);
