-- Accounts: what group calls say. They are kept; nothing is computed of them yet.
SET LOCAL search_path TO muster;

CREATE TABLE accounts (
    bucket     integer NOT NULL CHECK (bucket BETWEEN 0 AND 1023),
    group_id   text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, group_id)
);
COMMENT ON TABLE accounts IS 'Companies, teams, households: the groups of group calls.';
COMMENT ON COLUMN accounts.bucket IS 'Fixed hash of group_id, 0 to 1,023.';
COMMENT ON COLUMN accounts.group_id IS 'The groupId of the calls.';
COMMENT ON COLUMN accounts.created_at IS 'When its first call was received.';

CREATE TABLE account_traits (
    bucket     integer NOT NULL,
    group_id   text NOT NULL,
    key        text NOT NULL,
    value      jsonb,
    changed_at timestamptz NOT NULL,
    arrival    bigint NOT NULL,
    PRIMARY KEY (bucket, group_id, key)
) WITH (fillfactor = 85);
COMMENT ON TABLE account_traits IS 'What is known of an account: the last value by timestamp wins.';
COMMENT ON COLUMN account_traits.bucket IS 'Bucket of the account.';
COMMENT ON COLUMN account_traits.group_id IS 'The account.';
COMMENT ON COLUMN account_traits.key IS 'Name of the trait.';
COMMENT ON COLUMN account_traits.value IS 'Its value; null when it was removed.';
COMMENT ON COLUMN account_traits.changed_at IS 'Timestamp of the call that set it.';
COMMENT ON COLUMN account_traits.arrival IS 'Order of arrival of that call; decides between equal timestamps.';

CREATE TABLE account_members (
    bucket     integer NOT NULL,
    profile_id bigint NOT NULL,
    group_id   text NOT NULL,
    linked_at  timestamptz NOT NULL,
    PRIMARY KEY (bucket, profile_id, group_id)
);
CREATE INDEX account_members_by_group ON account_members (group_id);
COMMENT ON TABLE account_members IS 'Which profile belongs to which accounts.';
COMMENT ON COLUMN account_members.bucket IS 'Bucket of the profile.';
COMMENT ON COLUMN account_members.profile_id IS 'The profile.';
COMMENT ON COLUMN account_members.group_id IS 'The account.';
COMMENT ON COLUMN account_members.linked_at IS 'When a call linked them first.';

CREATE VIEW inspect.accounts AS
SELECT a.group_id, a.created_at,
    (SELECT count(*) FROM muster.account_members m WHERE m.group_id = a.group_id) AS members,
    (SELECT coalesce(jsonb_object_agg(t.key, t.value), '{}') FROM muster.account_traits t
        WHERE t.bucket = a.bucket AND t.group_id = a.group_id AND t.value IS NOT NULL) AS traits
FROM muster.accounts a;
COMMENT ON VIEW inspect.accounts IS 'Companies, teams, households: the groups of group calls.';
COMMENT ON COLUMN inspect.accounts.group_id IS 'The groupId of the calls.';
COMMENT ON COLUMN inspect.accounts.created_at IS 'When its first call was received.';
COMMENT ON COLUMN inspect.accounts.members IS 'How many profiles belong to it.';
COMMENT ON COLUMN inspect.accounts.traits IS 'What is known of it.';

CREATE VIEW inspect.account_members AS
SELECT m.group_id, m.profile_id, m.linked_at FROM muster.account_members m;
COMMENT ON VIEW inspect.account_members IS 'Which profile belongs to which accounts.';
COMMENT ON COLUMN inspect.account_members.group_id IS 'The account.';
COMMENT ON COLUMN inspect.account_members.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.account_members.linked_at IS 'When a call linked them first.';
