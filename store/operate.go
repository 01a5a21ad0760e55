package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/query"
)

// ErrNoDestination says that there is no destination of the name given.
var ErrNoDestination = errors.New("there is no such destination")

// Lag is what waits for one destination.
type Lag struct {
	Destination  string     `json:"destination"`
	Paused       bool       `json:"paused"`
	HaltedReason string     `json:"halted_reason,omitempty"`
	Waiting      int64      `json:"waiting"`
	Oldest       *time.Time `json:"oldest,omitempty"` // since when the oldest waits
	Delivered    int64      `json:"delivered"`
	Failing      int64      `json:"failing_lanes"`
	LastReason   string     `json:"last_reason,omitempty"` // of a lane that fails
	DeadLetters  int64      `json:"dead_letters"`          // that wait for a decision
}

// Lags are the destinations with what waits for each.
func (s *Store) Lags(ctx context.Context) ([]Lag, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT d.name, d.paused, coalesce(d.halted_reason, ''), coalesce(sum(w.n), 0)::bigint, min(w.oldest), coalesce(sum(p.delivered), 0)::bigint,
			count(*) FILTER (WHERE p.attempt > 0), coalesce(max(p.last_reason) FILTER (WHERE p.attempt > 0), ''),
			(SELECT count(*) FROM dead_letters x WHERE x.destination_id = d.destination_id AND x.resolution IS NULL)
		FROM destinations d
		LEFT JOIN queue_positions p USING (destination_id)
		LEFT JOIN LATERAL (SELECT count(*) AS n, min(q.queued_at) AS oldest FROM queue q
			WHERE q.destination_id = p.destination_id AND q.lane = p.lane AND q.seq > p.seq) w ON true
		WHERE d.removed_at IS NULL
		GROUP BY d.destination_id ORDER BY d.name`)
	if err != nil {
		return nil, fmt.Errorf("read what waits: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Lag, err error) {
		err = row.Scan(&l.Destination, &l.Paused, &l.HaltedReason, &l.Waiting, &l.Oldest, &l.Delivered, &l.Failing, &l.LastReason, &l.DeadLetters)
		return l, err
	})
}

// Pause stops delivery to a destination; its queue is kept.
func (s *Store) Pause(ctx context.Context, destination string) error {
	return s.operate(ctx, destination, `UPDATE destinations SET paused = true WHERE name = $1 AND removed_at IS NULL`)
}

// Resume lets delivery go on, also where it had stopped by itself, and tries at once what
// was waiting for another attempt.
func (s *Store) Resume(ctx context.Context, destination string) error {
	err := s.operate(ctx, destination, `UPDATE destinations SET paused = false, halted_reason = NULL WHERE name = $1 AND removed_at IS NULL`)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		// In the order in which a process that delivers locks them.
		_, err := t.Exec(ctx, `
			SELECT FROM queue_positions WHERE destination_id = (SELECT destination_id FROM destinations WHERE name = $1)
			ORDER BY destination_id, lane FOR UPDATE`, destination)
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, `
			UPDATE queue_positions SET failing_seq = 0, attempt = 0, failing_since = NULL, next_attempt_at = NULL, last_code = '', last_reason = ''
			WHERE destination_id = (SELECT destination_id FROM destinations WHERE name = $1)`, destination)
		return err
	})
	if err != nil {
		return fmt.Errorf("destination %q: %w", destination, err)
	}
	return nil
}

func (s *Store) operate(ctx context.Context, destination, statement string) error {
	tag, err := s.pool.Exec(ctx, statement, destination)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNoDestination
	}
	if err != nil {
		return fmt.Errorf("destination %q: %w", destination, err)
	}
	return nil
}

// Unhalt lets destinations that refused everything be tried again: the program calls it
// when it starts, because its settings may be better now.
func (s *Store) Unhalt(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `SELECT name FROM destinations WHERE halted_reason IS NOT NULL AND removed_at IS NULL AND NOT paused`)
	if err != nil {
		return fmt.Errorf("look for destinations that have stopped: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for destinations that have stopped: %w", err)
	}
	for _, name := range names {
		if err := s.Resume(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// The kinds of dead letters.
const (
	KindRejected      = "rejected"      // refused for good
	KindUncertain     = "uncertain"     // perhaps applied, and not to be repeated blindly
	KindGaveUp        = "gave_up"       // failed for too long
	KindUndeliverable = "undeliverable" // nobody to tell
)

// DeadLetter is a message that was not told and that an operator decides about.
type DeadLetter struct {
	ID          int64     `json:"id"`
	Destination string    `json:"destination"`
	Forwarded   bool      `json:"forwarded,omitempty"` // it is a source's own call, of no computation
	Key         string    `json:"key,omitempty"`
	Kind        string    `json:"kind"` // KindRejected and so on
	Code        string    `json:"code"`
	Reason      string    `json:"reason"`
	IDs         string    `json:"ids"`
	Value       string    `json:"value,omitempty"`
	Attempts    int       `json:"attempts"`
	DiedAt      time.Time `json:"died_at"`
	// Call is the message as the Segment call that was to be sent; nil if it has nobody to go to.
	Call *SampleCall `json:"call,omitempty"`
}

// SampleCall is a call in Segment's own JSON.
type SampleCall struct {
	Type         event.Type     `json:"type"`
	MessageID    string         `json:"messageId"`
	UserID       string         `json:"userId,omitempty"`
	AnonymousID  string         `json:"anonymousId,omitempty"`
	PreviousID   string         `json:"previousId,omitempty"`
	GroupID      string         `json:"groupId,omitempty"`
	Event        string         `json:"event,omitempty"`
	Name         string         `json:"name,omitempty"`
	Category     string         `json:"category,omitempty"`
	Timestamp    time.Time      `json:"timestamp"`
	Properties   jsontext.Value `json:"properties,omitempty"`
	Traits       jsontext.Value `json:"traits,omitempty"`
	Context      jsontext.Value `json:"context,omitempty"`
	Integrations jsontext.Value `json:"integrations,omitempty"`

	of *event.Call
}

func sample(c *event.Call) *SampleCall {
	return &SampleCall{
		Type: c.Type, MessageID: c.MessageID, UserID: c.UserID, AnonymousID: c.AnonymousID, PreviousID: c.PreviousID, GroupID: c.GroupID,
		Event: c.Event, Name: c.Name, Category: c.Category, Timestamp: c.Timestamp,
		Properties: c.Properties, Traits: c.Traits, Context: c.Context, Integrations: c.Integrations,
		of: c,
	}
}

// LetterFilter selects dead letters that wait for a decision. Zero fields select all.
type LetterFilter struct {
	IDs         []int64
	Destination string
	Kind        string
	Limit       int // of a list; 0: 100
}

const letterWhere = ` l.resolution IS NULL AND ($1::bigint[] IS NULL OR l.dead_letter_id = ANY($1))
	AND ($2 = '' OR d.name = $2) AND ($3 = '' OR l.kind = $3) `

// DeadLetters lists dead letters, the newest first.
func (s *Store) DeadLetters(ctx context.Context, f LetterFilter) ([]DeadLetter, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	rows, err := s.pool.Query(ctx, `
		SELECT l.dead_letter_id, d.name, coalesce(c.key, ''), l.kind, l.code, l.reason, l.ids, l.value, l.attempts, l.died_at, l.call,
			l.profile_id, l.form, l.told, l.at, l.reason_told, coalesce(l.event, ''), n.connection_id, c.computation_id, c.kind
		FROM dead_letters l
		JOIN destinations d USING (destination_id)
		LEFT JOIN connections n USING (connection_id)
		LEFT JOIN computations c ON c.computation_id = n.computation_id
		WHERE `+letterWhere+` ORDER BY l.dead_letter_id DESC LIMIT $4`, f.IDs, f.Destination, f.Kind, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l DeadLetter, err error) {
		var call []byte
		var told engine.Reason
		err = row.Scan(&l.ID, &l.Destination, &l.Key, &l.Kind, &l.Code, &l.Reason, &l.IDs, &l.Value, &l.Attempts, &l.DiedAt, &call,
			nil, nil, nil, nil, &told, nil, nil, nil, nil)
		if err != nil {
			return l, err
		}
		l.Forwarded = told == engine.ReasonForwarded
		if call != nil {
			c, err := engine.DecodeCall(call)
			if err != nil {
				return l, err
			}
			l.Value, l.Call = "", sample(c)
			return l, nil
		}
		c := &engine.Computation{}
		n := &engine.Connection{Computation: c}
		m := &engine.Message{Connection: n}
		err = row.Scan(nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil,
			&m.ProfileID, &m.Form, &m.Times, &m.At, &m.Reason, &m.Event, &n.ID, &c.ID, &c.Kind)
		if err != nil || l.Kind == KindUndeliverable {
			return l, err
		}
		c.Key = l.Key
		if m.IDs, err = identity.ParseCombination(l.IDs); err != nil {
			return l, err
		}
		if m.Value, err = query.ParseValue([]byte(l.Value)); err != nil {
			return l, err
		}
		l.Call = sample(m.Call())
		return l, nil
	})
}

// Retried is what became of dead letters that were to be queued again.
type Retried struct {
	Queued     int64
	Superseded int64 // not queued: a newer value was told since
}

// carrierOf is the SQL for the first id in a key of ids, by which the destination files what
// it is told: all before the first | that has no backslash before it.
func carrierOf(ids string) string { return `substring(` + ids + ` FROM '^(?:[^|\\]|\\.)*')` }

// RetryDeadLetters queues dead letters again, as they were: same ids, value and time, so
// that what was applied already is no second event for the destination. A property that
// the destination was told anew since, of the same id, with whatever email, is not told
// again, or the older value would be the last one. Of
// forwarded calls all are: what was said after them is not known here.
// Undeliverable ones have nobody to go to and stay.
func (s *Store) RetryDeadLetters(ctx context.Context, f LetterFilter, now time.Time) (Retried, error) {
	var r Retried
	if err := s.queueAhead(ctx); err != nil {
		return r, err
	}
	err := s.Transact(ctx, func(et engine.Tx) error {
		t := et.(*tx)
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(appendLock)); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `
			UPDATE dead_letters l SET resolution = 'superseded', resolved_at = $4
			FROM destinations d, ledger g
			WHERE d.destination_id = l.destination_id AND l.form = 'identify' AND l.kind <> 'undeliverable'
				AND g.bucket = l.bucket AND g.profile_id = l.profile_id AND g.connection_id = l.connection_id
				AND g.told_at > l.at AND `+carrierOf("g.ids")+` = `+carrierOf("l.ids")+` AND`+letterWhere, f.IDs, f.Destination, f.Kind, now)
		if err != nil {
			return err
		}
		r.Superseded = tag.RowsAffected()
		// Of a call that another id waits for, that id's row comes first.
		err = t.QueryRow(ctx, `
			WITH chosen AS (
				UPDATE dead_letters l SET resolution = 'retried', resolved_at = $4
				FROM destinations d WHERE d.destination_id = l.destination_id AND l.kind <> 'undeliverable' AND`+letterWhere+`
				RETURNING l.*),
			placed AS MATERIALIZED (
				SELECT nextval('queue_seq') AS place, c.* FROM (
					SELECT chosen.*, waits FROM chosen CROSS JOIN (VALUES (true), (false)) AS r (waits)
					WHERE NOT waits OR waits_in IS NOT NULL ORDER BY seq, dead_letter_id, waits DESC) c),
			queued AS (
				INSERT INTO queue (destination_id, lane, seq, connection_id, bucket, profile_id, form, ids, value, told, at, reason, queued_at, event, call, barrier)
				SELECT destination_id, CASE WHEN waits THEN waits_in ELSE lane END, place, connection_id, bucket, profile_id, form, ids, value, told, at,
					reason_told, $4, event, call, CASE WHEN waits THEN place + 1 WHEN waits_in IS NOT NULL THEN place - 1 END
				FROM placed)
			SELECT count(*) FILTER (WHERE NOT waits) FROM placed`, f.IDs, f.Destination, f.Kind, now).Scan(&r.Queued)
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, `SELECT pg_notify($1, '')`, QueueChannel)
		return err
	})
	if err != nil {
		return Retried{}, fmt.Errorf("retry dead letters: %w", err)
	}
	return r, nil
}

// DropDeadLetters gives dead letters up for good and answers how many.
func (s *Store) DropDeadLetters(ctx context.Context, f LetterFilter, now time.Time) (int64, error) {
	tag, err := s.pool.Exec(ctx, `
		UPDATE dead_letters l SET resolution = 'dropped', resolved_at = $4
		FROM destinations d WHERE d.destination_id = l.destination_id AND`+letterWhere, f.IDs, f.Destination, f.Kind, now)
	if err != nil {
		return 0, fmt.Errorf("drop dead letters: %w", err)
	}
	return tag.RowsAffected(), nil
}
