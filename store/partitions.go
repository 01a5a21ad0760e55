package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// queuePartition is how many places of the queue one partition holds.
const queuePartition = 1 << 22

// Prepare implements engine.Repository: partitions and event names are made outside of
// the transactions that use them, so that making one never waits for another's end.
func (s *Store) Prepare(ctx context.Context, names []string, instants []time.Time) error {
	var last time.Time // mostly all are of one month
	for i, at := range instants {
		at = at.UTC()
		month := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
		if month.Equal(last) {
			continue
		}
		last = month
		if err := s.monthly(ctx, "events", month); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		// The first instant is the present.
		if err := s.monthly(ctx, "value_changes", month); err != nil {
			return err
		}
		today := at.Truncate(24 * time.Hour)
		for _, day := range []time.Time{today.AddDate(0, 0, -1), today} {
			if err := s.partition(ctx, "message_keys", "message_keys_"+day.Format("20060102"), day.Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly)); err != nil {
				return err
			}
		}
	}
	if err := s.queueAhead(ctx); err != nil {
		return err
	}
	return s.learnNames(ctx, names)
}

// monthly makes the partition of a month.
func (s *Store) monthly(ctx context.Context, table string, month time.Time) error {
	return s.partition(ctx, table, fmt.Sprintf("%s_%04dm%02d", table, month.Year(), month.Month()),
		month.Format(time.RFC3339), month.AddDate(0, 1, 0).Format(time.RFC3339))
}

// queueAhead keeps two partitions of the queue ahead of its end.
func (s *Store) queueAhead(ctx context.Context) error {
	s.mu.RLock()
	room := s.queueRoom
	s.mu.RUnlock()
	if room > 0 && room > s.queueSeen.Load()+queuePartition {
		s.measureQueue(ctx)
		return nil
	}
	var last int64
	if err := s.pool.QueryRow(ctx, `SELECT last_value FROM queue_seq`).Scan(&last); err != nil {
		return fmt.Errorf("look up the end of the queue: %w", err)
	}
	s.queueSeen.Store(last)
	first := last / queuePartition * queuePartition
	for from := first; from <= first+2*queuePartition; from += queuePartition {
		name := fmt.Sprintf("queue_%d", from/queuePartition)
		if err := s.partition(ctx, "queue", name, fmt.Sprint(from), fmt.Sprint(from+queuePartition)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.queueRoom = first + 3*queuePartition
	s.mu.Unlock()
	return nil
}

// measuredFrom is how many places of a partition of the queue are drawn when it is measured.
const measuredFrom = 1000

// measureQueue looks once at the partition of the queue that is being filled. If somebody has
// had it analysed while it was empty, PostgreSQL reads it as a whole for each page, until it is
// analysed again. Nothing but speed depends on it.
func (s *Store) measureQueue(ctx context.Context) {
	last := s.queueSeen.Load()
	number := last / queuePartition
	if last%queuePartition < measuredFrom || s.queueMeasured.Swap(number+1) == number+1 {
		return
	}
	name := fmt.Sprintf("queue_%d", number)
	var thoughtEmpty bool
	err := s.pool.QueryRow(ctx, `SELECT relpages = 0 AND reltuples = 0 FROM pg_class WHERE oid = to_regclass($1)`, "muster."+name).Scan(&thoughtEmpty)
	if err == nil && thoughtEmpty {
		_, _ = s.pool.Exec(ctx, `ANALYZE `+pgx.Identifier{name}.Sanitize())
	}
}

// partition makes the partition unless it exists. It is made apart and then attached:
// attaching waits for nobody who reads or writes the table. All texts are made by
// the program itself from numbers and dates.
func (s *Store) partition(ctx context.Context, table, name, from, to string) error {
	s.mu.RLock()
	known := s.partitions[name]
	s.mu.RUnlock()
	if known {
		return nil
	}
	err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(partitionLock)); err != nil {
			return err
		}
		var exists bool
		if err := t.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, "muster."+name).Scan(&exists); err != nil || exists {
			return err
		}
		part, parent := pgx.Identifier{name}.Sanitize(), pgx.Identifier{table}.Sanitize()
		_, err := t.Exec(ctx, fmt.Sprintf(`CREATE TABLE %s (LIKE %s INCLUDING ALL EXCLUDING IDENTITY EXCLUDING COMMENTS)`, part, parent))
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`, parent, part, from, to))
		return err
	})
	if err != nil {
		return fmt.Errorf("make partition %s: %w", name, err)
	}
	s.mu.Lock()
	s.partitions[name] = true
	s.mu.Unlock()
	return nil
}

// learnNames gives every event name a number.
func (s *Store) learnNames(ctx context.Context, names []string) error {
	var unknown []string
	s.mu.RLock()
	for _, n := range names {
		if _, ok := s.nameIDs[n]; !ok {
			unknown = append(unknown, n)
		}
	}
	s.mu.RUnlock()
	if len(unknown) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, `
		INSERT INTO event_names (name) SELECT unnest($1::text[]) EXCEPT SELECT name FROM event_names ORDER BY 1
		ON CONFLICT (name) DO NOTHING`, unknown)
	if err != nil {
		return fmt.Errorf("number event names: %w", err)
	}
	return s.readNames(ctx, s.pool, unknown)
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// readNames reads the numbers of names, those that have one.
func (s *Store) readNames(ctx context.Context, q querier, names []string) error {
	rows, err := q.Query(ctx, `SELECT event_name_id, name FROM event_names WHERE name = ANY($1)`, names)
	if err != nil {
		return fmt.Errorf("look up event names: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var id int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		s.nameIDs[name], s.names[id] = id, name
		return nil
	})
	return err
}

// numbers are the numbers of event names, leaving out those that no event has.
func (s *Store) numbers(ctx context.Context, q querier, names []string) ([]int64, error) {
	var ids []int64
	var unknown []string
	s.mu.RLock()
	for _, n := range names {
		if id, ok := s.nameIDs[n]; ok {
			ids = append(ids, id)
		} else {
			unknown = append(unknown, n)
		}
	}
	s.mu.RUnlock()
	if len(unknown) == 0 {
		return ids, nil
	}
	if err := s.readNames(ctx, q, unknown); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, n := range unknown {
		if id, ok := s.nameIDs[n]; ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// number is the number of an event's name as far as this process knows, else 0.
func (s *Store) number(name string) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.nameIDs[name]
}
