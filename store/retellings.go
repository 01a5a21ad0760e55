package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
)

// What is read of a retelling, with its connection: also of one that is removed, of a
// computation that is deleted.
const retellingRows = `
	SELECT r.retelling_id, r.kind, r.merges, r.at_bucket, r.at_profile_id, r.profiles, r.messages, r.started_at, r.pass_at,
		n.connection_id, n.emit, n.entered_event, n.exited_event, n.computed_event, n.id_strategy,
		c.computation_id, c.key, c.name, c.kind, c.include_anonymous, c.status, d.destination_id, d.name, d.aliasing,
		d.removed_at IS NOT NULL OR r.kind = 'resync' AND (n.removed_at IS NOT NULL OR c.status <> 'live')
	FROM retellings r JOIN connections n USING (connection_id)
	JOIN computations c USING (computation_id) JOIN destinations d USING (destination_id)
	WHERE r.finished_at IS NULL ORDER BY r.retelling_id `

func scanRetelling(row pgx.CollectableRow) (*engine.Retelling, error) {
	c, d := &engine.Computation{}, &engine.Destination{}
	n := &engine.Connection{Computation: c, Destination: d}
	r := &engine.Retelling{Connection: n}
	var strategy string
	err := row.Scan(&r.ID, &r.Kind, &r.Merges, &r.At.Bucket, &r.At.ProfileID, &r.Profiles, &r.Messages, &r.StartedAt, &r.PassAt,
		&n.ID, &n.Emit, &n.EnteredEvent, &n.ExitedEvent, &n.ComputedEvent, &strategy,
		&c.ID, &c.Key, &c.Name, &c.Kind, &c.IncludeAnonymous, &c.Status, &d.ID, &d.Name, &d.Aliasing, &r.Over)
	n.Strategy = identity.Strategy(strategy)
	return r, err
}

func (t *tx) retellings(ctx context.Context) ([]*engine.Retelling, error) {
	rows, err := t.Query(ctx, retellingRows)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanRetelling)
}

// LockRetelling implements engine.Tx.
func (t *tx) LockRetelling(ctx context.Context) (*engine.Retelling, error) {
	rows, err := t.Query(ctx, retellingRows+`LIMIT 1 FOR UPDATE OF r`)
	if err != nil {
		return nil, err
	}
	r, err := pgx.CollectOneRow(rows, scanRetelling)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return r, err
}

// runKind is what a retelling is as a run.
func runKind(kind engine.RetellKind) string {
	if kind == engine.RetellResync {
		return "resync"
	}
	return "cleanup"
}

// StartRetelling implements engine.Tx. Several of a computation that start together are one
// run.
func (t *tx) StartRetelling(ctx context.Context, conn *engine.Connection, kind engine.RetellKind, now time.Time) error {
	var b pgx.Batch
	b.Queue(`UPDATE runs u SET finished_at = $2 FROM retellings r
		WHERE r.connection_id = $1 AND r.finished_at IS NULL AND u.computation_id = $3 AND u.kind = 'resync' AND u.as_of = r.started_at
			AND u.finished_at IS NULL`, conn.ID, now, conn.Computation.ID)
	b.Queue(`UPDATE retellings SET finished_at = $2 WHERE connection_id = $1 AND finished_at IS NULL`, conn.ID, now)
	b.Queue(`INSERT INTO retellings (connection_id, kind, started_at, pass_at) VALUES ($1, $2, $3, $3)`, conn.ID, string(kind), now)
	b.Queue(`INSERT INTO runs (computation_id, kind, as_of, started_at) VALUES ($1, $2, $3, $3)
		ON CONFLICT (computation_id, kind, as_of) DO UPDATE SET finished_at = NULL`, conn.Computation.ID, runKind(kind), now)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("start to tell %s of %s: %w", conn.Destination.Name, conn.Computation.Key, err)
	}
	return nil
}

// NextRetold implements engine.Tx. For a cleanup the whole ledger is gone through once,
// in the order of its key: it is no more than what was told at some time.
func (t *tx) NextRetold(ctx context.Context, r *engine.Retelling, mergedSince time.Time, n int) ([]int64, error) {
	statement, args := `
		SELECT DISTINCT bucket, profile_id FROM ledger
		WHERE connection_id = $1 AND value <> 'null' AND (bucket, profile_id) > ($2, $3) ORDER BY bucket, profile_id LIMIT $4`,
		[]any{r.Connection.ID, r.At.Bucket, r.At.ProfileID, n}
	switch {
	case !mergedSince.IsZero():
		statement = `
			SELECT DISTINCT 0, survivor_id FROM profile_merges
			WHERE merged_at >= $1 AND survivor_id > $2 ORDER BY survivor_id LIMIT $3`
		args = []any{mergedSince, r.At.ProfileID, n}
	case r.Kind == engine.RetellResync:
		statement = `
			SELECT bucket, profile_id FROM computed_values
			WHERE computation_id = $1 AND (bucket, profile_id) > ($2, $3) ORDER BY bucket, profile_id LIMIT $4`
		args[0] = r.Connection.Computation.ID
	}
	rows, err := t.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (id int64, err error) { return id, row.Scan(nil, &id) })
}

// SetRetelling implements engine.Tx.
func (t *tx) SetRetelling(ctx context.Context, r *engine.Retelling, over bool, now time.Time) error {
	var end *time.Time
	if over {
		end = &now
	}
	var b pgx.Batch
	b.Queue(`UPDATE retellings SET merges = $2, at_bucket = $3, at_profile_id = $4, profiles = $5, messages = $6, pass_at = $7,
		progressed_at = $8, finished_at = $9 WHERE retelling_id = $1`,
		r.ID, r.Merges, r.At.Bucket, r.At.ProfileID, r.Profiles, r.Messages, r.PassAt, now, end)
	b.Queue(`UPDATE runs u SET profiles = s.profiles, finished_at = s.finished_at
		FROM (SELECT sum(x.profiles) AS profiles, CASE WHEN bool_and(x.finished_at IS NOT NULL) THEN max(x.finished_at) END AS finished_at
			FROM retellings x JOIN connections n USING (connection_id)
			WHERE n.computation_id = $1 AND x.started_at = $2 AND (x.kind = 'resync') = ($3 = 'resync')) s
		WHERE u.computation_id = $1 AND u.kind = $3 AND u.as_of = $2`, r.Connection.Computation.ID, r.StartedAt, runKind(r.Kind))
	return t.SendBatch(ctx, &b).Close()
}
