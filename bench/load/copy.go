package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// eventColumns are those of the event log.
var eventColumns = []string{"bucket", "profile_id", "event_name_id", "ts", "seq", "source_id", "received_at", "message_id", "properties", "context"}

// makeTwin makes a table that is laid out like the event log, partitions and indexes
// included.
const makeTwin = `DO $$
	DECLARE p record;
	BEGIN
		DROP TABLE IF EXISTS muster.load_events;
		CREATE TABLE muster.load_events (LIKE muster.events INCLUDING ALL) PARTITION BY RANGE (ts);
		FOR p IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound
			FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'muster.events'::regclass LOOP
			EXECUTE format('CREATE TABLE muster.%I PARTITION OF muster.load_events %s', 'load_' || p.relname, p.bound);
		END LOOP;
	END $$`

// storedEvents reads the events that have come in since an instant, in their order.
func storedEvents(ctx context.Context, conn *pgx.Conn, since time.Time) ([][]any, error) {
	rows, err := conn.Query(ctx, `
		SELECT bucket, profile_id, event_name_id, ts, seq, source_id, received_at, message_id, properties::text, context::text
		FROM muster.events WHERE received_at >= $1 ORDER BY seq`, since)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
}

// copyEvents measures COPY of the rows into a fresh twin of the event log, in durable
// transactions of n rows on one connection, for as long as limit at most.
func copyEvents(ctx context.Context, conn *pgx.Conn, rows [][]any, n int, limit time.Duration) (perSecond float64, err error) {
	for _, sql := range []string{makeTwin, "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return 0, err
		}
	}
	began, copied := time.Now(), 0
	for copied < len(rows) && time.Since(began) < limit {
		part := rows[copied:min(copied+n, len(rows))]
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"muster", "load_events"}, eventColumns, pgx.CopyFromRows(part)); err != nil {
			return 0, err
		}
		copied += len(part)
	}
	return float64(copied) / time.Since(began).Seconds(), nil
}
