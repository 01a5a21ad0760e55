package store

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
)

// debuggerLock makes processes that write to the debugger take turns, so that the numbers
// of calls become visible in their order and a reader that follows them misses none.
const debuggerLock = 0x6d757374_0006

// RecentPerSource is how many calls of a source the debugger keeps.
const RecentPerSource = 500

// RecentCall is a call with what became of it, as the debugger shows it.
type RecentCall struct {
	ID         int64     `json:"id"` // grows in the order of arrival
	SourceID   int64     `json:"-"`
	Source     string    `json:"source"`
	ReceivedAt time.Time `json:"received_at"`
	Outcome    string    `json:"outcome"` // accepted, duplicate, suppressed, skipped or rejected
	Code       string    `json:"code,omitzero"`
	Reason     string    `json:"reason,omitzero"`
	Type       string    `json:"type,omitzero"`
	Name       string    `json:"name,omitzero"` // of the event, page or screen
	MessageID  string    `json:"message_id,omitzero"`
	Call       string    `json:"call,omitzero"` // the beginning of its text
	IDs        []string  `json:"ids,omitempty"` // the external ids that it carries, as TYPE:VALUE
}

// RecordCalls adds calls to the debugger, in their order, and forgets those of the same
// sources that are too old. ID and Source are not read.
func (s *Store) RecordCalls(ctx context.Context, calls []RecentCall) error {
	if len(calls) == 0 {
		return nil
	}
	columns, err := newCallColumns(calls)
	if err != nil {
		return fmt.Errorf("record %d calls in the debugger: %w", len(calls), err)
	}
	var kept map[int64]int64
	err = pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(debuggerLock)); err != nil {
			return err
		}
		_, err := t.Exec(ctx, `
			INSERT INTO recent_calls (source_id, received_at, outcome, code, reason, type, name, message_id, call, ids)
			SELECT c.source_id, c.received_at, c.outcome, c.code, c.reason, c.type, c.name, c.message_id, c.call, c.ids::jsonb
			FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
				WITH ORDINALITY AS c (source_id, received_at, outcome, code, reason, type, name, message_id, call, ids, place)
			ORDER BY c.place`,
			columns.sources, columns.received, columns.outcomes, columns.codes, columns.reasons,
			columns.types, columns.names, columns.messages, columns.calls, columns.ids)
		if err != nil {
			return err
		}
		kept, err = s.trimCalls(ctx, t, columns.sources)
		return err
	})
	if err != nil {
		return fmt.Errorf("record %d calls in the debugger: %w", len(calls), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.oldestCalls, kept)
	return nil
}

// trimCalls deletes all but the newest calls of the sources, and returns the oldest that
// each keeps. What was trimmed before is left out of the search: the primary key still
// leads to it until the table is vacuumed.
func (s *Store) trimCalls(ctx context.Context, t pgx.Tx, sources []int64) (map[int64]int64, error) {
	rows, err := t.Query(ctx, `
		SELECT s.source_id, (
			SELECT x.call_id FROM recent_calls x WHERE x.source_id = s.source_id
			ORDER BY x.call_id DESC OFFSET $2 - 1 LIMIT 1)
		FROM (SELECT DISTINCT source_id FROM unnest($1::bigint[]) AS source_id) s`, sources, RecentPerSource)
	if err != nil {
		return nil, err
	}
	kept := make(map[int64]int64)
	var source int64
	var oldest *int64
	if _, err := pgx.ForEachRow(rows, []any{&source, &oldest}, func() error {
		if oldest != nil {
			kept[source] = *oldest
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var ids, from, to []int64
	s.mu.RLock()
	for source, oldest := range kept {
		ids, from, to = append(ids, source), append(from, s.oldestCalls[source]), append(to, oldest)
	}
	s.mu.RUnlock()
	_, err = t.Exec(ctx, `
		DELETE FROM recent_calls r USING unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS old (source_id, first, after)
		WHERE r.source_id = old.source_id AND r.call_id >= old.first AND r.call_id < old.after`, ids, from, to)
	return kept, err
}

// callColumns are recent calls as arrays for unnest.
type callColumns struct {
	sources                                                      []int64
	received                                                     []time.Time
	outcomes, codes, reasons, types, names, messages, calls, ids []string
}

func newCallColumns(calls []RecentCall) (callColumns, error) {
	var c callColumns
	for _, r := range calls {
		c.sources = append(c.sources, r.SourceID)
		c.received = append(c.received, r.ReceivedAt)
		c.outcomes = append(c.outcomes, r.Outcome)
		c.codes = append(c.codes, r.Code)
		c.reasons = append(c.reasons, r.Reason)
		c.types = append(c.types, r.Type)
		c.names = append(c.names, r.Name)
		c.messages = append(c.messages, r.MessageID)
		c.calls = append(c.calls, r.Call)
		ids, err := json.Marshal(r.IDs) // nil is []
		if err != nil {
			return c, err
		}
		c.ids = append(c.ids, string(ids))
	}
	return c, nil
}

// RecentFilter says which calls of the debugger are wanted.
type RecentFilter struct {
	Source   string   // "": all sources
	ID       string   // only calls that carry this external id, as TYPE:VALUE in normal form; "": all
	Outcomes []string // nil: all
	After    int64    // only calls that arrived after this one
	Limit    int      // at most so many, the newest; 0: all
}

// RecentCalls reads the debugger, oldest first. An unknown source is ErrUnknownSource.
func (s *Store) RecentCalls(ctx context.Context, f RecentFilter) ([]RecentCall, error) {
	var source, id, limit any // NULL: all
	if f.Source != "" {
		var number int64
		rows, err := s.pool.Query(ctx, `SELECT source_id FROM sources WHERE name = $1`, f.Source)
		if err == nil {
			number, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
		}
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", f.Source, unknownSource(err))
		}
		source = number
	}
	if f.ID != "" {
		id = f.ID
	}
	if f.Limit > 0 {
		limit = f.Limit
	}
	rows, err := s.pool.Query(ctx, `
		SELECT * FROM (
			SELECT r.call_id, r.source_id, s.name, r.received_at, r.outcome, r.code, r.reason, r.type, r.name, r.message_id, r.call, r.ids
			FROM recent_calls r JOIN sources s USING (source_id)
			WHERE ($1::bigint IS NULL OR r.source_id = $1) AND ($2::text[] IS NULL OR r.outcome = ANY ($2)) AND r.call_id > $3
				AND ($4::text IS NULL OR r.ids ? $4)
			ORDER BY r.call_id DESC LIMIT $5) newest
		ORDER BY call_id`, source, f.Outcomes, f.After, id, limit)
	if err != nil {
		return nil, fmt.Errorf("read the debugger: %w", err)
	}
	calls, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r RecentCall, err error) {
		return r, row.Scan(&r.ID, &r.SourceID, &r.Source, &r.ReceivedAt, &r.Outcome, &r.Code, &r.Reason, &r.Type, &r.Name, &r.MessageID, &r.Call, &r.IDs)
	})
	if err != nil {
		return nil, fmt.Errorf("read the debugger: %w", err)
	}
	return calls, nil
}
