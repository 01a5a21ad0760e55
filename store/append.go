package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// QueueChannel is the channel on which the queue says that something was appended.
const QueueChannel = "muster_queue"

// Enqueue implements engine.Tx.
func (t *tx) Enqueue(ctx context.Context, profiles []*engine.Profile, now time.Time) error {
	var messages, undeliverable []*engine.Message
	for _, p := range profiles {
		for i := range p.Messages {
			m := &p.Messages[i]
			if m.Undeliverable != "" {
				undeliverable = append(undeliverable, m)
			} else {
				messages = append(messages, m)
			}
		}
	}
	if len(undeliverable) > 0 {
		if err := t.bury(ctx, undeliverable, now); err != nil {
			return err
		}
	}
	var aliases []engine.Alias
	for _, p := range profiles {
		aliases = append(aliases, p.Aliases()...)
	}
	if err := t.Alias(ctx, aliases, now); err != nil {
		return err
	}
	return t.appendQueue(ctx,
		[]string{"destination_id", "seq", "connection_id", "profile_id", "at", "queued_at", "bucket", "told", "lane", "form", "reason", "ids", "value", "event"},
		len(messages), func(i int, seqs []int64) []any {
			m := messages[i]
			return []any{
				m.Connection.Destination.ID, seqs[i], m.Connection.ID, m.ProfileID, m.At, now, int32(m.Bucket), int32(m.Times), int16(m.Lane()),
				string(m.Form), string(m.Reason), m.IDs.Key(), m.Value.AppendJSON(nil), orNone(m.EventName()),
			}
		})
}

func orNone(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Forward implements engine.Tx. A call that makes one person of two ids stands in the lanes of
// both, first in that of the id that is waited for: see deliver.Barrier.
func (t *tx) Forward(ctx context.Context, calls []engine.Forward, now time.Time) error {
	type line struct {
		*engine.Forward
		carrier string
		partner int // the place of the other row, from this one; 0: there is none
	}
	lines := make([]line, 0, len(calls))
	for i := range calls {
		f := &calls[i]
		if !f.Joins {
			lines = append(lines, line{f, engine.CarrierOf(f.Call), 0})
			continue
		}
		lines = append(lines, line{f, engine.JoinedBy(f.Call), 1}, line{f, engine.CarrierOf(f.Call), -1})
	}
	return t.appendQueue(ctx,
		[]string{"destination_id", "seq", "connection_id", "profile_id", "at", "queued_at", "barrier", "bucket", "told", "lane", "form", "reason", "ids", "value", "call"},
		len(lines), func(i int, seqs []int64) []any {
			f := lines[i]
			var barrier *int64
			if f.partner != 0 {
				barrier = &seqs[i+f.partner]
			}
			var bucket int32
			if f.ProfileID != 0 {
				bucket = int32(engine.ProfileBucket(f.ProfileID))
			}
			ids := f.IDs()
			return []any{
				f.DestinationID, seqs[i], int64(0), f.ProfileID, f.Call.Timestamp, now, barrier, bucket, int32(0), int16(engine.CarrierLane(f.carrier)),
				string(f.Call.Type), string(f.Reason), ids.Key(), []byte("null"), engine.CallJSON(f.Call),
			}
		})
}

// appendQueue appends n rows. Their places are drawn under a lock that is held to the commit:
// the order of places is the order of commits, so a reader that has seen one place never
// meets a smaller one later.
func (t *tx) appendQueue(ctx context.Context, columns []string, n int, row func(i int, seqs []int64) []any) error {
	if n == 0 {
		return nil
	}
	if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(appendLock)); err != nil {
		return err
	}
	rows, err := t.Query(ctx, `SELECT nextval('queue_seq') FROM generate_series(1, $1)`, n)
	if err != nil {
		return err
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	_, err = t.CopyFrom(ctx, pgx.Identifier{"queue"}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i, seqs), nil }))
	if err != nil {
		return fmt.Errorf("queue %d messages: %w", n, err)
	}
	t.store.queueSeen.Store(seqs[n-1])
	_, err = t.Exec(ctx, `SELECT pg_notify($1, '')`, QueueChannel)
	return err
}

// bury puts messages that nobody can be told straight to the dead letters.
func (t *tx) bury(ctx context.Context, messages []*engine.Message, now time.Time) error {
	_, err := t.CopyFrom(ctx, pgx.Identifier{"dead_letters"},
		[]string{"destination_id", "lane", "seq", "kind", "code", "reason", "connection_id", "bucket", "profile_id", "form", "ids", "value", "told", "at", "reason_told", "attempts", "died_at"},
		pgx.CopyFromSlice(len(messages), func(i int) ([]any, error) {
			m := messages[i]
			return []any{
				m.Connection.Destination.ID, int16(0), int64(0), "undeliverable", "no_accepted_identifier", m.Undeliverable,
				m.Connection.ID, int32(m.Bucket), m.ProfileID, string(m.Form), "", m.Value.AppendJSON(nil), int32(0), m.At, string(m.Reason), int32(0), now,
			}, nil
		}))
	if err != nil {
		return fmt.Errorf("note %d undeliverable messages: %w", len(messages), err)
	}
	return nil
}
