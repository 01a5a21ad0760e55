package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// SaveAccounts implements engine.Tx.
func (t *tx) SaveAccounts(ctx context.Context, accounts []engine.AccountWrite) error {
	var buckets, traitBuckets []int32
	var groups, traitGroups, keys []string
	var values []*string
	var at, linked []time.Time
	var arrivals []int64
	var members profileColumns
	for _, a := range accounts {
		bucket := int32(engine.IDBucket("group_id", a.GroupID))
		buckets = append(buckets, bucket)
		groups = append(groups, a.GroupID)
		members.add(a.ProfileID)
		linked = append(linked, a.ReceivedAt)
		for key, raw := range a.Traits {
			var value *string
			if raw != nil {
				value = new(string(raw))
			}
			traitBuckets = append(traitBuckets, bucket)
			traitGroups = append(traitGroups, a.GroupID)
			keys = append(keys, key)
			values = append(values, value)
			at = append(at, a.At)
			arrivals = append(arrivals, a.Arrival)
		}
	}
	var b pgx.Batch
	b.Queue(`INSERT INTO accounts (bucket, group_id, created_at)
		SELECT DISTINCT ON (1, 2) * FROM unnest($1::int[], $2::text[], $3::timestamptz[]) ORDER BY 1, 2, 3
		ON CONFLICT DO NOTHING`, buckets, groups, linked)
	b.Queue(`INSERT INTO account_members (bucket, profile_id, group_id, linked_at)
		SELECT DISTINCT ON (1, 2, 3) * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::timestamptz[]) ORDER BY 1, 2, 3, 4
		ON CONFLICT DO NOTHING`, members.buckets, members.ids, groups, linked)
	if len(keys) > 0 {
		b.Queue(`INSERT INTO account_traits AS have (bucket, group_id, key, value, changed_at, arrival)
			SELECT DISTINCT ON (u.bucket, u.group_id, u.key) u.bucket, u.group_id, u.key, u.value::jsonb, u.changed_at, u.arrival
			FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[])
				AS u (bucket, group_id, key, value, changed_at, arrival)
			ORDER BY u.bucket, u.group_id, u.key, u.changed_at DESC, u.arrival DESC
			ON CONFLICT (bucket, group_id, key) DO UPDATE
			SET value = excluded.value, changed_at = excluded.changed_at, arrival = excluded.arrival
			WHERE (have.changed_at, have.arrival) < (excluded.changed_at, excluded.arrival)`,
			traitBuckets, traitGroups, keys, values, at, arrivals)
	}
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("save %d accounts: %w", len(accounts), err)
	}
	return nil
}
