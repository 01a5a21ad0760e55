-- Profiles, their external ids and traits, and what identity resolution did.
SET LOCAL search_path TO muster;

CREATE SEQUENCE profile_ids;
COMMENT ON SEQUENCE profile_ids IS 'Numbers of profiles; some are drawn in vain, so there are gaps.';

CREATE TABLE profiles (
    bucket     integer NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    profile_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    merges     integer NOT NULL DEFAULT 0,
    ids        integer NOT NULL DEFAULT 0,
    suppressed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (bucket, profile_id)
) WITH (fillfactor = 85);
COMMENT ON TABLE profiles IS 'People, as far as their external ids tell. Locking the row is what makes two transactions on one profile take turns.';
COMMENT ON COLUMN profiles.bucket IS 'Fixed hash of profile_id, 0 to 1,023: the unit of parallelism.';
COMMENT ON COLUMN profiles.profile_id IS 'Number of the profile; of two that merge the lower one survives.';
COMMENT ON COLUMN profiles.created_at IS 'When its first call was received.';
COMMENT ON COLUMN profiles.merges IS 'How many profiles were merged into it.';
COMMENT ON COLUMN profiles.ids IS 'How many external ids it has.';
COMMENT ON COLUMN profiles.suppressed IS 'True while its ids are on the suppression list: its values stay as they are, and nothing of it is told.';

CREATE TABLE external_ids (
    bucket     integer NOT NULL,
    profile_id bigint NOT NULL,
    id_type    text NOT NULL,
    id_value   text NOT NULL,
    added_at   timestamptz NOT NULL,
    message_id text NOT NULL,
    PRIMARY KEY (bucket, profile_id, id_type, id_value)
);
CREATE INDEX external_ids_by_value ON external_ids (id_value);
COMMENT ON TABLE external_ids IS 'The ids by which a profile is known outside.';
COMMENT ON COLUMN external_ids.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN external_ids.profile_id IS 'The profile.';
COMMENT ON COLUMN external_ids.id_type IS 'user_id, email, anonymous_id, ...';
COMMENT ON COLUMN external_ids.id_value IS 'The id; emails in lower case.';
COMMENT ON COLUMN external_ids.added_at IS 'When the profile got it.';
COMMENT ON COLUMN external_ids.message_id IS 'The call that brought it.';

CREATE TABLE id_owners (
    bucket     integer NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    id_type    text NOT NULL,
    id_value   text NOT NULL,
    profile_id bigint NOT NULL,
    PRIMARY KEY (bucket, id_type, id_value)
);
COMMENT ON TABLE id_owners IS 'Which profile owns an external id: the way in from a call. One owner an id, kept by the key.';
COMMENT ON COLUMN id_owners.bucket IS 'Fixed hash of the id itself, 0 to 1,023.';
COMMENT ON COLUMN id_owners.id_type IS 'Type of the id.';
COMMENT ON COLUMN id_owners.id_value IS 'The id.';
COMMENT ON COLUMN id_owners.profile_id IS 'Its profile.';

CREATE TABLE traits (
    bucket     integer NOT NULL,
    profile_id bigint NOT NULL,
    key        text NOT NULL,
    value      jsonb,
    changed_at timestamptz NOT NULL,
    arrival    bigint NOT NULL,
    PRIMARY KEY (bucket, profile_id, key)
) WITH (fillfactor = 85);
COMMENT ON TABLE traits IS 'What is known of a profile: the last value by timestamp wins. Values of computations are in computed_values.';
COMMENT ON COLUMN traits.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN traits.profile_id IS 'The profile.';
COMMENT ON COLUMN traits.key IS 'Name of the trait.';
COMMENT ON COLUMN traits.value IS 'Its value; null when it was removed (kept, so that an older call that comes late does not bring it back).';
COMMENT ON COLUMN traits.changed_at IS 'Timestamp of the call that set it.';
COMMENT ON COLUMN traits.arrival IS 'Order of arrival of that call; decides between equal timestamps.';

CREATE TABLE profile_merges (
    bucket       integer NOT NULL,
    loser_id     bigint NOT NULL,
    survivor_id  bigint NOT NULL,
    merged_at    timestamptz NOT NULL,
    message_id   text NOT NULL,
    PRIMARY KEY (bucket, loser_id)
);
CREATE INDEX profile_merges_survivor ON profile_merges (survivor_id);
CREATE INDEX profile_merges_by_time ON profile_merges USING brin (merged_at) WITH (pages_per_range = 32);
COMMENT ON TABLE profile_merges IS 'Which profile was merged into which, when, and by which call.';
COMMENT ON COLUMN profile_merges.bucket IS 'Bucket of the profile that is no more.';
COMMENT ON COLUMN profile_merges.loser_id IS 'The profile that is no more.';
COMMENT ON COLUMN profile_merges.survivor_id IS 'The profile that has its ids, events and traits now.';
COMMENT ON COLUMN profile_merges.merged_at IS 'When.';
COMMENT ON COLUMN profile_merges.message_id IS 'The call that carried ids of both.';

CREATE TABLE identity_violations (
    bucket       integer NOT NULL,
    profile_id   bigint NOT NULL,
    violation_id bigint GENERATED ALWAYS AS IDENTITY,
    id_type      text NOT NULL,
    id_value     text NOT NULL,
    rule         text NOT NULL,
    reason       text NOT NULL,
    message_id   text NOT NULL,
    happened_at  timestamptz NOT NULL,
    PRIMARY KEY (bucket, profile_id, violation_id)
);
CREATE INDEX identity_violations_by_time ON identity_violations USING brin (happened_at) WITH (pages_per_range = 32);
COMMENT ON TABLE identity_violations IS 'Ids that a call carried and that a rule kept from its profile, of the last 30 days.';
COMMENT ON COLUMN identity_violations.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN identity_violations.profile_id IS 'The profile that the call went to.';
COMMENT ON COLUMN identity_violations.violation_id IS 'Number of the violation.';
COMMENT ON COLUMN identity_violations.id_type IS 'Type of the id that was dropped.';
COMMENT ON COLUMN identity_violations.id_value IS 'The id that was dropped.';
COMMENT ON COLUMN identity_violations.rule IS 'The rule: value limit, merge limit, mapping limit.';
COMMENT ON COLUMN identity_violations.reason IS 'The rule in words.';
COMMENT ON COLUMN identity_violations.message_id IS 'The call.';
COMMENT ON COLUMN identity_violations.happened_at IS 'When.';

CREATE TABLE profile_deletions (
    bucket     integer NOT NULL,
    profile_id bigint NOT NULL,
    deleted_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, profile_id)
);
COMMENT ON TABLE profile_deletions IS 'That a profile was deleted, and when; nothing else of it is kept.';
COMMENT ON COLUMN profile_deletions.bucket IS 'Bucket of the profile that is no more.';
COMMENT ON COLUMN profile_deletions.profile_id IS 'The profile that is no more; its number is not used again.';
COMMENT ON COLUMN profile_deletions.deleted_at IS 'When.';
