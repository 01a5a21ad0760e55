package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/event"
	"muster/scheduler"
	"muster/web"
)

var _ web.Inspector = (*Store)(nil)

// Snapshot implements web.Inspector.
func (s *Store) Snapshot(ctx context.Context) (web.Snapshot, error) {
	var snap web.Snapshot
	rows, err := s.pool.Query(ctx, `
		SELECT c.key, c.kind, c.status, coalesce(v.schedule, ''), v.as_of, coalesce((SELECT max(x.attempt) FROM slots x
			WHERE x.schedule = v.schedule AND x.status = 'failed' AND x.slot > v.as_of), 0)
		FROM computations c
		LEFT JOIN computation_versions v ON v.computation_id = c.computation_id AND v.version = c.version AND v.schedule <> '' AND c.status = 'live'
		WHERE c.deleted_at IS NULL ORDER BY c.key`)
	if err != nil {
		return snap, fmt.Errorf("read the computations: %w", err)
	}
	snap.Computations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c web.ComputationState, err error) {
		var asOf *time.Time
		var text string
		if err := row.Scan(&c.Key, &c.Kind, &c.Status, &text, &asOf, &c.Failing); err != nil || asOf == nil {
			return c, err
		}
		schedule, err := scheduler.Parse(text)
		if err != nil {
			return c, err
		}
		c.AsOf, c.Due = *asOf, schedule.Next(*asOf)
		return c, nil
	})
	if err != nil {
		return snap, fmt.Errorf("read the computations: %w", err)
	}
	dead, err := s.deadLetterKinds(ctx)
	if err != nil {
		return snap, err
	}
	lags, err := s.Lags(ctx)
	if err != nil {
		return snap, err
	}
	for _, l := range lags {
		d := web.DestinationState{Name: l.Destination, Paused: l.Paused, Halted: l.HaltedReason != "", Waiting: l.Waiting, Failing: int(l.Failing), DeadLetters: dead[l.Destination]}
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
	snap.Connections = web.PoolState{
		InUse: int64(stat.AcquiredConns()), Idle: int64(stat.IdleConns()), Max: int64(stat.MaxConns()),
		Waits: stat.EmptyAcquireCount(), Waited: stat.EmptyAcquireWaitTime(),
	}
	rows, err = s.pool.Query(ctx, `SELECT name, rows, bytes FROM inspect.storage ORDER BY name`)
	if err != nil {
		return snap, fmt.Errorf("read the sizes of tables: %w", err)
	}
	if snap.Storage, err = pgx.CollectRows(rows, pgx.RowToStructByPos[web.TableState]); err != nil {
		return snap, fmt.Errorf("read the sizes of tables: %w", err)
	}
	return snap, nil
}

// deadLetterKinds counts the dead letters that wait for a decision, by destination and kind.
// Those of suppressed people wait for none: they are web.DeadSuppressed, whatever their kind.
func (s *Store) deadLetterKinds(ctx context.Context) (map[string]map[string]int64, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT d.name, CASE x.code WHEN $1 THEN $2 ELSE x.kind END AS of, count(*) FROM dead_letters x JOIN destinations d USING (destination_id)
		WHERE x.resolution IS NULL GROUP BY d.name, of`, string(event.CodeSuppressed), web.DeadSuppressed)
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	counts := make(map[string]map[string]int64)
	var name, kind string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &n}, func() error {
		if counts[name] == nil {
			counts[name] = make(map[string]int64)
		}
		counts[name][kind] = n
		return nil
	})
	return counts, err
}
