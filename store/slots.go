package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

func versionKeys(versions []*engine.Version) (ids []int64, numbers []int32) {
	for _, v := range versions {
		ids = append(ids, v.Computation.ID)
		numbers = append(numbers, int32(v.Number))
	}
	return ids, numbers
}

// LockVersions implements engine.Tx.
func (t *tx) LockVersions(ctx context.Context, versions []*engine.Version) (map[*engine.Version]time.Time, error) {
	ids, numbers := versionKeys(versions)
	rows, err := t.Query(ctx, `
		SELECT v.computation_id, v.version, v.as_of FROM computation_versions v
		JOIN unnest($1::bigint[], $2::int[]) AS want (computation_id, version) USING (computation_id, version)
		ORDER BY v.computation_id, v.version FOR UPDATE OF v`, ids, numbers)
	if err != nil {
		return nil, err
	}
	instants := make(map[*engine.Version]time.Time, len(versions))
	var id int64
	var number int
	var at *time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &number, &at}, func() error {
		for _, v := range versions {
			if v.Computation.ID == id && v.Number == number && at != nil {
				instants[v] = *at
			}
		}
		return nil
	})
	return instants, err
}

// LockMarks implements engine.Tx.
func (t *tx) LockMarks(ctx context.Context, leaves []int64) (map[int64]engine.Mark, error) {
	rows, err := t.Query(ctx, `SELECT leaf_id, cut, as_of FROM leaves WHERE leaf_id = ANY($1) ORDER BY leaf_id FOR UPDATE`, leaves)
	if err != nil {
		return nil, err
	}
	marks := make(map[int64]engine.Mark, len(leaves))
	var id int64
	var m engine.Mark
	var asOf *time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &m.Cut, &asOf}, func() error {
		if asOf == nil {
			return fmt.Errorf("leaf %d has a window but no mark", id)
		}
		m.AsOf = *asOf
		marks[id] = m
		return nil
	})
	return marks, err
}

// SetMarks implements engine.Tx.
func (t *tx) SetMarks(ctx context.Context, marks map[int64]engine.Mark, versions []*engine.Version, asOf time.Time) error {
	var leaves, cuts []int64
	var at []time.Time
	for id, m := range marks {
		leaves = append(leaves, id)
		cuts = append(cuts, m.Cut)
		at = append(at, m.AsOf)
	}
	var b pgx.Batch
	b.Queue(`UPDATE leaves l SET cut = n.cut, as_of = n.as_of
		FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS n (leaf_id, cut, as_of) WHERE l.leaf_id = n.leaf_id`, leaves, cuts, at)
	ids, numbers := versionKeys(versions)
	b.Queue(`UPDATE computation_versions v SET as_of = $3
		FROM unnest($1::bigint[], $2::int[]) AS n (computation_id, version)
		WHERE v.computation_id = n.computation_id AND v.version = n.version`, ids, numbers, asOf)
	return t.SendBatch(ctx, &b).Close()
}

// Due implements engine.Tx.
func (t *tx) Due(ctx context.Context, versions []*engine.Version, by time.Time, yield func(profileID, computationID int64)) error {
	ids, _ := versionKeys(versions)
	rows, err := t.Query(ctx, `SELECT profile_id, computation_id FROM due_evaluations WHERE computation_id = ANY($1) AND due_at <= $2`, ids, by)
	if err != nil {
		return err
	}
	var profile, computation int64
	_, err = pgx.ForEachRow(rows, []any{&profile, &computation}, func() error {
		yield(profile, computation)
		return nil
	})
	return err
}

// DueFor implements engine.Tx.
func (t *tx) DueFor(ctx context.Context, versions []*engine.Version, profiles []int64, yield func(profileID, computationID int64, at time.Time)) error {
	ids, _ := versionKeys(versions)
	c := columnsOf(profiles)
	rows, err := t.Query(ctx, `
		SELECT d.profile_id, d.computation_id, d.due_at
		FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
		JOIN due_evaluations d USING (bucket, profile_id) WHERE d.computation_id = ANY($3)`, c.buckets, c.ids, ids)
	if err != nil {
		return err
	}
	var profile, computation int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&profile, &computation, &at}, func() error {
		yield(profile, computation, at)
		return nil
	})
	return err
}

// RecordSlot implements engine.Tx. The slot began with this transaction; the database knows
// how long ago that was, by its own clock.
func (t *tx) RecordSlot(ctx context.Context, slot, now time.Time, result engine.SlotResult) error {
	c := tallyColumns(result.Tallies)
	_, err := t.Exec(ctx, `
		INSERT INTO runs AS r (computation_id, kind, as_of, started_at, finished_at, events_read, profiles, entered, exited, changed)
		SELECT n.computation_id, 'slot', $6, $7, $7::timestamptz + (clock_timestamp() - transaction_timestamp()), $8, n.profiles, n.entered, n.exited, n.changed
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n (computation_id, profiles, entered, exited, changed)
		ON CONFLICT (computation_id, kind, as_of) DO UPDATE
		SET finished_at = excluded.finished_at, events_read = r.events_read + excluded.events_read, profiles = r.profiles + excluded.profiles,
			entered = r.entered + excluded.entered, exited = r.exited + excluded.exited, changed = r.changed + excluded.changed`,
		c.ids, c.profiles, c.entered, c.exited, c.changed, slot, now, result.EventsRead)
	return err
}
