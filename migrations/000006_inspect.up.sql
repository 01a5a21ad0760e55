-- Views for people who look with SQL (docs/sql.md). They hold no secrets.
CREATE SCHEMA inspect;
COMMENT ON SCHEMA inspect IS 'Views for people: what is computed, who is a member, what was told, what waits.';

CREATE VIEW inspect.computations AS
SELECT c.key, c.kind, c.name, c.status, c.status_reason, v.version, v.class, v.schedule, v.as_of, v.query,
    n.version AS next_version, n.query AS next_query, c.include_anonymous, c.created_at
FROM muster.computations c
LEFT JOIN muster.computation_versions v ON v.computation_id = c.computation_id AND v.version = c.version
LEFT JOIN LATERAL (SELECT x.version, x.query FROM muster.computation_versions x
    WHERE x.computation_id = c.computation_id AND x.version > c.version ORDER BY x.version DESC LIMIT 1) n ON true
WHERE c.deleted_at IS NULL;
COMMENT ON VIEW inspect.computations IS 'Audiences and computed traits: definition, status, and the instant that their values are as of (null: the present).';

CREATE VIEW inspect.profiles AS
SELECT p.profile_id, p.created_at, p.merges,
    (SELECT array_agg(e.id_value ORDER BY e.added_at) FROM muster.external_ids e WHERE e.bucket = p.bucket AND e.profile_id = p.profile_id AND e.id_type = 'user_id') AS user_ids,
    (SELECT array_agg(e.id_value ORDER BY e.added_at) FROM muster.external_ids e WHERE e.bucket = p.bucket AND e.profile_id = p.profile_id AND e.id_type = 'email') AS emails,
    (SELECT array_agg(e.id_value ORDER BY e.added_at) FROM muster.external_ids e WHERE e.bucket = p.bucket AND e.profile_id = p.profile_id AND e.id_type = 'anonymous_id') AS anonymous_ids,
    p.bucket
FROM muster.profiles p;
COMMENT ON VIEW inspect.profiles IS 'Profiles with the ids that destinations know them by.';

CREATE VIEW inspect.external_ids AS
SELECT e.id_type, e.id_value, e.profile_id, e.added_at, e.message_id, e.bucket FROM muster.external_ids e;
COMMENT ON VIEW inspect.external_ids IS 'Which profile has which external id, since when, and by which call.';

CREATE VIEW inspect.members AS
SELECT c.key, v.profile_id, v.since, v.reason, v.bucket
FROM muster.computed_values v JOIN muster.computations c USING (computation_id)
WHERE c.kind = 'audience' AND v.value = 'true';
COMMENT ON VIEW inspect.members IS 'Who is in which audience, since when, and what made it so.';

CREATE VIEW inspect.trait_values AS
SELECT c.key, v.profile_id, v.value, v.since, v.reason, v.bucket
FROM muster.computed_values v JOIN muster.computations c USING (computation_id)
WHERE c.kind = 'trait' AND v.value <> 'null';
COMMENT ON VIEW inspect.trait_values IS 'Values of computed traits.';

CREATE VIEW inspect.traits AS
SELECT t.profile_id, t.key, t.value, t.changed_at, t.bucket FROM muster.traits t WHERE t.value IS NOT NULL;
COMMENT ON VIEW inspect.traits IS 'Traits that calls have set.';

CREATE VIEW inspect.changes AS
SELECT c.key, c.kind, h.profile_id, h.changed_at, h.value, h.reason, h.bucket
FROM muster.value_changes h JOIN muster.computations c USING (computation_id);
COMMENT ON VIEW inspect.changes IS 'History of memberships and trait values.';

CREATE VIEW inspect.events AS
SELECT e.profile_id, n.name, e.ts, e.received_at, s.name AS source, e.message_id, e.properties, e.context, e.bucket
FROM muster.events e JOIN muster.event_names n USING (event_name_id) JOIN muster.sources s USING (source_id);
COMMENT ON VIEW inspect.events IS 'Events with their names. Give a range of ts, or bucket and profile_id: the log is long.';

CREATE VIEW inspect.merges AS
SELECT m.loser_id, m.survivor_id, m.merged_at, m.message_id FROM muster.profile_merges m;
COMMENT ON VIEW inspect.merges IS 'Which profile was merged into which, and by which call.';

CREATE VIEW inspect.violations AS
SELECT v.profile_id, v.id_type, v.id_value, v.rule, v.reason, v.message_id, v.happened_at FROM muster.identity_violations v;
COMMENT ON VIEW inspect.violations IS 'Ids that a rule kept from a profile, of the last 30 days.';

CREATE VIEW inspect.runs AS
SELECT c.key, r.kind, r.as_of, r.started_at, r.finished_at, r.events_read, r.profiles, r.entered, r.exited, r.changed
FROM muster.runs r JOIN muster.computations c USING (computation_id);
COMMENT ON VIEW inspect.runs IS 'What each slot and backfill did for each computation.';

CREATE VIEW inspect.slots AS
SELECT s.schedule, s.slot, s.status, s.attempt, s.missed, s.started_at, s.finished_at, s.retry_at, s.error FROM muster.slots s;
COMMENT ON VIEW inspect.slots IS 'Scheduled instants: done, running, or failed and why.';

CREATE VIEW inspect.overflows AS
SELECT c.key, o.profile_id, l.text AS chain, o.dropped
FROM muster.overflows o JOIN muster.leaves l USING (leaf_id) JOIN muster.version_leaves r USING (leaf_id)
JOIN muster.computations c ON c.computation_id = r.computation_id AND c.version = r.version
WHERE c.deleted_at IS NULL;
COMMENT ON VIEW inspect.overflows IS 'Profiles of which a mode or unique chain has seen more different values than the 10,000 that it keeps.';
COMMENT ON COLUMN inspect.overflows.key IS 'The computation that reads the chain.';
COMMENT ON COLUMN inspect.overflows.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.overflows.chain IS 'The event chain.';
COMMENT ON COLUMN inspect.overflows.dropped IS 'How often the values occurred that are not kept.';

CREATE VIEW inspect.backfills AS
SELECT b.backfill_id, b.status, b.profiles_done, b.profiles_total,
    CASE WHEN b.status = 'done' THEN 100 WHEN b.profiles_total = 0 THEN 0 ELSE least(100, 100 * b.profiles_done / b.profiles_total) END AS percent,
    b.events_read, pace.profiles_per_second,
    CASE WHEN b.status = 'running' THEN make_interval(secs => (b.profiles_total - b.profiles_done) / nullif(pace.profiles_per_second, 0)) END AS remaining,
    b.started_at, b.progressed_at, b.finished_at, b.error
FROM muster.backfills b, LATERAL (SELECT round((b.profiles_done /
    nullif(extract(epoch FROM b.progressed_at - b.started_at), 0))::numeric, 1)::double precision AS profiles_per_second) pace;
COMMENT ON VIEW inspect.backfills IS 'Walks over all profiles for new and edited definitions, with their progress.';

CREATE VIEW inspect.told AS
SELECT d.name AS destination, c.key, l.profile_id, l.ids, l.value, l.told, l.told_at, l.bucket
FROM muster.ledger l
JOIN muster.connections n USING (connection_id)
JOIN muster.computations c USING (computation_id)
JOIN muster.destinations d USING (destination_id)
WHERE n.removed_at IS NULL;
COMMENT ON VIEW inspect.told IS 'The ledger: what each combination of ids last heard, how often it heard something, and when.';

CREATE VIEW inspect.queue_lag AS
SELECT d.name AS destination, p.lane, d.paused, d.halted_reason, p.seq AS position, p.delivered,
    (SELECT count(*) FROM muster.queue q WHERE q.destination_id = p.destination_id AND q.lane = p.lane AND q.seq > p.seq) AS waiting,
    (SELECT min(q.queued_at) FROM muster.queue q WHERE q.destination_id = p.destination_id AND q.lane = p.lane AND q.seq > p.seq) AS oldest,
    p.attempt, p.next_attempt_at, p.last_code, p.last_reason, p.moved_at
FROM muster.queue_positions p JOIN muster.destinations d USING (destination_id);
COMMENT ON VIEW inspect.queue_lag IS 'What waits to be told, by destination and lane, and why if it fails.';

CREATE VIEW inspect.dead_letters AS
SELECT l.dead_letter_id, d.name AS destination, c.key, l.kind, l.code, l.reason, l.profile_id, l.ids, l.value, l.attempts, l.died_at, l.resolution, l.resolved_at, l.call
FROM muster.dead_letters l
JOIN muster.destinations d USING (destination_id)
LEFT JOIN muster.connections n USING (connection_id)
LEFT JOIN muster.computations c ON c.computation_id = n.computation_id;
COMMENT ON VIEW inspect.dead_letters IS 'Messages that were not told, with the reason.';

-- The sizes of partitions are added up; those of a table's indexes count with it.
CREATE VIEW inspect.storage AS
SELECT t.relname::text AS name, count(*)::int AS partitions,
    sum(greatest(c.reltuples, 0))::bigint AS rows, sum(pg_total_relation_size(p.relid))::bigint AS bytes, sum(pg_indexes_size(p.relid))::bigint AS index_bytes,
    obj_description(t.oid, 'pg_class') AS holds
FROM pg_class t
CROSS JOIN LATERAL (SELECT t.oid AS relid WHERE t.relkind = 'r' UNION ALL SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = t.oid) p
JOIN pg_class c ON c.oid = p.relid
WHERE t.relnamespace = 'muster'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
GROUP BY t.oid, t.relname;
COMMENT ON VIEW inspect.storage IS 'What the tables take on disk, as far as PostgreSQL knows it.';
COMMENT ON COLUMN inspect.storage.name IS 'The table in the schema muster.';
COMMENT ON COLUMN inspect.storage.partitions IS 'How many parts it has.';
COMMENT ON COLUMN inspect.storage.rows IS 'How many rows, as of the last VACUUM or ANALYZE.';
COMMENT ON COLUMN inspect.storage.bytes IS 'Its size with indexes.';
COMMENT ON COLUMN inspect.storage.index_bytes IS 'Of it, indexes.';
COMMENT ON COLUMN inspect.storage.holds IS 'What is in it.';

COMMENT ON COLUMN inspect.backfills.profiles_per_second IS 'Its speed on average so far.';
COMMENT ON COLUMN inspect.backfills.remaining IS 'How long the rest takes at that speed.';
COMMENT ON COLUMN inspect.backfills.progressed_at IS 'When the last of profiles_done were done.';
COMMENT ON COLUMN inspect.backfills.backfill_id IS 'Number of the backfill.';
COMMENT ON COLUMN inspect.backfills.error IS 'Why it failed.';
COMMENT ON COLUMN inspect.backfills.events_read IS 'Events read.';
COMMENT ON COLUMN inspect.backfills.finished_at IS 'When it ended; null while it runs.';
COMMENT ON COLUMN inspect.backfills.percent IS 'Share done.';
COMMENT ON COLUMN inspect.backfills.profiles_done IS 'Profiles done.';
COMMENT ON COLUMN inspect.backfills.profiles_total IS 'Profiles at its start.';
COMMENT ON COLUMN inspect.backfills.started_at IS 'When it began.';
COMMENT ON COLUMN inspect.backfills.status IS 'Where it stands.';
COMMENT ON COLUMN inspect.changes.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.changes.changed_at IS 'When it got the value.';
COMMENT ON COLUMN inspect.changes.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';
COMMENT ON COLUMN inspect.changes.kind IS 'audience or trait.';
COMMENT ON COLUMN inspect.changes.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.changes.reason IS 'Why.';
COMMENT ON COLUMN inspect.changes.value IS 'The value.';
COMMENT ON COLUMN inspect.computations.as_of IS 'The instant that the results are as of; null: the present.';
COMMENT ON COLUMN inspect.computations.class IS 'realtime or scheduled.';
COMMENT ON COLUMN inspect.computations.created_at IS 'When it came to be.';
COMMENT ON COLUMN inspect.computations.include_anonymous IS 'Whether an anonymous id alone makes a profile eligible.';
COMMENT ON COLUMN inspect.computations.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';
COMMENT ON COLUMN inspect.computations.kind IS 'audience or trait.';
COMMENT ON COLUMN inspect.computations.name IS 'Name.';
COMMENT ON COLUMN inspect.computations.next_query IS 'Its definition.';
COMMENT ON COLUMN inspect.computations.next_version IS 'Version that waits for its backfill, or is in it.';
COMMENT ON COLUMN inspect.computations.query IS 'The definition.';
COMMENT ON COLUMN inspect.computations.schedule IS 'Cron text in UTC; empty for realtime.';
COMMENT ON COLUMN inspect.computations.status IS 'Where it stands.';
COMMENT ON COLUMN inspect.computations.status_reason IS 'Why, where that is not obvious.';
COMMENT ON COLUMN inspect.computations.version IS 'Version of the definition that serves.';
COMMENT ON COLUMN inspect.dead_letters.attempts IS 'How often the destination was asked.';
COMMENT ON COLUMN inspect.dead_letters.call IS 'The call of a source that was forwarded; null of what was computed.';
COMMENT ON COLUMN inspect.dead_letters.code IS 'Short name of the reason.';
COMMENT ON COLUMN inspect.dead_letters.dead_letter_id IS 'Number of the dead letter.';
COMMENT ON COLUMN inspect.dead_letters.destination IS 'To whom.';
COMMENT ON COLUMN inspect.dead_letters.died_at IS 'When it was given up.';
COMMENT ON COLUMN inspect.dead_letters.ids IS 'The combination of external ids that the call carries.';
COMMENT ON COLUMN inspect.dead_letters.key IS 'Key of the audience or trait; null of a forwarded call.';
COMMENT ON COLUMN inspect.dead_letters.kind IS 'audience or trait.';
COMMENT ON COLUMN inspect.dead_letters.profile_id IS 'The profile; 0: a forwarded call that no profile has seen.';
COMMENT ON COLUMN inspect.dead_letters.reason IS 'Why.';
COMMENT ON COLUMN inspect.dead_letters.resolution IS 'retried or dropped; null while it waits for a decision.';
COMMENT ON COLUMN inspect.dead_letters.resolved_at IS 'When that was decided.';
COMMENT ON COLUMN inspect.dead_letters.value IS 'The value; null of a forwarded call.';
COMMENT ON COLUMN inspect.events.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.events.context IS 'Context.';
COMMENT ON COLUMN inspect.events.message_id IS 'The call.';
COMMENT ON COLUMN inspect.events.name IS 'Name.';
COMMENT ON COLUMN inspect.events.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.events.properties IS 'Properties.';
COMMENT ON COLUMN inspect.events.received_at IS 'When it was received.';
COMMENT ON COLUMN inspect.events.source IS 'Where it came from.';
COMMENT ON COLUMN inspect.events.ts IS 'When it happened.';
COMMENT ON COLUMN inspect.external_ids.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.external_ids.added_at IS 'Since when the profile has it.';
COMMENT ON COLUMN inspect.external_ids.id_type IS 'Type of the id.';
COMMENT ON COLUMN inspect.external_ids.id_value IS 'The id.';
COMMENT ON COLUMN inspect.external_ids.message_id IS 'The call.';
COMMENT ON COLUMN inspect.external_ids.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.members.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.members.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';
COMMENT ON COLUMN inspect.members.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.members.reason IS 'Why.';
COMMENT ON COLUMN inspect.members.since IS 'Since when.';
COMMENT ON COLUMN inspect.merges.loser_id IS 'The profile that is no more.';
COMMENT ON COLUMN inspect.merges.merged_at IS 'When.';
COMMENT ON COLUMN inspect.merges.message_id IS 'The call.';
COMMENT ON COLUMN inspect.merges.survivor_id IS 'The profile that has all its ids and events now.';
COMMENT ON COLUMN inspect.profiles.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.profiles.anonymous_ids IS 'Its anonymous ids, oldest first.';
COMMENT ON COLUMN inspect.profiles.created_at IS 'When it came to be.';
COMMENT ON COLUMN inspect.profiles.emails IS 'Its emails, oldest first.';
COMMENT ON COLUMN inspect.profiles.merges IS 'How many profiles were merged into it.';
COMMENT ON COLUMN inspect.profiles.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.profiles.user_ids IS 'Its user ids, oldest first.';
COMMENT ON COLUMN inspect.queue_lag.attempt IS 'How often it was tried.';
COMMENT ON COLUMN inspect.queue_lag.delivered IS 'Messages acknowledged.';
COMMENT ON COLUMN inspect.queue_lag.destination IS 'To whom.';
COMMENT ON COLUMN inspect.queue_lag.halted_reason IS 'Why delivery stopped by itself.';
COMMENT ON COLUMN inspect.queue_lag.lane IS 'The lane.';
COMMENT ON COLUMN inspect.queue_lag.last_code IS 'Short name of the last failure.';
COMMENT ON COLUMN inspect.queue_lag.last_reason IS 'The last failure.';
COMMENT ON COLUMN inspect.queue_lag.moved_at IS 'When it last moved.';
COMMENT ON COLUMN inspect.queue_lag.next_attempt_at IS 'Nothing is sent before.';
COMMENT ON COLUMN inspect.queue_lag.oldest IS 'Since when the oldest waits.';
COMMENT ON COLUMN inspect.queue_lag.paused IS 'An operator stopped delivery.';
COMMENT ON COLUMN inspect.queue_lag.position IS 'Everything up to here is settled.';
COMMENT ON COLUMN inspect.queue_lag.waiting IS 'Messages that wait.';
COMMENT ON COLUMN inspect.runs.as_of IS 'The instant that the results are as of; null: the present.';
COMMENT ON COLUMN inspect.runs.changed IS 'Profiles whose trait got another value.';
COMMENT ON COLUMN inspect.runs.entered IS 'Profiles that became members.';
COMMENT ON COLUMN inspect.runs.events_read IS 'Events read.';
COMMENT ON COLUMN inspect.runs.exited IS 'Profiles that ceased to be members.';
COMMENT ON COLUMN inspect.runs.finished_at IS 'When it ended; null while it runs.';
COMMENT ON COLUMN inspect.runs.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';
COMMENT ON COLUMN inspect.runs.kind IS 'audience or trait.';
COMMENT ON COLUMN inspect.runs.profiles IS 'Profiles evaluated.';
COMMENT ON COLUMN inspect.runs.started_at IS 'When it began.';
COMMENT ON COLUMN inspect.slots.attempt IS 'How often it was tried.';
COMMENT ON COLUMN inspect.slots.error IS 'Why it failed.';
COMMENT ON COLUMN inspect.slots.finished_at IS 'When it ended; null while it runs.';
COMMENT ON COLUMN inspect.slots.missed IS 'Older slots that it stands for.';
COMMENT ON COLUMN inspect.slots.retry_at IS 'When it is tried again.';
COMMENT ON COLUMN inspect.slots.schedule IS 'Cron text in UTC; empty for realtime.';
COMMENT ON COLUMN inspect.slots.slot IS 'The instant.';
COMMENT ON COLUMN inspect.slots.started_at IS 'When it began.';
COMMENT ON COLUMN inspect.slots.status IS 'Where it stands.';
COMMENT ON COLUMN inspect.told.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.told.destination IS 'To whom.';
COMMENT ON COLUMN inspect.told.ids IS 'The combination of external ids that the call carries.';
COMMENT ON COLUMN inspect.told.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';
COMMENT ON COLUMN inspect.told.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.told.told IS 'How often it heard something.';
COMMENT ON COLUMN inspect.told.told_at IS 'Time in the last message.';
COMMENT ON COLUMN inspect.told.value IS 'The value.';
COMMENT ON COLUMN inspect.trait_values.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.trait_values.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';
COMMENT ON COLUMN inspect.trait_values.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.trait_values.reason IS 'Why.';
COMMENT ON COLUMN inspect.trait_values.since IS 'Since when.';
COMMENT ON COLUMN inspect.trait_values.value IS 'The value.';
COMMENT ON COLUMN inspect.traits.bucket IS 'Bucket of the profile: join with it too, and one profile is found at once.';
COMMENT ON COLUMN inspect.traits.changed_at IS 'When it got the value.';
COMMENT ON COLUMN inspect.traits.key IS 'Key of the audience or trait; in inspect.traits, of the trait.';
COMMENT ON COLUMN inspect.traits.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.traits.value IS 'The value.';
COMMENT ON COLUMN inspect.violations.happened_at IS 'When.';
COMMENT ON COLUMN inspect.violations.id_type IS 'Type of the id.';
COMMENT ON COLUMN inspect.violations.id_value IS 'The id.';
COMMENT ON COLUMN inspect.violations.message_id IS 'The call.';
COMMENT ON COLUMN inspect.violations.profile_id IS 'The profile.';
COMMENT ON COLUMN inspect.violations.reason IS 'Why.';
COMMENT ON COLUMN inspect.violations.rule IS 'The rule.';
