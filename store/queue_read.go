package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/query"
)

// Read implements deliver.Queue.
func (q *Queue) Read(ctx context.Context, lane deliver.Lane, after int64, limit int) ([]deliver.Entry, error) {
	rows, err := q.store.pool.Query(ctx, `
		SELECT q.seq, q.profile_id, q.bucket, q.form, q.ids, q.value, q.told, q.at, q.reason, q.queued_at, q.barrier, q.call, coalesce(q.event, ''),
			q.connection_id, n.emit, c.computation_id, c.key, c.name, c.kind, q.destination_id
		FROM (SELECT * FROM queue
			WHERE destination_id = (SELECT destination_id FROM destinations WHERE name = $1) AND lane = $2 AND seq > $3
			ORDER BY seq LIMIT $4) q -- the page first, in the order of the key; then what goes with it
		LEFT JOIN connections n USING (connection_id)
		LEFT JOIN computations c USING (computation_id)
		ORDER BY q.seq`, lane.Destination, lane.Number, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	connections := make(map[int64]*engine.Connection) // a page is about few: each is read once
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (deliver.Entry, error) {
		var e deliver.Entry
		var m engine.Message
		var connection int64
		var ids string
		var value, call []byte
		var barrier *int64
		err := row.Scan(&e.Seq, &m.ProfileID, &m.Bucket, &m.Form, &ids, &value, &m.Times, &m.At, &m.Reason, &e.QueuedAt, &barrier, &call, &m.Event,
			&connection, nil, nil, nil, nil, nil, nil)
		if err != nil {
			return e, err
		}
		if call != nil {
			return forwarded(e, call, barrier)
		}
		if m.Connection = connections[connection]; m.Connection == nil {
			c := &engine.Computation{}
			n := &engine.Connection{ID: connection, Computation: c, Destination: &engine.Destination{Name: lane.Destination}}
			err := row.Scan(nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil,
				&n.Emit, &c.ID, &c.Key, &c.Name, &c.Kind, &n.Destination.ID)
			if err != nil {
				return e, err
			}
			connections[connection], m.Connection = n, n
		}
		if m.IDs, err = identity.ParseCombination(ids); err != nil {
			return e, err
		}
		if m.Value, err = query.ParseValue(value); err != nil {
			return e, err
		}
		e.Call, e.Carrier, e.Repeatable = m.Call(), m.Carrier(), true
		return e, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	return entries, nil
}

// forwarded completes the entry of a forwarded call; partner is the place of its other row.
// Whether it may be repeated is for the destination to say.
func forwarded(e deliver.Entry, text []byte, partner *int64) (deliver.Entry, error) {
	var err error
	if e.Call, err = engine.DecodeCall(text); err != nil {
		return e, err
	}
	e.Carrier, e.Repeatable = engine.CarrierOf(e.Call), true
	if partner == nil {
		return e, nil
	}
	e.Barrier = &deliver.Barrier{ID: strconv.FormatInt(max(e.Seq, *partner), 10), Sends: e.Seq > *partner, Quick: e.Call.Type != event.Alias}
	if !e.Barrier.Sends {
		e.Carrier = engine.JoinedBy(e.Call)
	}
	return e, nil
}

// waitsIn is the lane of the row that only waits for a call, if there is one.
func waitsIn(b *deliver.Barrier, c *event.Call) *int16 {
	if b == nil {
		return nil
	}
	return new(int16(engine.CarrierLane(engine.JoinedBy(c))))
}
