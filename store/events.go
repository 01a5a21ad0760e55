package store

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"muster/engine"
	"muster/query"
)

// AppendEvents implements engine.Tx.
func (t *tx) AppendEvents(ctx context.Context, events []engine.StoredEvent) error {
	if len(events) == 0 {
		return nil
	}
	t.store.mu.RLock()
	numbers := make([]int64, len(events))
	for i, e := range events {
		numbers[i] = t.store.nameIDs[e.Name]
	}
	t.store.mu.RUnlock()
	_, err := t.CopyFrom(ctx, pgx.Identifier{"events"},
		[]string{"bucket", "profile_id", "event_name_id", "ts", "seq", "source_id", "received_at", "message_id", "properties", "context"},
		pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
			e := events[i]
			return []any{
				int32(engine.ProfileBucket(e.ProfileID)), e.ProfileID, numbers[i], e.Time, e.Arrival, e.SourceID,
				e.ReceivedAt, e.MessageID, document(e.Properties), document(e.Context),
			}, nil
		}))
	if err != nil {
		return fmt.Errorf("append %d events: %w", len(events), err)
	}
	return nil
}

// document is a JSON object as a column takes it; an absent one is null.
func document(v jsontext.Value) any {
	if len(v) == 0 {
		return nil
	}
	return []byte(v)
}

const eventColumns = `e.profile_id, e.event_name_id, e.ts, e.seq, e.received_at, e.source_id, e.properties, e.context`

// ScanArrivals implements engine.Tx. The BRIN index on seq finds the blocks.
func (t *tx) ScanArrivals(ctx context.Context, names []string, after, upTo int64, yield func(int64, *query.Event) error) error {
	numbers, err := t.store.numbers(ctx, t, names)
	if err != nil || len(numbers) == 0 {
		return err
	}
	rows, err := t.Query(ctx, `SELECT `+eventColumns+` FROM events e
		WHERE e.seq > $1 AND e.seq <= $2 AND e.event_name_id = ANY($3)`, after, upTo, numbers)
	if err != nil {
		return fmt.Errorf("scan arrivals: %w", err)
	}
	return t.readEvents(rows, yield)
}

// ScanSpans implements engine.Tx: one statement for all spans. OFFSET 0 makes PostgreSQL
// look up each span by itself, with the BRIN index on ts in the partitions that it
// touches; left free, it might read the whole log to join it with the spans.
func (t *tx) ScanSpans(ctx context.Context, spans []engine.Span, upTo int64, yield func(int64, *query.Event) error) error {
	var froms, tos []time.Time
	var names []string // of each span, as the text of an array: PostgreSQL has no ragged ones
	for _, s := range spans {
		numbers, err := t.store.numbers(ctx, t, s.Names)
		if err != nil {
			return err
		}
		if len(numbers) > 0 {
			froms = append(froms, s.From)
			tos = append(tos, s.To)
			names = append(names, "{"+strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ","), "[]")+"}")
		}
	}
	if len(names) == 0 {
		return nil
	}
	rows, err := t.Query(ctx, `SELECT e.* FROM unnest($1::timestamptz[], $2::timestamptz[], $3::text[]) AS span (first, last, names)
		CROSS JOIN LATERAL (SELECT `+eventColumns+` FROM events e
			WHERE e.ts >= span.first AND e.ts <= span.last AND e.event_name_id = ANY(span.names::bigint[]) AND e.seq <= $4 OFFSET 0) e`,
		froms, tos, names, upTo)
	if err != nil {
		return fmt.Errorf("scan what crossed the edges of windows: %w", err)
	}
	return t.readEvents(rows, yield)
}

// History implements engine.Tx.
func (t *tx) History(ctx context.Context, h engine.HistoryQuery, yield func(int64, *query.Event) error) error {
	names, err := t.store.numbers(ctx, t, h.Names)
	if err != nil || len(names) == 0 {
		return err
	}
	upTo := h.UpTo
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	since := pgtype.Timestamptz{Time: h.Since, Valid: true}
	if h.Since.IsZero() {
		since = pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	c := columnsOf(h.Profiles)
	rows, err := t.Query(ctx, `SELECT `+eventColumns+`
		FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
		JOIN events e USING (bucket, profile_id)
		WHERE e.event_name_id = ANY($3) AND e.seq <= $4 AND e.ts >= $5`, c.buckets, c.ids, names, upTo, since)
	if err != nil {
		return fmt.Errorf("read the history of %d profiles: %w", len(h.Profiles), err)
	}
	return t.readEvents(rows, yield)
}

func (t *tx) readEvents(rows pgx.Rows, yield func(int64, *query.Event) error) error {
	defer rows.Close()
	for rows.Next() {
		var profile, name, source int64
		var properties, context []byte
		e := &query.Event{}
		if err := rows.Scan(&profile, &name, &e.Time, &e.Arrival, &e.ReceivedAt, &source, &properties, &context); err != nil {
			return err
		}
		t.store.mu.RLock()
		e.Name, e.Source = t.store.names[name], t.store.sources[source]
		t.store.mu.RUnlock()
		e.Properties, e.Context = properties, context
		if err := yield(profile, e); err != nil {
			return err
		}
	}
	return rows.Err()
}
