package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// runsFor is how long what slots and backfills did is remembered.
const runsFor = 90 * 24 * time.Hour

// violationsFor is how long it is remembered which ids a rule kept from a profile: a device
// that several users share adds one with each call.
const violationsFor = 30 * 24 * time.Hour

// sweepPatience is how long a sweep waits for a lock before it leaves the rest to the next.
const sweepPatience = "2s"

// Swept counts what a sweep has dropped.
type Swept struct {
	KeyDays    int   // days of message keys
	QueueParts int   // partitions of the queue that every destination is past
	Runs       int64 // rows on runs and slots
	Violations int64 // ids that a rule kept from a profile
}

// Sweep drops what is not needed any more, by whole partitions where there are many rows:
// message keys older than the dedup window, the queue behind the slowest destination, and
// old rows on runs, slots and violations of identity rules. Nothing that is still to be told is dropped. Processes
// that sweep at the same time take turns.
func (s *Store) Sweep(ctx context.Context, dedupWindow time.Duration, now time.Time) (Swept, error) {
	var swept Swept
	keys, err := s.partitionsOf(ctx, "message_keys")
	if err != nil {
		return swept, err
	}
	// A day is dropped when its last instant is outside of the window; midnight's grace
	// needs the day before today in any case.
	oldest := now.Add(-max(dedupWindow, 24*time.Hour)).UTC().Truncate(24 * time.Hour)
	for _, name := range keys {
		day, err := time.Parse("20060102", strings.TrimPrefix(name, "message_keys_"))
		if err != nil || !day.Before(oldest) {
			continue
		}
		if err := s.dropPartition(ctx, name); err != nil {
			return swept, err
		}
		swept.KeyDays++
	}
	if swept.QueueParts, err = s.sweepQueue(ctx); err != nil {
		return swept, err
	}
	for _, statement := range []string{
		`DELETE FROM runs WHERE finished_at < $1`,
		`DELETE FROM slots WHERE slot < $1 AND status <> 'running'`,
	} {
		tag, err := s.pool.Exec(ctx, statement, now.Add(-runsFor))
		if err != nil {
			return swept, fmt.Errorf("forget old runs: %w", err)
		}
		swept.Runs += tag.RowsAffected()
	}
	tag, err := s.pool.Exec(ctx, `DELETE FROM identity_violations WHERE happened_at < $1`, now.Add(-violationsFor))
	if err != nil {
		return swept, fmt.Errorf("forget old violations: %w", err)
	}
	swept.Violations = tag.RowsAffected()
	return swept, s.sweepBarriers(ctx, now)
}

// sweepQueue drops full partitions in which no destination has anything left to read.
func (s *Store) sweepQueue(ctx context.Context) (dropped int, err error) {
	parts, err := s.partitionsOf(ctx, "queue")
	if err != nil {
		return 0, err
	}
	var last int64
	if err := s.pool.QueryRow(ctx, `SELECT last_value FROM queue_seq`).Scan(&last); err != nil {
		return 0, fmt.Errorf("look up the end of the queue: %w", err)
	}
	for _, name := range parts {
		number, err := strconv.ParseInt(strings.TrimPrefix(name, "queue_"), 10, 64)
		if err != nil || (number+1)*queuePartition > last {
			continue
		}
		var needed bool
		err = s.pool.QueryRow(ctx, `
			SELECT EXISTS (
				SELECT 1 FROM destinations d CROSS JOIN generate_series(0, 15) AS l (lane)
				LEFT JOIN queue_positions p ON p.destination_id = d.destination_id AND p.lane = l.lane
				WHERE d.removed_at IS NULL AND EXISTS (
					SELECT 1 FROM queue q WHERE q.destination_id = d.destination_id AND q.lane = l.lane
						AND q.seq > greatest(coalesce(p.seq, 0), $1 - 1) AND q.seq < $2))`,
			number*queuePartition, (number+1)*queuePartition).Scan(&needed)
		if err != nil {
			return dropped, fmt.Errorf("look for what waits in %s: %w", name, err)
		}
		if needed {
			continue
		}
		if err := s.dropPartition(ctx, name); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// partitionsOf are the names of a table's partitions, sorted.
func (s *Store) partitionsOf(ctx context.Context, table string) ([]string, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = to_regclass($1) ORDER BY c.relname`, "muster."+table)
	if err != nil {
		return nil, fmt.Errorf("list the partitions of %s: %w", table, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// dropPartition drops one, unless somebody holds on to it for longer than a sweep waits.
// The name comes from the catalog.
func (s *Store) dropPartition(ctx context.Context, name string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `SET LOCAL lock_timeout = '`+sweepPatience+`'`); err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(partitionLock)); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `DROP TABLE IF EXISTS `+pgx.Identifier{name}.Sanitize())
		return err
	})
	if err != nil {
		return fmt.Errorf("drop partition %s: %w", name, err)
	}
	return nil
}
