package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// sampleEvery is how often the database is asked what its sessions do.
const sampleEvery = 20 * time.Millisecond

// activity is how long sessions were at something, estimated by looking now and then.
type activity struct {
	Statement string  // its beginning
	Waiting   string  // what for, empty: it works
	Sessions  float64 // that were at it at a time, on average
}

// sampler looks at the sessions of the database until it is stopped.
type sampler struct {
	stop context.CancelFunc
	done chan error
	seen map[activity]int
	n    int // looks
}

func startSampler(ctx context.Context, database string) (*sampler, error) {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{stop: cancel, done: make(chan error, 1), seen: make(map[activity]int)}
	go func() {
		defer conn.Close(context.WithoutCancel(ctx))
		s.done <- s.run(ctx, conn)
	}()
	return s, nil
}

func (s *sampler) run(ctx context.Context, conn *pgx.Conn) error {
	for sleep(ctx, sampleEvery) == nil {
		rows, err := conn.Query(context.WithoutCancel(ctx), `
			SELECT query, CASE WHEN wait_event_type IS NULL THEN '' ELSE wait_event_type || ': ' || wait_event END, state
			FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND state IN ('active', 'idle in transaction') AND pid <> pg_backend_pid()`)
		if err != nil {
			return err
		}
		s.n++
		var text, wait, state string
		_, err = pgx.ForEachRow(rows, []any{&text, &wait, &state}, func() error {
			a := activity{Statement: beginning(text), Waiting: wait}
			if state == "idle in transaction" {
				a = activity{Statement: "(in a transaction, between statements)"}
			}
			s.seen[a]++
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// beginning is enough of a statement to recognise it.
func beginning(sql string) string {
	text := []rune(strings.Join(strings.Fields(sql), " "))
	const enough = 72
	if len(text) > enough {
		return string(text[:enough]) + "…"
	}
	return string(text)
}

// finish stops looking and returns what was seen, the longest first.
func (s *sampler) finish() ([]activity, error) {
	s.stop()
	if err := <-s.done; err != nil {
		return nil, err
	}
	var all []activity
	for _, a := range slices.Collect(maps.Keys(s.seen)) {
		n := s.seen[a]
		a.Sessions = float64(n) / float64(max(s.n, 1))
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b activity) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Statement, b.Statement), cmp.Compare(a.Waiting, b.Waiting))
	})
	return all, nil
}
