package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/deliver"
	"muster/engine"
)

// queuePoll is how long Wait waits at most: notices can get lost with a connection.
const queuePoll = 2 * time.Second

// Queue is the queue as delivery works on it.
type Queue struct {
	store *Store

	mu       sync.Mutex
	listener *pgxpool.Conn // kept for as long as it works, because notices count from LISTEN on
}

var _ deliver.Queue = (*Queue)(nil)

// Queue returns the queue of the store's database.
func (s *Store) Queue() *Queue { return &Queue{store: s} }

// maxSkew is how far the clocks of two processes may differ. A lease that ends later than
// that explains was taken by a clock that was wrong and has been set right since: it is not
// waited for, or whoever died with such a clock would be waited for as long as it was ahead.
const maxSkew = time.Minute

// Acquire implements deliver.Queue.
func (q *Queue) Acquire(ctx context.Context, c deliver.Claim) ([]deliver.Lease, error) {
	var leases []deliver.Lease
	err := pgx.BeginFunc(ctx, q.store.pool, func(t pgx.Tx) error {
		leases = nil
		_, err := t.Exec(ctx, `
			INSERT INTO queue_positions (destination_id, lane)
			SELECT d.destination_id, l FROM destinations d, generate_series(0, $2 - 1) AS l
			WHERE d.name = ANY($1) AND d.removed_at IS NULL
				-- A conflict with a lane that is just committed would wait for it.
				AND NOT EXISTS (SELECT FROM queue_positions p WHERE p.destination_id = d.destination_id AND p.lane = l)
			ON CONFLICT DO NOTHING`, c.Destinations, engine.Lanes)
		if err != nil {
			return err
		}
		// Of its own lanes the claimer waits for those that it is just committing, or they
		// would not be renewed. The order keeps two that wait from waiting for each other. Of
		// other lanes it waits for none: who has locked one is taking it.
		_, err = t.Exec(ctx, `
			SELECT FROM queue_positions WHERE owner = $1 ORDER BY destination_id, lane FOR UPDATE`, c.Owner)
		if err != nil {
			return err
		}
		rows, err := t.Query(ctx, `
			WITH mine AS (
				SELECT p.destination_id, p.lane FROM queue_positions p JOIN destinations d USING (destination_id)
				WHERE d.name = ANY($1) AND d.removed_at IS NULL AND NOT d.paused AND d.halted_reason IS NULL
					AND (p.owner = $2 OR NOT $5 AND (p.owner = '' OR p.lease_until <= $3 OR p.lease_until > $6))
				FOR UPDATE OF p SKIP LOCKED)
			UPDATE queue_positions p
			SET token = CASE WHEN p.owner = $2 THEN p.token ELSE p.token + 1 END, owner = $2, lease_until = $4
			FROM mine JOIN destinations d USING (destination_id)
			WHERE p.destination_id = mine.destination_id AND p.lane = mine.lane
			RETURNING d.name, p.lane, p.token, p.seq, p.ahead, p.in_flight, p.failing_seq, p.attempt,
				p.failing_since, p.next_attempt_at, p.last_code, p.last_reason`,
			c.Destinations, c.Owner, c.Now, c.Now.Add(c.TTL), c.RenewOnly, c.Now.Add(c.TTL+maxSkew))
		if err != nil {
			return err
		}
		leases, err = pgx.CollectRows(rows, scanLease)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take lanes of the queue: %w", err)
	}
	return leases, nil
}

func scanLease(row pgx.CollectableRow) (deliver.Lease, error) {
	var l deliver.Lease
	var since, next *time.Time
	r := &l.State.Retry
	err := row.Scan(&l.Lane.Destination, &l.Lane.Number, &l.Token, &l.State.Position, &l.State.Ahead, &l.InFlight,
		&r.Seq, &r.Attempt, &since, &next, &r.Code, &r.Reason)
	if since != nil {
		r.Since = *since
	}
	if next != nil {
		r.Next = *next
	}
	return l, err
}

// Release implements deliver.Queue.
func (q *Queue) Release(ctx context.Context, leases []deliver.Lease) error {
	var names []string
	var lanes []int16
	var tokens []int64
	for _, l := range leases {
		names = append(names, l.Lane.Destination)
		lanes = append(lanes, int16(l.Lane.Number))
		tokens = append(tokens, l.Token)
	}
	_, err := q.store.pool.Exec(ctx, `
		UPDATE queue_positions p SET owner = '', lease_until = NULL
		FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS held (name, lane, token) JOIN destinations d USING (name)
		WHERE p.destination_id = d.destination_id AND p.lane = held.lane AND p.token = held.token`, names, lanes, tokens)
	if err != nil {
		return fmt.Errorf("give lanes of the queue back: %w", err)
	}
	return nil
}

// MarkInFlight implements deliver.Queue.
func (q *Queue) MarkInFlight(ctx context.Context, l deliver.Lease, seqs []int64) error {
	tag, err := q.store.pool.Exec(ctx, `
		UPDATE queue_positions SET in_flight = $4
		WHERE destination_id = (SELECT destination_id FROM destinations WHERE name = $1) AND lane = $2 AND token = $3`,
		l.Lane.Destination, l.Lane.Number, l.Token, seqs)
	if err != nil {
		return fmt.Errorf("mark messages in flight: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return deliver.ErrLostLease
	}
	return nil
}

// Commit implements deliver.Queue.
func (q *Queue) Commit(ctx context.Context, l deliver.Lease, p deliver.Progress) error {
	err := pgx.BeginFunc(ctx, q.store.pool, func(t pgx.Tx) error {
		delivered := 0
		for _, c := range p.Counts {
			if c.Verdict == engine.Delivered {
				delivered += c.N
			}
		}
		ahead := p.State.Ahead
		if ahead == nil {
			ahead = []int64{}
		}
		r := p.State.Retry
		var destination int64
		err := t.QueryRow(ctx, `
			UPDATE queue_positions p
			SET seq = $4, ahead = $5, in_flight = '{}', delivered = p.delivered + $6, failing_seq = $7, attempt = $8,
				failing_since = $9, next_attempt_at = $10, last_code = $11, last_reason = $12, moved_at = $13
			WHERE destination_id = (SELECT destination_id FROM destinations WHERE name = $1) AND lane = $2 AND token = $3
			RETURNING destination_id`,
			l.Lane.Destination, l.Lane.Number, l.Token, p.State.Position, ahead, delivered, r.Seq, r.Attempt,
			orNull(r.Since), orNull(r.Next), r.Code, r.Reason, p.At).Scan(&destination)
		if errors.Is(err, pgx.ErrNoRows) {
			return deliver.ErrLostLease
		}
		if err != nil {
			return err
		}
		if err := letters(ctx, t, destination, l.Lane.Number, p); err != nil {
			return err
		}
		if err := barriers(ctx, t, destination, p); err != nil {
			return err
		}
		if p.Halt != "" {
			_, err = t.Exec(ctx, `UPDATE destinations SET halted_reason = $2 WHERE destination_id = $1`, destination, p.Halt)
		}
		return err
	})
	if err != nil && !errors.Is(err, deliver.ErrLostLease) {
		return fmt.Errorf("store the progress of delivery: %w", err)
	}
	return err
}

// Wait implements deliver.Queue. It listens on a connection of its own, and answers at
// the latest after two seconds. One Wait at a time listens; others only wait.
func (q *Queue) Wait(ctx context.Context) ([]deliver.Lane, error) {
	ctx, cancel := context.WithTimeout(ctx, queuePoll)
	defer cancel()
	if !q.mu.TryLock() {
		<-ctx.Done()
		return nil, nil
	}
	defer q.mu.Unlock()
	err := q.listen(ctx)
	if err == nil {
		_, err = q.listener.Conn().WaitForNotification(ctx)
	}
	if err == nil || errors.Is(err, context.DeadlineExceeded) && q.listener != nil && !q.listener.Conn().IsClosed() {
		return nil, nil
	}
	q.hangUp()
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil, nil
	}
	return nil, fmt.Errorf("listen to the queue: %w", err)
}

// listen makes sure that there is a connection that listens.
func (q *Queue) listen(ctx context.Context) error {
	if q.listener != nil {
		return nil
	}
	conn, err := q.store.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `LISTEN `+QueueChannel); err != nil {
		conn.Release()
		return err
	}
	q.listener = conn
	return nil
}

// hangUp ends the connection that listens: it must not go back to the pool as it is.
func (q *Queue) hangUp() {
	if q.listener != nil {
		conn := q.listener.Hijack()
		q.listener = nil
		_ = conn.Close(context.Background())
	}
}

// Close ends the connection that listens.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hangUp()
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
