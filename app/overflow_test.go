package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/query"
)

// What does not fit into a unique list is counted where an operator sees it, and is seen
// to be over when a window has left enough of it behind.
func TestOverflowsAreShown(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "prices", Kind: query.Trait, Query: "event('Seen').unique(property('price')).count()"},
		engine.Definition{Key: "prices_1d", Kind: query.Trait, Query: "event('Seen').within(1 day).unique(property('price')).count()"})
	l.settle(t)
	var calls []string
	for i := range engine.MaxDistinct + 3 {
		calls = append(calls, fmt.Sprint("u1 Seen ", 100_000+i))
	}
	l.ingest(t, now, calls...)
	now = now.Add(time.Hour)
	l.settle(t)
	shown := func() map[string]int {
		rows, err := l.pool.Query(t.Context(), `SELECT key, dropped FROM inspect.overflows`)
		if err != nil {
			t.Fatal(err)
		}
		found := make(map[string]int)
		var key string
		var n int
		if _, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error { found[key] = n; return nil }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := shown(); len(got) != 2 || got["prices"] != 3 || got["prices_1d"] != 3 {
		t.Errorf("%v is shown, want 3 for both", got)
	}
	now = now.Add(25 * time.Hour)
	l.settle(t)
	if got := shown(); len(got) != 1 || got["prices"] != 3 {
		t.Errorf("a day later %v is shown, want 3 for prices alone", got)
	}
}
