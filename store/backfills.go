package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

const backfillColumns = `backfill_id, cut, max_profile_id, at_bucket, at_profile_id, profiles_total, profiles_done, events_read, started_at`

func scanBackfill(row pgx.Row) (*engine.Backfill, error) {
	var b engine.Backfill
	err := row.Scan(&b.ID, &b.Cut, &b.MaxProfileID, &b.At.Bucket, &b.At.ProfileID, &b.Total, &b.Done, &b.EventsRead, &b.StartedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &b, err
}

// Running implements engine.Tx.
func (t *tx) Running(ctx context.Context) (*engine.Backfill, error) {
	return scanBackfill(t.QueryRow(ctx, `SELECT `+backfillColumns+` FROM backfills WHERE status = 'running'`))
}

// LockBackfill implements engine.Tx.
func (t *tx) LockBackfill(ctx context.Context) (*engine.Backfill, error) {
	return scanBackfill(t.QueryRow(ctx, `SELECT `+backfillColumns+` FROM backfills WHERE status = 'running' FOR UPDATE`))
}

// StartBackfill implements engine.Tx.
func (t *tx) StartBackfill(ctx context.Context, versions []*engine.Version, cut int64, asOf map[string]time.Time, now time.Time) error {
	var id int64
	err := t.QueryRow(ctx, `
		INSERT INTO backfills (status, cut, max_profile_id, profiles_total, started_at)
		SELECT 'running', $1, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM profile_ids), (SELECT count(*) FROM profiles), $2
		RETURNING backfill_id`, cut, now).Scan(&id)
	if err != nil {
		return err
	}
	for _, v := range versions {
		c := v.Computation
		var first *time.Time
		if v.Scheduled() {
			first = new(asOf[v.Schedule])
			if first.IsZero() {
				first = nil
			}
		}
		// The slot that the schedule's other computations are as of, else the one given.
		_, err := t.Exec(ctx, `
			UPDATE computation_versions v SET backfill_id = $3, as_of = coalesce((
				SELECT max(o.as_of) FROM computation_versions o JOIN computations c ON c.computation_id = o.computation_id AND c.version = o.version
				WHERE o.schedule = v.schedule AND v.schedule <> '' AND c.status = 'live'), $4)
			WHERE computation_id = $1 AND version = $2`, c.ID, v.Number, id, first)
		if err != nil {
			return fmt.Errorf("mark %s: %w", c.Key, err)
		}
		if c.Status == engine.Preparing {
			if _, err := t.Exec(ctx, `UPDATE computations SET status = 'backfilling' WHERE computation_id = $1`, c.ID); err != nil {
				return err
			}
		}
		if err := t.attachLeaves(ctx, v); err != nil {
			return fmt.Errorf("leaves of %s: %w", c.Key, err)
		}
		// A new leaf with a window shows it at the instant of the others of its schedule.
		_, err = t.Exec(ctx, `
			UPDATE leaves l SET cut = $3, as_of = CASE WHEN l.schedule = '' THEN NULL ELSE v.as_of END
			FROM version_leaves r JOIN computation_versions v USING (computation_id, version)
			WHERE r.computation_id = $1 AND r.version = $2 AND r.leaf_id = l.leaf_id AND NOT l.built`, c.ID, v.Number, cut)
		if err != nil {
			return fmt.Errorf("mark the leaves of %s: %w", c.Key, err)
		}
		_, err = t.Exec(ctx, `
			INSERT INTO runs (computation_id, kind, as_of, started_at) VALUES ($1, 'backfill', $2, $2)
			ON CONFLICT (computation_id, kind, as_of) DO NOTHING`, c.ID, now)
		if err != nil {
			return err
		}
	}
	return bump(ctx, t)
}

// attachLeaves gives a version its leaves: those that others have built already, which
// are all that there are, and new ones.
func (t *tx) attachLeaves(ctx context.Context, v *engine.Version) error {
	var events, texts, schedules []string
	var afterSeq []int64
	var since []*time.Time
	for text, l := range v.Leaves {
		events = append(events, l.Event)
		texts = append(texts, text)
		schedules = append(schedules, l.Schedule)
		afterSeq = append(afterSeq, l.SinceSeq)
		since = append(since, orNull(l.Since))
	}
	var b pgx.Batch
	// The states of a leaf stand under the number of its event, which may never have come.
	b.Queue(`INSERT INTO event_names (name) SELECT unnest($1::text[]) EXCEPT SELECT name FROM event_names ORDER BY 1
		ON CONFLICT (name) DO NOTHING`, events)
	const these = ` FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[]) AS u (text, schedule, since_seq, since) `
	b.Queue(`INSERT INTO leaves (text, schedule, since_seq, since) SELECT u.*`+these+`
		ON CONFLICT (text, schedule, since_seq, coalesce(since, 'epoch')) DO NOTHING`, texts, schedules, afterSeq, since)
	b.Queue(`INSERT INTO version_leaves (computation_id, version, leaf_id) SELECT $5, $6, l.leaf_id`+these+`
		JOIN leaves l ON l.text = u.text AND l.schedule = u.schedule AND l.since_seq = u.since_seq
			AND coalesce(l.since, 'epoch') = coalesce(u.since, 'epoch')`, texts, schedules, afterSeq, since, v.Computation.ID, v.Number)
	return t.SendBatch(ctx, &b).Close()
}

// SetBackfill implements engine.Tx.
func (t *tx) SetBackfill(ctx context.Context, b *engine.Backfill, tallies []*engine.Tally, now time.Time) error {
	_, err := t.Exec(ctx, `
		UPDATE backfills SET at_bucket = $2, at_profile_id = $3, profiles_done = $4, events_read = $5, progressed_at = $6
		WHERE backfill_id = $1`, b.ID, b.At.Bucket, b.At.ProfileID, b.Done, b.EventsRead, now)
	if err != nil {
		return err
	}
	c := tallyColumns(tallies)
	_, err = t.Exec(ctx, `
		UPDATE runs r SET profiles = r.profiles + n.profiles, entered = r.entered + n.entered, exited = r.exited + n.exited,
			changed = r.changed + n.changed, events_read = $7
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n (computation_id, profiles, entered, exited, changed)
		WHERE r.computation_id = n.computation_id AND r.kind = 'backfill' AND r.as_of = $6`,
		c.ids, c.profiles, c.entered, c.exited, c.changed, b.StartedAt, b.EventsRead)
	return err
}

type tallies struct{ ids, profiles, entered, exited, changed []int64 }

func tallyColumns(list []*engine.Tally) tallies {
	var c tallies
	for _, t := range list {
		c.ids = append(c.ids, t.Computation.ID)
		c.profiles = append(c.profiles, t.Profiles)
		c.entered = append(c.entered, t.Entered)
		c.exited = append(c.exited, t.Exited)
		c.changed = append(c.changed, t.Changed)
	}
	return c
}

// FinishBackfill implements engine.Tx.
func (t *tx) FinishBackfill(ctx context.Context, now time.Time) error {
	b, err := t.LockBackfill(ctx)
	if err != nil || b == nil {
		return err
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE leaves SET built = true WHERE NOT built AND leaf_id IN (
		SELECT r.leaf_id FROM version_leaves r JOIN computation_versions v USING (computation_id, version) WHERE v.backfill_id = $1)`, b.ID)
	batch.Queue(`UPDATE computations c SET version = v.version, status = CASE WHEN c.status = 'backfilling' THEN 'live' ELSE c.status END
		FROM computation_versions v WHERE v.computation_id = c.computation_id AND v.backfill_id = $1 AND v.version > c.version`, b.ID)
	// What is realtime now has no slots to wait for.
	batch.Queue(`DELETE FROM due_evaluations d USING computation_versions v
		WHERE v.backfill_id = $1 AND v.schedule = '' AND d.computation_id = v.computation_id`, b.ID)
	batch.Queue(`UPDATE runs SET finished_at = $2 WHERE kind = 'backfill' AND finished_at IS NULL AND computation_id IN (
		SELECT computation_id FROM computation_versions WHERE backfill_id = $1)`, b.ID, now)
	batch.Queue(`UPDATE backfills SET status = 'done', finished_at = $2 WHERE backfill_id = $1`, b.ID, now)
	if err := t.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("finish backfill %d: %w", b.ID, err)
	}
	if err := t.dropLeaves(ctx); err != nil {
		return err
	}
	return bump(ctx, t)
}

// dropLeaves forgets leaves that no definition reads any more: their states are not kept
// up to date, so a later definition must not find them. The states themselves go when
// their profile's are next written.
func (t *tx) dropLeaves(ctx context.Context) error {
	var b pgx.Batch
	b.Queue(`DELETE FROM version_leaves r USING computations c
		WHERE c.computation_id = r.computation_id AND (c.status IN ('deleted', 'disabled') OR r.version < c.version)`)
	b.Queue(`DELETE FROM leaves l WHERE NOT EXISTS (SELECT 1 FROM version_leaves r WHERE r.leaf_id = l.leaf_id)`)
	b.Queue(`DELETE FROM overflows o WHERE NOT EXISTS (SELECT 1 FROM leaves l WHERE l.leaf_id = o.leaf_id)`)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("drop leaves out of use: %w", err)
	}
	return nil
}
