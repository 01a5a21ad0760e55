package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// Look implements engine.Looking: a transaction that reads one snapshot and cannot write.
func (s *Store) Look(ctx context.Context, f func(engine.Records) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) error {
		return f(look{&tx{Tx: t, store: s}})
	})
}

// look is a transaction that reads.
type look struct{ *tx }

var (
	_ engine.Looking = (*Store)(nil)
	_ engine.Records = look{}
)

// Profiles implements engine.Records. It does not ask the ids that this process remembers:
// they may be newer than the snapshot.
func (l look) Profiles(ctx context.Context, ids []int64) ([]identity.Profile, error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, engine.CompareProfiles)
	c := columnsOf(ids)
	rows, err := l.Query(ctx, `
		SELECT p.profile_id, p.created_at, p.merges, p.suppressed
		FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id) JOIN profiles p USING (bucket, profile_id)
		ORDER BY p.bucket, p.profile_id`, c.buckets, c.ids)
	if err != nil {
		return nil, err
	}
	profiles, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p identity.Profile, err error) {
		var id int64
		err = row.Scan(&id, &p.CreatedAt, &p.Merges, &p.Suppressed)
		p.ID = identity.ProfileID(id)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	all := make([]int, len(profiles))
	for i := range all {
		all[i] = i
	}
	return profiles, l.readLinks(ctx, profiles, c, all)
}

// CountProfiles implements engine.Records.
func (l look) CountProfiles(ctx context.Context) (int64, error) {
	var n int64
	err := l.QueryRow(ctx, `SELECT count(*) FROM profiles`).Scan(&n)
	return n, err
}

// Marks implements engine.Records.
func (l look) Marks(ctx context.Context, leaves []int64) (map[int64]engine.Mark, error) {
	rows, err := l.Query(ctx, `SELECT leaf_id, cut, coalesce(as_of, 'epoch') FROM leaves WHERE leaf_id = ANY($1)`, leaves)
	if err != nil {
		return nil, err
	}
	marks := make(map[int64]engine.Mark, len(leaves))
	var id int64
	var m engine.Mark
	_, err = pgx.ForEachRow(rows, []any{&id, &m.Cut, &m.AsOf}, func() error {
		marks[id] = m
		return nil
	})
	return marks, err
}

// Instants implements engine.Records.
func (l look) Instants(ctx context.Context, versions []*engine.Version) (map[*engine.Version]time.Time, error) {
	ids, numbers := versionKeys(versions)
	rows, err := l.Query(ctx, `
		SELECT v.computation_id, v.version, v.as_of FROM computation_versions v
		JOIN unnest($1::bigint[], $2::int[]) AS want (computation_id, version) USING (computation_id, version)
		WHERE v.as_of IS NOT NULL`, ids, numbers)
	if err != nil {
		return nil, err
	}
	instants := make(map[*engine.Version]time.Time, len(versions))
	var id int64
	var number int
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &number, &at}, func() error {
		for _, v := range versions {
			if v.Computation.ID == id && v.Number == number {
				instants[v] = at
			}
		}
		return nil
	})
	return instants, err
}

// ValuesAt implements engine.Records. A value that is held still is known also where the
// history of that time has been dropped.
func (l look) ValuesAt(ctx context.Context, profileID int64, at time.Time) (map[int64]engine.Held, error) {
	rows, err := l.Query(ctx, `
		SELECT DISTINCT ON (h.computation_id) h.computation_id, h.value, h.changed_at, h.reason FROM (
			SELECT computation_id, value, changed_at, reason, change_id
			FROM value_changes WHERE bucket = $1 AND profile_id = $2 AND changed_at <= $3
			UNION ALL
			SELECT computation_id, value, since, reason, 0
			FROM computed_values WHERE bucket = $1 AND profile_id = $2 AND since <= $3) h
		ORDER BY h.computation_id, h.changed_at DESC, h.change_id DESC`, engine.ProfileBucket(profileID), profileID, at)
	if err != nil {
		return nil, err
	}
	values := make(map[int64]engine.Held)
	var id int64
	var raw []byte
	var since time.Time
	var cause string
	_, err = pgx.ForEachRow(rows, []any{&id, &raw, &since, &cause}, func() error {
		v, err := query.ParseValue(raw)
		values[id] = engine.Held{Value: v, Since: since, Cause: engine.Cause(cause)}
		return err
	})
	return values, err
}

// Undelivered implements engine.Records. What waits is looked through in full: it is
// little, or the operator has another worry.
func (l look) Undelivered(ctx context.Context, profileID int64) ([]engine.Undelivered, error) {
	rows, err := l.Query(ctx, `
		SELECT q.connection_id, q.ids, 0, '' FROM queue_positions p
		JOIN queue q ON q.destination_id = p.destination_id AND q.lane = p.lane AND q.seq > p.seq AND NOT q.seq = ANY(p.ahead)
		WHERE q.bucket = $1 AND q.profile_id = $2
		UNION ALL
		SELECT x.connection_id, x.ids, x.dead_letter_id, x.reason FROM dead_letters x
		WHERE x.bucket = $1 AND x.profile_id = $2 AND x.resolution IS NULL
		ORDER BY 3`, engine.ProfileBucket(profileID), profileID)
	if err != nil {
		return nil, fmt.Errorf("look for undelivered messages: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (u engine.Undelivered, err error) {
		err = row.Scan(&u.ConnectionID, &u.IDs, &u.DeadLetter, &u.Reason)
		return u, err
	})
}
