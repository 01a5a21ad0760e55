package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// runsFor is how long it is remembered what slots and backfills did, what became of dead
// letters, and what connections had told that were removed.
const runsFor = 90 * 24 * time.Hour

// violationsFor is how long it is remembered which ids a rule kept from a profile: a device
// that several users share adds one with each call.
const violationsFor = 30 * 24 * time.Hour

// Keep says for how long what is kept.
type Keep struct {
	DedupWindow time.Duration // message keys
	Values      time.Duration // the history of values; 0: for good
}

// Swept counts what a sweep has dropped.
type Swept struct {
	KeyDays     int   // days of message keys
	ValueMonths int   // months of the history of values
	QueueParts  int   // partitions of the queue that every destination is past
	Runs        int64 // rows on runs and slots
	Violations  int64 // ids that a rule kept from a profile
	DeadLetters int64 // those that were decided about
	Ledger      int64 // lines of connections that were removed
}

// Sweep drops what is not needed any more, by whole partitions where there are many rows:
// message keys older than the dedup window, old history of values, the queue behind the
// slowest destination, and what is old of runs, slots, violations of identity rules, dead letters
// that were decided about, and the ledger of removed connections. Nothing that is still to be
// told is dropped. Processes that sweep at the same time take turns.
func (s *Store) Sweep(ctx context.Context, keep Keep, now time.Time) (Swept, error) {
	var swept Swept
	// A day is dropped when its last instant is outside of the window; midnight's grace
	// needs the day before today in any case.
	oldest := now.Add(-max(keep.DedupWindow, 24*time.Hour)).UTC().Truncate(24 * time.Hour)
	var err error
	swept.KeyDays, err = s.dropOld(ctx, "message_keys", func(name string) bool {
		day, err := time.Parse("20060102", strings.TrimPrefix(name, "message_keys_"))
		return err == nil && day.Before(oldest)
	})
	if err != nil {
		return swept, err
	}
	if keep.Values > 0 {
		swept.ValueMonths, err = s.dropOld(ctx, "value_changes", func(name string) bool {
			month, err := time.Parse("value_changes_2006m01", name)
			return err == nil && !month.AddDate(0, 1, 0).After(now.Add(-keep.Values))
		})
		if err != nil {
			return swept, err
		}
	}
	if swept.QueueParts, err = s.sweepQueue(ctx); err != nil {
		return swept, err
	}
	if err := s.sweepBarriers(ctx, now); err != nil {
		return swept, err
	}
	for _, forget := range []struct {
		statement string
		after     time.Duration
		count     *int64
	}{
		{`DELETE FROM runs WHERE finished_at < $1`, runsFor, &swept.Runs},
		{`DELETE FROM slots WHERE slot < $1 AND status <> 'running'`, runsFor, &swept.Runs},
		{`DELETE FROM dead_letters WHERE resolved_at < $1`, runsFor, &swept.DeadLetters},
		{`DELETE FROM identity_violations WHERE happened_at < $1`, violationsFor, &swept.Violations},
	} {
		tag, err := s.pool.Exec(ctx, forget.statement, now.Add(-forget.after))
		if err != nil {
			return swept, fmt.Errorf("forget what is old: %w", err)
		}
		*forget.count += tag.RowsAffected()
	}
	swept.Ledger, err = s.sweepLedger(ctx, now)
	return swept, err
}

// ledgerStep is how many buckets of the ledger one statement goes through.
const ledgerStep = 64

// sweepLedger drops the lines of connections that were removed a while ago. It goes through
// the whole ledger, once for each that was.
func (s *Store) sweepLedger(ctx context.Context, now time.Time) (lines int64, err error) {
	rows, err := s.pool.Query(ctx, `
		SELECT connection_id FROM connections n WHERE removed_at < $1 AND swept_at IS NULL
			AND NOT EXISTS (SELECT FROM retellings r WHERE r.connection_id = n.connection_id AND r.finished_at IS NULL)`, now.Add(-runsFor))
	if err != nil {
		return 0, fmt.Errorf("look for removed connections: %w", err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	for bucket := 0; bucket < engine.Buckets; bucket += ledgerStep {
		tag, err := s.pool.Exec(ctx, `DELETE FROM ledger WHERE bucket >= $1 AND bucket < $2 AND connection_id = ANY($3)`, bucket, bucket+ledgerStep, gone)
		if err != nil {
			return lines, fmt.Errorf("drop the ledger of removed connections: %w", err)
		}
		lines += tag.RowsAffected()
	}
	if _, err := s.pool.Exec(ctx, `UPDATE connections SET swept_at = $2 WHERE connection_id = ANY($1)`, gone, now); err != nil {
		return lines, fmt.Errorf("note that the ledger of removed connections is dropped: %w", err)
	}
	return lines, nil
}

// dropOld drops the partitions of a table that are old by their names.
func (s *Store) dropOld(ctx context.Context, table string, old func(name string) bool) (dropped int, err error) {
	names, err := s.partitionsOf(ctx, table)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if !old(name) {
			continue
		}
		if err := s.dropPartition(ctx, name); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
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
				SELECT 1 FROM destinations d CROSS JOIN generate_series(0, $3 - 1) AS l (lane)
				LEFT JOIN queue_positions p ON p.destination_id = d.destination_id AND p.lane = l.lane
				WHERE d.removed_at IS NULL AND EXISTS (
					SELECT 1 FROM queue q WHERE q.destination_id = d.destination_id AND q.lane = l.lane
						AND q.seq > greatest(coalesce(p.seq, 0), $1 - 1) AND q.seq < $2))`,
			number*queuePartition, (number+1)*queuePartition, engine.Lanes).Scan(&needed)
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
	err := s.patiently(ctx, func(t *tx) error {
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
