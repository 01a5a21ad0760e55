package app_test

import (
	"errors"
	"testing"
	"time"

	"muster/app"
	"muster/engine"
	"muster/identity"
	"muster/query"
)

func userID(id string) identity.ID { return identity.ID{Type: "user_id", Value: id} }

func (l *lab) explain(t *testing.T, key, id string, at time.Time) *app.Explained {
	t.Helper()
	x, err := app.Explain(t.Context(), l.app.Store, key, userID(id), at, *l.now)
	if err != nil {
		t.Fatal(err)
	}
	if x.Contradicts() {
		t.Errorf("%s of %s is not what is stored (%v):\n%s", key, id, x.Value(), x.Tree.Render())
	}
	return x
}

func TestExplain(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t,
		engine.Definition{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 2"},
		engine.Definition{Key: "recent", Kind: query.Audience, Query: "event('Bought').within(1 day).count() >= 1"},
		engine.Definition{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"},
		engine.Definition{Key: "keen", Kind: query.Audience, Query: "trait('buyer') = 'true' AND event('Seen').within(1 day).count() >= 1"},
	)
	l.settle(t)
	l.ingest(t, now, "u1 Bought 1", "u1 Bought 2", "u2 Bought 5", "a1 Bought 9")

	x := l.explain(t, "buyer", "u1", time.Time{})
	if !x.Value().AsBool() || !x.Held.Since.Equal(now) || x.Held.Cause != engine.CauseEvent || !x.Next.IsZero() || x.Tree.Children[0].EventCount != 2 {
		t.Errorf("a realtime audience: %+v\n%s", x.Explained, x.Tree.Render())
	}
	if len(x.Told) != 1 || !x.Told[0].Waits || x.Told[0].Destination != "mixpanel" || x.Told[0].Times != 1 {
		t.Errorf("what waits to be told: %+v", x.Told)
	}
	if x := l.explain(t, "spent", "u2", time.Time{}); x.Value().String() != "5" {
		t.Errorf("spent is %v", x.Value())
	}
	if x := l.explain(t, "buyer", "u2", time.Time{}); x.Held != nil || x.Value().AsBool() || len(x.Told) != 0 {
		t.Errorf("one who was never a member: %+v", x.Explained)
	}

	// What has come since the last slot waits for the next.
	x = l.explain(t, "recent", "u1", time.Time{})
	if x.Value().AsBool() || !x.AsOf.Equal(now) || x.Tree.Value.AsBool() {
		t.Errorf("before its slot: %+v\n%s", x.Explained, x.Tree.Render())
	}
	now = now.Add(time.Hour)
	l.settle(t)
	x = l.explain(t, "recent", "u1", time.Time{})
	leaves := time.Date(2026, 5, 5, 13, 0, 0, 0, time.UTC) // the first slot after the event is a day old
	if !x.Value().AsBool() || !x.Agrees || x.Waiting || !x.AsOf.Equal(now) || !x.Next.Equal(leaves) {
		t.Errorf("after its slot: %+v, next %s\n%s", x.Explained, x.Next, x.Tree.Render())
	}
	if x.Told[0].Waits {
		t.Errorf("it was delivered: %+v", x.Told)
	}
	l.ingest(t, now.Add(time.Minute), "u1 Seen 0")
	if x := l.explain(t, "keen", "u1", time.Time{}); x.Value().AsBool() {
		t.Error("the slot has not come")
	}

	// The past, by what had been received then.
	now = leaves
	l.settle(t)
	if x := l.explain(t, "recent", "u1", time.Time{}); x.Value().AsBool() || x.Held == nil || x.Held.Cause != engine.CauseSlot {
		t.Errorf("after the event has left the window: %+v", x.Explained)
	}
	x = l.explain(t, "recent", "u1", leaves.Add(-90*time.Minute))
	if !x.Value().AsBool() || !x.Agrees || !x.Past || !x.AsOf.Equal(leaves.Add(-2*time.Hour)) || !x.Next.IsZero() {
		t.Errorf("before: %+v", x.Explained)
	}
	if x := l.explain(t, "buyer", "u1", now.AddDate(0, 0, -7)); x.Held != nil || !x.Agrees || x.Tree.Children[0].EventCount != 0 {
		t.Errorf("before there was anything: %+v\n%s", x.Explained, x.Tree.Render())
	}
}

func TestExplainWaiting(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t,
		engine.Definition{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 1"},
		engine.Definition{Key: "keen", Kind: query.Audience, Query: "trait('buyer') = 'true' AND event('Seen').within(1 day).count() >= 1"},
	)
	l.ingest(t, now.Add(-time.Hour), "u1 Seen 0")
	l.settle(t)
	now = now.Add(time.Minute)
	l.ingest(t, now, "u1 Bought 1")
	x := l.explain(t, "keen", "u1", time.Time{})
	if !x.Waiting || x.Agrees || x.Value().AsBool() || !x.Tree.Value.AsBool() || !x.Next.Equal(time.Date(2026, 5, 4, 13, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v, next %s\n%s", x.Explained, x.Next, x.Tree.Render())
	}
}

func TestExplainNobody(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 1"})
	l.ingest(t, now, "a1 Bought 1", "u1 Bought 1")
	if x := l.explain(t, "buyer", "u1", time.Time{}); x.Version != nil || x.Tree != nil {
		t.Errorf("before its backfill: %+v", x.Explained)
	}
	l.settle(t)
	x, err := app.Explain(t.Context(), l.app.Store, "buyer", identity.ID{Type: "anonymous_id", Value: "a1"}, time.Time{}, now)
	if err != nil || x.Eligible || x.Value().AsBool() || x.Contradicts() {
		t.Errorf("somebody anonymous: %+v, %v", x, err)
	}
	if _, err := app.Explain(t.Context(), l.app.Store, "nothing", userID("u1"), time.Time{}, now); !errors.Is(err, engine.ErrUnknownKey) {
		t.Error(err)
	}
	if _, err := app.Explain(t.Context(), l.app.Store, "buyer", userID("u9"), time.Time{}, now); !errors.Is(err, engine.ErrUnknownProfile) {
		t.Error(err)
	}
	if _, err := app.Explain(t.Context(), l.app.Store, "buyer", userID("u1"), now.Add(time.Second), now); err == nil {
		t.Error("the future is explained")
	}
}

// A damage is seen, and not explained away.
func TestExplainContradicts(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"})
	l.ingest(t, now, "u1 Bought 3")
	l.settle(t)
	if _, err := l.pool.Exec(t.Context(), `UPDATE computed_values SET value = '4'`); err != nil {
		t.Fatal(err)
	}
	x, err := app.Explain(t.Context(), l.app.Store, "spent", userID("u1"), time.Time{}, now)
	if err != nil || !x.Contradicts() || x.Value().String() != "4" || x.Tree.Value.String() != "3" {
		t.Errorf("%+v, %v", x, err)
	}
}

// The values of suppressed people rest, and nothing of that is a fault.
func TestExplainSuppressed(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "recent", Kind: query.Audience, Query: "event('Bought').within(1 day).count() >= 1"})
	l.ingest(t, now, "u1 Bought 1")
	now = now.Add(time.Hour)
	l.settle(t)
	if _, err := l.app.Store.Suppress(t.Context(), []identity.ID{userID("u1")}, now); err != nil {
		t.Fatal(err)
	}
	now = now.AddDate(0, 0, 2)
	l.settle(t)
	x := l.explain(t, "recent", "u1", time.Time{})
	if !x.Suppressed || !x.Value().AsBool() || x.Tree.Value.AsBool() {
		t.Errorf("%+v\n%s", x.Explained, x.Tree.Render())
	}
	p, err := app.Preview(t.Context(), l.app.Store, engine.Definition{Key: "x", Kind: query.Audience, Query: "event('Bought').count() >= 1", IncludeHistorical: true},
		engine.DryRun{}, 0, now)
	if err != nil || p.After != 0 || p.Of != 1 {
		t.Errorf("a preview counts who is suppressed: %+v, %v", p, err)
	}
}

// What is removed keeps its last values, so that those who read it do not follow what it
// would have read.
func TestPlanEndsAtWhatIsRemoved(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	buyer := engine.Definition{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 1", IncludeHistorical: true}
	keen := engine.Definition{Key: "keen", Kind: query.Audience, Query: "trait('buyer') = 'true'", IncludeHistorical: true}
	best := engine.Definition{Key: "best", Kind: query.Audience, Query: "trait('keen') = 'true'", IncludeHistorical: true}
	l.define(t, buyer, keen, best)
	l.settle(t)
	l.ingest(t, now, "u1 Bought 1")

	buyer.Query = "event('Bought').count() >= 2"
	for _, c := range []struct {
		desired []engine.Definition
		exits   int64 // of best
	}{
		{[]engine.Definition{buyer, keen, best}, 1},
		{[]engine.Definition{buyer, best}, 0},
	} {
		p, err := app.Plan(t.Context(), l.app.Store, engine.Desired{Definitions: c.desired}, &engine.DryRun{}, 0, now)
		if err != nil {
			t.Fatal(err)
		}
		var exits int64
		for _, s := range p.Steps {
			if s.Key == "best" && s.Effect != nil {
				exits = s.Effect.Exited
			}
		}
		if exits != c.exits {
			t.Errorf("with %d definitions %d leave best, not %d", len(c.desired), exits, c.exits)
		}
	}
}
