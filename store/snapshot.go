package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/web"
)

var _ web.Inspector = (*Store)(nil)

// Snapshot implements web.Inspector.
func (s *Store) Snapshot(ctx context.Context) (web.Snapshot, error) {
	var snap web.Snapshot
	rows, err := s.pool.Query(ctx, `
		SELECT c.key, c.kind, c.status, v.as_of, coalesce((SELECT max(x.attempt) FROM slots x
			WHERE x.schedule = v.schedule AND x.status = 'failed' AND x.slot > v.as_of), 0)
		FROM computations c
		LEFT JOIN computation_versions v ON v.computation_id = c.computation_id AND v.version = c.version AND v.schedule <> '' AND c.status = 'live'
		WHERE c.deleted_at IS NULL ORDER BY c.key`)
	if err != nil {
		return snap, fmt.Errorf("read the computations: %w", err)
	}
	snap.Computations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c web.ComputationState, err error) {
		var asOf *time.Time
		err = row.Scan(&c.Key, &c.Kind, &c.Status, &asOf, &c.Failing)
		if asOf != nil {
			c.AsOf = *asOf
		}
		return c, err
	})
	if err != nil {
		return snap, fmt.Errorf("read the computations: %w", err)
	}
	lags, err := s.Lags(ctx)
	if err != nil {
		return snap, err
	}
	for _, l := range lags {
		d := web.DestinationState{Name: l.Destination, Paused: l.Paused, Halted: l.HaltedReason != "", Waiting: l.Waiting, DeadLetters: l.DeadLetters}
		if l.Oldest != nil {
			d.Oldest = *l.Oldest
		}
		snap.Destinations = append(snap.Destinations, d)
	}
	var b web.BackfillState
	err = s.pool.QueryRow(ctx, `SELECT coalesce(sum(profiles_done), 0)::bigint, coalesce(sum(profiles_total), 0)::bigint FROM backfills WHERE status = 'running'`).Scan(&b.Done, &b.Total)
	if err != nil {
		return snap, fmt.Errorf("read the backfill: %w", err)
	}
	if b.Total > 0 {
		snap.Backfill = &b
	}
	stat := s.pool.Stat()
	snap.Connections = web.PoolState{InUse: int64(stat.AcquiredConns()), Idle: int64(stat.IdleConns()), Max: int64(stat.MaxConns())}
	return snap, nil
}
