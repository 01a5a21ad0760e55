package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// Run is what a slot, a backfill, a resync or a cleanup did for a computation.
type Run struct {
	ID         int64      `json:"id"`
	Key        string     `json:"key"`
	Kind       string     `json:"kind"` // slot, backfill, resync or cleanup
	AsOf       time.Time  `json:"as_of"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"` // absent: it goes on
	Percent    *int       `json:"percent,omitempty"`     // of the profiles, of a walk over all that goes on
	EventsRead int64      `json:"events_read"`           // for all computations of the slot together
	Profiles   int64      `json:"profiles"`              // evaluated; of a resync or cleanup those that were told
	Entered    int64      `json:"entered"`
	Exited     int64      `json:"exited"`
	Changed    int64      `json:"changed"`
}

// RunFilter selects runs. Zero fields select all.
type RunFilter struct {
	ID    int64
	Key   string
	Kind  string
	Limit int // 0: 50
	// Before selects those with a lower number.
	Before int64
}

// Runs lists runs, the newest first.
func (s *Store) Runs(ctx context.Context, f RunFilter) ([]Run, error) {
	if f.Limit == 0 {
		f.Limit = 50
	}
	rows, err := s.pool.Query(ctx, `
		SELECT r.run_id, c.key, r.kind, r.as_of, r.started_at, r.finished_at,
			CASE WHEN r.finished_at IS NOT NULL THEN NULL
				WHEN r.kind = 'backfill' THEN (SELECT (100 * b.profiles_done / greatest(b.profiles_total, 1))::int FROM backfills b
					WHERE b.status = 'running' AND b.started_at = r.started_at LIMIT 1)
				WHEN r.kind IN ('resync', 'cleanup') THEN ( -- profiles are spread evenly over the buckets
					SELECT (avg(CASE WHEN x.finished_at IS NOT NULL OR x.merges THEN $6 ELSE x.at_bucket END) * 100 / $6)::int
					FROM retellings x JOIN connections n USING (connection_id)
					WHERE n.computation_id = r.computation_id AND x.started_at = r.as_of AND (x.kind = 'resync') = (r.kind = 'resync')) END,
			r.events_read, r.profiles, r.entered, r.exited, r.changed
		FROM runs r JOIN computations c USING (computation_id)
		WHERE ($1 = 0 OR r.run_id = $1) AND ($2 = '' OR c.key = $2) AND ($3 = '' OR r.kind = $3) AND ($5 = 0 OR r.run_id < $5)
		ORDER BY r.run_id DESC LIMIT $4`, f.ID, f.Key, f.Kind, f.Limit, f.Before, engine.Buckets)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Run, err error) {
		err = row.Scan(&r.ID, &r.Key, &r.Kind, &r.AsOf, &r.StartedAt, &r.FinishedAt, &r.Percent, &r.EventsRead, &r.Profiles, &r.Entered, &r.Exited, &r.Changed)
		return r, err
	})
}

// FailingSlot is a slot that has failed and will be tried again.
type FailingSlot struct {
	Schedule string     `json:"schedule"`
	Slot     time.Time  `json:"slot"`
	Attempt  int        `json:"attempt"`
	RetryAt  *time.Time `json:"retry_at,omitempty"`
	Error    string     `json:"error"`
}

// FailingSlots lists the slots that fail now, the newest of each schedule.
func (s *Store) FailingSlots(ctx context.Context) ([]FailingSlot, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT x.schedule, x.slot, x.attempt, x.retry_at, coalesce(x.error, '')
		FROM (SELECT DISTINCT ON (schedule) * FROM slots ORDER BY schedule, slot DESC) x
		WHERE x.status = 'failed' ORDER BY x.schedule`)
	if err != nil {
		return nil, fmt.Errorf("look for failing slots: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f FailingSlot, err error) {
		err = row.Scan(&f.Schedule, &f.Slot, &f.Attempt, &f.RetryAt, &f.Error)
		return f, err
	})
}
