package app_test

import (
	"context"
	"testing"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/store"
)

// interrupted is a store on which something else happens before a transaction.
type interrupted struct {
	*store.Store
	before map[int]func() // by number of the transaction, from 1
	begun  int
}

// Transact implements engine.Repository.
func (s *interrupted) Transact(ctx context.Context, f func(engine.Tx) error) error {
	if s.begun++; s.before[s.begun] != nil {
		s.before[s.begun]()
	}
	return s.Store.Transact(ctx, f)
}

// Of two processes that see the end of a backfill, or of a resync, the slower one does not
// take the next one, which the other has begun meanwhile, for the one that has ended.
func TestEndsOnlyWhatHasEnded(t *testing.T) {
	l := newLife(t)
	slower := func(before func()) *engine.Engine {
		rules, err := identity.DefaultSettings().Compile()
		if err != nil {
			t.Fatal(err)
		}
		return engine.New(&interrupted{Store: l.store, before: map[int]func(){2: before}}, rules)
	}
	begin := func() {
		t.Helper()
		if running, err := l.app.Engine.BeginBackfill(t.Context(), latestSlot, l.now); err != nil || !running {
			t.Fatal(running, err)
		}
	}
	l.says("kim", `{"plan":"pro"}`, "lee", `{"plan":"pro"}`)
	l.app.Engine.SetChunk(1000, 1)

	l.defines(audience("pros", "trait('plan') = 'pro'", to("one", "", "")))
	begin()
	if p, err := l.app.Engine.StepBackfill(t.Context(), l.now); err != nil || p.Done != 2 || p.Finished {
		t.Fatal(p, err)
	}
	late := slower(func() {
		if p, err := l.app.Engine.StepBackfill(t.Context(), l.now); err != nil || !p.Finished {
			t.Fatal(p, err)
		}
		l.defines(audience("still", "trait('plan') = 'pro' OR trait('plan') = 'free'", to("one", "", "")))
		begin()
	})
	if _, err := late.StepBackfill(t.Context(), l.now); err != nil {
		t.Fatal(err)
	}
	l.settle()
	l.want("members", l.number(`SELECT count(*) FROM inspect.members`), 4)
	l.told()

	l.pass(time.Second)
	resync := func(key string) {
		t.Helper()
		if n, err := l.app.Engine.Resync(t.Context(), key, "", l.now); err != nil || n != 1 {
			t.Fatal(n, err)
		}
	}
	resync("pros")
	for range 2 { // all profiles, then those into which others were merged
		if r, err := l.app.Engine.StepRetelling(t.Context(), l.now); err != nil || r.Over {
			t.Fatal(r, err)
		}
	}
	resync("still")
	late = slower(func() {
		if r, err := l.app.Engine.StepRetelling(t.Context(), l.now); err != nil || !r.Over {
			t.Fatal(r, err)
		}
	})
	if r, err := late.StepRetelling(t.Context(), l.now); err != nil || r.Over {
		t.Fatal(r, err)
	}
	l.settle()
	l.want("messages", len(l.told()), 4)
}
