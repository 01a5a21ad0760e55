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

// Enqueue implements engine.Tx. Places in the queue are drawn under a lock that is held
// to the commit: the order of places is the order of commits, so a reader that has seen
// one place never meets a smaller one later.
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
	if len(messages) == 0 {
		return nil
	}
	if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(appendLock)); err != nil {
		return err
	}
	rows, err := t.Query(ctx, `SELECT nextval('queue_seq') FROM generate_series(1, $1)`, len(messages))
	if err != nil {
		return err
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	_, err = t.CopyFrom(ctx, pgx.Identifier{"queue"},
		[]string{"destination_id", "lane", "seq", "connection_id", "bucket", "profile_id", "form", "ids", "value", "told", "at", "reason", "queued_at"},
		pgx.CopyFromSlice(len(messages), func(i int) ([]any, error) {
			m := messages[i]
			return []any{
				m.Connection.Destination.ID, int16(m.Lane()), seqs[i], m.Connection.ID, int32(m.Bucket), m.ProfileID, string(m.Form),
				m.IDs.Key(), m.Value.AppendJSON(nil), int32(m.Times), m.At, string(m.Reason), now,
			}, nil
		}))
	if err != nil {
		return fmt.Errorf("queue %d messages: %w", len(messages), err)
	}
	t.store.queueSeen.Store(seqs[len(seqs)-1])
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
