package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
)

// merging is the profiles of a merge as arrays: $1 to $4 of the statements below.
const merging = ` FROM unnest($1::int[], $2::bigint[], $3::int[], $4::bigint[]) AS m (lb, lid, sb, sid) `

// MoveProfiles implements engine.Tx. Rows move by being deleted and inserted: their
// bucket changes, and on a distributed database that is the only way to move.
func (t *tx) MoveProfiles(ctx context.Context, merges []engine.MergedBy, now time.Time) error {
	var losers, survivors profileColumns
	var messages []string
	for _, m := range merges {
		losers.add(int64(m.Loser))
		survivors.add(int64(m.Survivor))
		messages = append(messages, m.MessageID)
	}
	if err := t.moveOwners(ctx, merges, losers); err != nil {
		return err
	}
	pairs := []any{losers.buckets, losers.ids, survivors.buckets, survivors.ids}
	var b pgx.Batch
	b.Queue(`WITH gone AS (
			DELETE FROM external_ids x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.id_type, x.id_value, x.added_at, x.message_id)
		INSERT INTO external_ids (bucket, profile_id, id_type, id_value, added_at, message_id) SELECT * FROM gone`, pairs...)
	b.Queue(`WITH gone AS (
			DELETE FROM traits x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.key, x.value, x.changed_at, x.arrival, x.profile_id),
		newest AS (SELECT DISTINCT ON (sb, sid, key) sb, sid, key, value, changed_at, arrival
			FROM gone ORDER BY sb, sid, key, changed_at DESC, arrival DESC, profile_id)
		INSERT INTO traits AS have (bucket, profile_id, key, value, changed_at, arrival) SELECT * FROM newest
		ON CONFLICT (bucket, profile_id, key) DO UPDATE
		SET value = excluded.value, changed_at = excluded.changed_at, arrival = excluded.arrival
		WHERE (have.changed_at, have.arrival) < (excluded.changed_at, excluded.arrival)`, pairs...)
	b.Queue(`WITH gone AS (
			DELETE FROM events x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.event_name_id, x.ts, x.seq, x.source_id, x.received_at, x.message_id, x.properties, x.context)
		INSERT INTO events (bucket, profile_id, event_name_id, ts, seq, source_id, received_at, message_id, properties, context)
		SELECT * FROM gone`, pairs...)
	// Who was a member on either side counts as one until it is decided for both together.
	b.Queue(`WITH gone AS (
			DELETE FROM computed_values x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.computation_id, x.value, x.since, x.reason, x.profile_id),
		one AS (SELECT DISTINCT ON (sb, sid, computation_id) sb, sid, computation_id, value, since, reason FROM gone
			ORDER BY sb, sid, computation_id, value IN ('null', 'false'), since DESC, profile_id)
		INSERT INTO computed_values AS have (bucket, profile_id, computation_id, value, since, reason) SELECT * FROM one
		ON CONFLICT (bucket, profile_id, computation_id) DO UPDATE
		SET value = excluded.value, since = excluded.since, reason = excluded.reason
		WHERE have.value IN ('null', 'false') AND excluded.value NOT IN ('null', 'false')`, pairs...)
	b.Queue(`WITH gone AS (
			DELETE FROM value_changes x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.computation_id, x.changed_at, x.value, x.reason)
		INSERT INTO value_changes (bucket, profile_id, computation_id, changed_at, value, reason) SELECT * FROM gone`, pairs...)
	b.Queue(`WITH gone AS (
			DELETE FROM ledger x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.connection_id, x.ids, x.value, x.told, x.told_at)
		INSERT INTO ledger (bucket, profile_id, connection_id, ids, value, told, told_at) SELECT * FROM gone
		ON CONFLICT DO NOTHING`, pairs...)
	b.Queue(`WITH gone AS (
			DELETE FROM due_evaluations x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.computation_id, x.due_at),
		first AS (SELECT sb, sid, computation_id, min(due_at) FROM gone GROUP BY 1, 2, 3)
		INSERT INTO due_evaluations AS have (bucket, profile_id, computation_id, due_at) SELECT * FROM first
		ON CONFLICT (bucket, profile_id, computation_id) DO UPDATE SET due_at = least(have.due_at, excluded.due_at)`, pairs...)
	b.Queue(`WITH gone AS (
			DELETE FROM identity_violations x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.id_type, x.id_value, x.rule, x.reason, x.message_id, x.happened_at)
		INSERT INTO identity_violations (bucket, profile_id, id_type, id_value, rule, reason, message_id, happened_at) SELECT * FROM gone`, pairs...)
	b.Queue(`WITH gone AS (
			DELETE FROM account_members x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid
			RETURNING m.sb, m.sid, x.group_id, x.linked_at)
		INSERT INTO account_members (bucket, profile_id, group_id, linked_at) SELECT * FROM gone ON CONFLICT DO NOTHING`, pairs...)
	b.Queue(`DELETE FROM profiles x USING (SELECT *`+merging+`) m WHERE x.bucket = m.lb AND x.profile_id = m.lid`, pairs...)
	b.Queue(`INSERT INTO profile_merges (bucket, loser_id, survivor_id, merged_at, message_id)
		SELECT u.lb, u.lid, u.sid, $5, u.message FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[]) AS u (lb, lid, sid, message)`,
		losers.buckets, losers.ids, survivors.ids, messages, now)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("move %d merged profiles: %w", len(merges), err)
	}
	return nil
}

// moveOwners lets the losers' ids lead to the survivors.
func (t *tx) moveOwners(ctx context.Context, merges []engine.MergedBy, losers profileColumns) error {
	survivor := make(map[int64]int64, len(merges))
	for _, m := range merges {
		survivor[int64(m.Loser)] = int64(m.Survivor)
	}
	rows, err := t.Query(ctx, `
		SELECT e.profile_id, e.id_type, e.id_value
		FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
		JOIN external_ids e USING (bucket, profile_id)`, losers.buckets, losers.ids)
	if err != nil {
		return err
	}
	var c idColumns
	var owners []int64
	var loser int64
	var id identity.ID
	_, err = pgx.ForEachRow(rows, []any{&loser, &id.Type, &id.Value}, func() error {
		c.add(id)
		owners = append(owners, survivor[loser])
		return nil
	})
	if err != nil {
		return err
	}
	_, err = t.Exec(ctx, `
		UPDATE id_owners o SET profile_id = n.profile_id
		FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[]) AS n (bucket, id_type, id_value, profile_id)
		WHERE o.bucket = n.bucket AND o.id_type = n.id_type AND o.id_value = n.id_value`, c.buckets, c.types, c.values, owners)
	return err
}
