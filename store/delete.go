package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muster/engine"
	"muster/identity"
)

// DeleteProfiles implements engine.Tx.
func (t *tx) DeleteProfiles(ctx context.Context, r *engine.DeletionReport, now time.Time) error {
	// Messages bear the number of the profile as it was when they were queued.
	rows, err := t.Query(ctx, `
		WITH RECURSIVE gone AS (
			SELECT unnest($1::bigint[]) AS profile_id
			UNION SELECT m.loser_id FROM profile_merges m JOIN gone g ON m.survivor_id = g.profile_id)
		SELECT profile_id FROM gone`, r.Profiles)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	users, visitors, err := t.deleteOwners(ctx, r.Profiles)
	if err != nil {
		return err
	}
	c, past := columnsOf(r.Profiles), columnsOf(all)
	var b pgx.Batch
	count := func(n *int64) func(pgconn.CommandTag) error {
		return func(tag pgconn.CommandTag) error { *n += tag.RowsAffected(); return nil }
	}
	const these = ` WHERE (bucket, profile_id) IN (SELECT * FROM unnest($1::int[], $2::bigint[]))`
	b.Queue(`DELETE FROM recent_calls WHERE message_id IN (SELECT message_id FROM events`+these+`)`, c.buckets, c.ids)
	b.Queue(`DELETE FROM events`+these, c.buckets, c.ids).Exec(count(&r.Events))
	b.Queue(`DELETE FROM traits`+these, c.buckets, c.ids).Exec(count(&r.Traits))
	b.Queue(`DELETE FROM external_ids`+these, c.buckets, c.ids).Exec(count(&r.IDs))
	b.Queue(`DELETE FROM computed_values`+these, c.buckets, c.ids).Exec(count(&r.Values))
	for _, table := range []string{"leaf_states", "overflows", "value_changes", "due_evaluations", "ledger", "identity_violations", "account_members", "profiles"} {
		b.Queue(`DELETE FROM `+table+these, c.buckets, c.ids)
	}
	// Forwarded calls are found by the ids that they carry: no profile has seen some, and of
	// others a rule has left out an id that is not their profile's.
	const messages = ` WHERE profile_id = ANY($1) OR connection_id = 0 AND (call ->> 'userId' = ANY($2) OR call ->> 'anonymousId' = ANY($3)
		OR call ->> 'previousId' = ANY($2) OR call ->> 'previousId' = ANY($3))`
	// A lane may hold one row of an alias in memory and wait for the other: let it go on.
	b.Queue(`WITH gone AS (DELETE FROM queue`+messages+` RETURNING destination_id, seq, barrier),
		passed AS (
			INSERT INTO queue_barriers (destination_id, barrier, passed_at)
			SELECT DISTINCT destination_id, greatest(seq, barrier)::text, $4::timestamptz FROM gone WHERE barrier IS NOT NULL
			ON CONFLICT (destination_id, barrier) DO UPDATE SET passed_at = coalesce(queue_barriers.passed_at, excluded.passed_at))
		SELECT count(*) FROM gone`, past.ids, users, visitors, now).QueryRow(func(row pgx.Row) error {
		var n int64
		err := row.Scan(&n)
		r.Messages += n
		return err
	})
	b.Queue(`DELETE FROM dead_letters`+messages, past.ids, users, visitors).Exec(count(&r.Messages))
	b.Queue(`DELETE FROM profile_merges WHERE (bucket, loser_id) IN (SELECT * FROM unnest($1::int[], $2::bigint[]))`, past.buckets, past.ids)
	b.Queue(`INSERT INTO profile_deletions (bucket, profile_id, deleted_at)
		SELECT u.bucket, u.profile_id, $3 FROM unnest($1::int[], $2::bigint[]) AS u (bucket, profile_id)`, c.buckets, c.ids, now)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("delete %d profiles: %w", len(r.Profiles), err)
	}
	return nil
}

// deleteOwners makes the ids of profiles unknown, also in the calls that people look at,
// and where a rule kept one of them from the profile of somebody else. It answers the user
// ids and anonymous ids among them.
func (t *tx) deleteOwners(ctx context.Context, profiles []int64) (users, visitors []string, err error) {
	p := columnsOf(profiles)
	rows, err := t.Query(ctx, `
		SELECT e.id_type, e.id_value FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
		JOIN external_ids e USING (bucket, profile_id)`, p.buckets, p.ids)
	if err != nil {
		return nil, nil, err
	}
	var c idColumns
	var names []string
	var id identity.ID
	_, err = pgx.ForEachRow(rows, []any{&id.Type, &id.Value}, func() error {
		c.add(id)
		names = append(names, id.String())
		switch id.Type {
		case identity.UserID:
			users = append(users, id.Value)
		case identity.AnonymousID:
			visitors = append(visitors, id.Value)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	var b pgx.Batch
	b.Queue(`DELETE FROM id_owners WHERE (bucket, id_type, id_value) IN (SELECT * FROM unnest($1::int[], $2::text[], $3::text[]))`,
		c.buckets, c.types, c.values)
	var u idColumns
	for _, user := range users {
		u.add(identity.ID{Type: identity.UserID, Value: user})
	}
	b.Queue(`DELETE FROM aliases WHERE (bucket, user_id) IN (SELECT * FROM unnest($1::int[], $2::text[]))`, u.buckets, u.values)
	b.Queue(`DELETE FROM identity_violations WHERE (id_type, id_value) IN (SELECT * FROM unnest($1::text[], $2::text[]))`, c.types, c.values)
	b.Queue(`DELETE FROM recent_calls WHERE ids ?| $1`, names)
	return users, visitors, t.SendBatch(ctx, &b).Close()
}
