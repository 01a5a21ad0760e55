package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/deliver"
)

// letters stores what is set aside, taking the rest of each from its row in the queue.
func letters(ctx context.Context, t pgx.Tx, destination int64, lane int, p deliver.Progress) error {
	var seqs []int64
	var kinds, codes, reasons []string
	var attempts []int32
	var waits []*int16
	for _, list := range []struct {
		kind    string
		letters []deliver.Letter
	}{{KindRejected, p.Dead}, {KindUncertain, p.Uncertain}} {
		for _, letter := range list.letters {
			kind := list.kind
			if letter.Code == deliver.CodeGaveUp {
				kind = KindGaveUp
			}
			seqs = append(seqs, letter.Entry.Seq)
			kinds = append(kinds, kind)
			codes = append(codes, letter.Code)
			reasons = append(reasons, letter.Reason)
			attempts = append(attempts, int32(letter.Attempts))
			waits = append(waits, waitsIn(letter.Entry.Barrier, letter.Entry.Call))
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	_, err := t.Exec(ctx, `
		INSERT INTO dead_letters (destination_id, lane, seq, kind, code, reason, connection_id, bucket, profile_id, form, ids, value,
			told, at, reason_told, attempts, died_at, event, call, waits_in)
		SELECT q.destination_id, q.lane, q.seq, u.kind, u.code, u.reason, q.connection_id, q.bucket, q.profile_id, q.form, q.ids, q.value,
			q.told, q.at, q.reason, u.attempts, $9, q.event, q.call, u.waits_in
		FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::int[], $8::smallint[]) AS u (seq, kind, code, reason, attempts, waits_in)
		JOIN queue q ON q.destination_id = $1 AND q.lane = $2 AND q.seq = u.seq
		ON CONFLICT DO NOTHING`, destination, lane, seqs, kinds, codes, reasons, attempts, waits, p.At)
	return err
}

func barriers(ctx context.Context, t pgx.Tx, destination int64, p deliver.Progress) error {
	if len(p.Reached) > 0 {
		_, err := t.Exec(ctx, `
			INSERT INTO queue_barriers (destination_id, barrier, reached) SELECT $1, unnest($2::text[]), true
			ON CONFLICT (destination_id, barrier) DO UPDATE SET reached = true`, destination, p.Reached)
		if err != nil {
			return err
		}
	}
	if len(p.Passed) > 0 {
		_, err := t.Exec(ctx, `
			INSERT INTO queue_barriers (destination_id, barrier, passed_at) SELECT $1, unnest($2::text[]), $3
			ON CONFLICT (destination_id, barrier) DO UPDATE SET passed_at = excluded.passed_at`, destination, p.Passed, p.At)
		return err
	}
	return nil
}

// Barriers implements deliver.Queue.
func (q *Queue) Barriers(ctx context.Context, destination string, ids []string) (map[string]deliver.BarrierState, error) {
	rows, err := q.store.pool.Query(ctx, `
		SELECT b.barrier, b.reached, b.passed_at FROM queue_barriers b JOIN destinations d USING (destination_id)
		WHERE d.name = $1 AND b.barrier = ANY($2)`, destination, ids)
	if err != nil {
		return nil, fmt.Errorf("read barriers: %w", err)
	}
	states := make(map[string]deliver.BarrierState)
	var id string
	var s deliver.BarrierState
	var passed *time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &s.Reached, &passed}, func() error {
		s.PassedAt = time.Time{}
		if passed != nil {
			s.PassedAt = *passed
		}
		states[id] = s
		return nil
	})
	return states, err
}

// barriersFor is how long the barriers that are behind both of their ids are remembered.
const barriersFor = 24 * time.Hour

// sweepBarriers forgets barriers that no lane has yet to pass.
func (s *Store) sweepBarriers(ctx context.Context, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		DELETE FROM queue_barriers b WHERE b.passed_at < $1 AND NOT EXISTS (
			SELECT FROM queue_positions p JOIN queue q ON q.destination_id = p.destination_id AND q.lane = p.lane AND q.seq > p.seq
			WHERE p.destination_id = b.destination_id AND q.seq IN (b.barrier::bigint - 1, b.barrier::bigint))`, now.Add(-barriersFor))
	if err != nil {
		return fmt.Errorf("forget barriers: %w", err)
	}
	return nil
}
