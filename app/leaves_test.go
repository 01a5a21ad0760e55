package app_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/query"
)

// A definition that waits for its backfill may read a leaf that another one reads now. It
// must not count on that leaf: the other may go, and nobody keeps the leaf up to date.
func TestLeavesOfDefinitionsThatWait(t *testing.T) {
	const text = "event('Bought').count()"
	def := func(key string) engine.Definition {
		return engine.Definition{Key: key, Kind: query.Trait, Query: text}
	}
	for name, play := range map[string]func(*testing.T, *lab, *time.Time){
		"the reader is removed": func(t *testing.T, l *lab, now *time.Time) {
			l.define(t, def("first"))
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
			l.settle(t)
			l.define(t, def("second"))
			l.remove(t, "first")
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
		},
		"the reader is removed in the middle of its backfill": func(t *testing.T, l *lab, now *time.Time) {
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
			l.define(t, def("first"))
			l.begin(t)
			l.step(t)
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
			l.define(t, def("second"))
			l.remove(t, "first")
		},
		"the reader is edited": func(t *testing.T, l *lab, now *time.Time) {
			l.define(t, def("first"))
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
			l.settle(t)
			edited := def("first")
			edited.Query = "event('Seen').count()"
			l.define(t, edited)
			l.begin(t)
			l.define(t, def("second"))
			for !l.step(t) {
			}
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
		},
		"both wait, and one is removed between": func(t *testing.T, l *lab, now *time.Time) {
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
			l.define(t, def("first"), def("second"))
			l.begin(t)
			l.step(t)
			l.remove(t, "first")
			l.ingest(t, *now, "u1 Bought 1", "u2 Bought 1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
			l := newLab(t, &now)
			l.app.Engine.SetChunk(1, 1)
			play(t, l, &now)
			now = now.Add(time.Minute)
			l.settle(t)
			l.ingest(t, now, "u1 Bought 1", "u2 Bought 1")
			rows, err := l.pool.Query(t.Context(), `SELECT value::text FROM computed_values JOIN computations USING (computation_id) WHERE key = 'second'`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			n := 0
			for rows.Next() {
				var value string
				if err := rows.Scan(&value); err != nil || value != "3" {
					t.Errorf("%s were counted, %v; want 3", value, err)
				}
				n++
			}
			if n != 2 {
				t.Errorf("%d profiles have a value", n)
			}
			if found := l.verify(t, engine.VerifyOptions{}); found != nil {
				t.Errorf("verify: %v", found)
			}
		})
	}
}

func (l *lab) remove(t *testing.T, key string) {
	t.Helper()
	if found, err := l.app.Engine.Remove(t.Context(), key, *l.now); err != nil || !found {
		t.Fatal(found, err)
	}
}

func (l *lab) begin(t *testing.T) {
	t.Helper()
	if running, err := l.app.Engine.BeginBackfill(t.Context(), latestSlot, *l.now); err != nil || !running {
		t.Fatal(running, err)
	}
}

// step answers whether the backfill is finished.
func (l *lab) step(t *testing.T) bool {
	t.Helper()
	p, err := l.app.Engine.StepBackfill(t.Context(), *l.now)
	if err != nil {
		t.Fatal(err)
	}
	return p.Finished
}

// A slot may move a leaf that a version in its backfill reads too. Profiles that the walk
// has done are decided by it, and nothing moves for them any more at its own first slot.
func TestSlotInTheMiddleOfABackfillThatSharesALeaf(t *testing.T) {
	const text = "event('Seen').within(1 day).count() >= 1"
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "first", Kind: query.Audience, Query: text})
	l.settle(t)
	now = now.Add(30 * time.Minute)
	l.ingest(t, now, "u1 Seen 1", "u2 Seen 1")
	l.define(t, engine.Definition{Key: "second", Kind: query.Audience, Query: text})
	l.app.Engine.SetChunk(1, 1)
	l.begin(t)
	l.step(t)
	now = time.Date(2026, 5, 4, 13, 0, 0, 0, time.UTC)
	if _, err := l.app.Engine.RunSlot(t.Context(), engine.DefaultSchedule, now, now); err != nil {
		t.Fatal(err)
	}
	l.settle(t)
	rows, err := l.pool.Query(t.Context(), `SELECT key FROM inspect.members ORDER BY key, profile_id`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if want := []string{"first", "first", "second", "second"}; err != nil || !slices.Equal(keys, want) {
		t.Errorf("members of %v, want %v (%v)", keys, want, err)
	}
	if found := l.verify(t, engine.VerifyOptions{}); len(found) > 0 {
		t.Errorf("verify: %v", found)
	}
}
