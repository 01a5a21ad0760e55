package app_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"muster/app"
	"muster/engine"
	"muster/identity"
	"muster/mixpanel"
	"muster/query"
	"muster/store"
)

// retaining is a second app on the lab's database, that drops old events.
func (l *lab) retaining(t *testing.T, r app.Retention, log *slog.Logger) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), app.Options{
		Store: store.New(l.pool), Identity: identity.DefaultSettings(), Now: func() time.Time { return *l.now }, Retention: r, Log: log,
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: l.fake.URL()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func (l *lab) events(t *testing.T) (n int) {
	t.Helper()
	if err := l.pool.QueryRow(t.Context(), `SELECT count(*) FROM events`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const day = 24 * time.Hour

// Old events go, and nothing that was told changes: states remember what is gone, windows
// have all that they look at, and verify says what it cannot know.
func TestRetentionDropsWhatNobodyLooksAt(t *testing.T) {
	now := time.Date(2024, 1, 10, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t,
		engine.Definition{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"},
		engine.Definition{Key: "dearest", Kind: query.Trait, Query: "event('Bought').max(property('price'))"},
		engine.Definition{Key: "lately", Kind: query.Trait, Query: "event('Bought').within(100 days).count()"},
	)
	for month := range 24 {
		now = time.Date(2024, time.Month(1+month), 10, 12, 0, 0, 0, time.UTC)
		l.ingest(t, now, fmt.Sprintf("u1 Bought %d", 100-month), "u2 Bought 1")
	}
	l.settle(t)
	a := l.retaining(t, app.Retention{Events: 30 * day}, nil)
	if err := a.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	// It is 10 December 2025; the window reaches back to 1 September, 12:00. August is gone.
	if n := l.events(t); n != 8 {
		t.Errorf("%d events are left, want the 8 of September to December", n)
	}
	check := func(spent, lately float64, kept time.Month) {
		t.Helper()
		l.settle(t)
		p, _ := l.fake.Profile(token, "u1")
		if p.Properties["spent"] != spent || p.Properties["lately"] != lately || p.Properties["dearest"] != 100.0 {
			t.Errorf("Mixpanel holds %v, want spent %v, lately %v, dearest 100", p.Properties, spent, lately)
		}
		report, err := l.app.Engine.Verify(t.Context(), engine.VerifyOptions{}, now, func(d engine.Difference) { t.Error(d) })
		if err != nil || report.Remembered != 4 || report.Values == 0 || !report.KeptSince.Equal(time.Date(2025, kept, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%+v, %v; want two states of each of two profiles that cannot be compared", report, err)
		}
	}
	check(2124, 4, 9)
	// A call of a month that was dropped comes late: its place is there, and it counts where it belongs.
	late := time.Date(2024, 3, 5, 0, 0, 0, 0, time.UTC)
	l.ingest(t, late, "u1 Bought 6")
	check(2130, 4, 9)
	if err := a.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := l.events(t); n != 8 {
		t.Errorf("%d events are left after the late one was swept", n)
	}
	// Repairing has nothing to repair, and above all does not forget.
	if found := l.verify(t, engine.VerifyOptions{Repair: true}); found != nil {
		t.Errorf("it repairs %v", found)
	}
	now = now.Add(40 * day)
	check(2130, 2, 9)
	if err := a.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(2130, 2, 10)
	x, err := app.Explain(t.Context(), l.app.Store, "spent", identity.ID{Type: "user_id", Value: "u1"}, time.Time{}, now)
	if err != nil || !x.Agrees || len(x.Remembered) != 1 || x.Remembered[0].Value.String() != "2130" {
		t.Errorf("explained as %+v, %v", x, err)
	}
}

// What is damaged is found although the log is not whole: values and what was told are
// compared on top of what the states remember.
func TestVerifyComparesOnTopOfWhatIsRemembered(t *testing.T) {
	now := time.Date(2025, 1, 10, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"})
	l.ingest(t, now, "u1 Bought 1")
	now = now.Add(100 * day)
	l.ingest(t, now, "u1 Bought 2")
	l.settle(t)
	if err := l.retaining(t, app.Retention{Events: 30 * day}, nil).Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := l.events(t); n != 1 {
		t.Fatalf("%d events are left", n)
	}
	if _, err := l.pool.Exec(t.Context(), `UPDATE computed_values SET value = '2'`); err != nil {
		t.Fatal(err)
	}
	if found := l.verify(t, engine.VerifyOptions{Repair: true}); len(found) != 1 || found[0] != "spent value" {
		t.Errorf("found %v", found)
	}
	if found := l.verify(t, engine.VerifyOptions{}); found != nil {
		t.Errorf("after the repair: %v", found)
	}
	// What is built after the dropping is made of what is kept, and is compared in full.
	l.define(t, engine.Definition{Key: "bought", Kind: query.Trait, Query: "event('Bought').count()"})
	l.settle(t)
	report, err := l.app.Engine.Verify(t.Context(), engine.VerifyOptions{Keys: []string{"bought"}}, now, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Remembered != 0 || report.Values != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	plan, err := app.Plan(t.Context(), l.app.Store, engine.Desired{Definitions: []engine.Definition{
		{Key: "ever", Kind: query.Trait, Query: "event('Bought').max(property('price'))", IncludeHistorical: true},
		{Key: "of_late", Kind: query.Trait, Query: "event('Bought').within(7 days).count()", IncludeHistorical: true},
		{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))", IncludeHistorical: true}, // as it is
		{Key: "keeps_a_chain", Kind: query.Audience, Query: "event('Bought').sum(property('price')) >= 2", IncludeHistorical: true},
		{Key: "from_now_on", Kind: query.Trait, Query: "event('Bought').min(property('price'))"},
	}}, nil, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Steps {
		if warned := len(s.Warnings) > 0 && s.Warnings[len(s.Warnings)-1].Code == engine.CodeKept; warned != (s.Key == "ever") {
			t.Errorf("%s: warnings %v", s.Key, s.Warnings)
		}
	}
}

// Definitions that look at all history again, backfills, and slots that are behind keep the
// log from being dropped.
func TestRetentionKeepsWhatIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name, query, refresh string
		kind                 query.Purpose
		wait, disable        bool
		left                 int
		said                 string
	}{
		{name: "nothing looks", query: "trait('x') = 'y'", left: 2},
		{name: "a funnel without a window", query: "event('Bought').where(event('Seen').count() >= 1).count() >= 1", left: 6, said: "look at the whole log"},
		{name: "a funnel with a window", query: "event('Bought').where(event('Seen').count() >= 1).within(60 days).count() >= 1", left: 3, said: "kept for longer"},
		{name: "a session", kind: query.Trait, query: "event('Bought').expires_after(1 hour).count()", left: 6, said: "look at the whole log"},
		{name: "a window", query: "event('Bought').between(1 day, 90 days).count() >= 1", left: 4, said: "kept for longer"},
		{name: "realtime between slots", query: "event('Bought').count() >= 1 AND event('Bought').within(1 day).count() >= 1", refresh: "realtime", left: 2},
		{name: "a disabled window", query: "event('Bought').within(90 days).count() >= 1", disable: true, left: 4, said: "kept for longer"},
		{name: "waiting for a backfill", query: "event('Bought').count() >= 1", wait: true, left: 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Date(2025, 1, 15, 12, 0, 0, 0, time.UTC)
			l := newLab(t, &now)
			for month := range 6 {
				now = time.Date(2025, time.Month(1+month), 15, 12, 0, 0, 0, time.UTC)
				l.ingest(t, now, "u1 Bought 1")
			}
			l.define(t, engine.Definition{Key: "k", Kind: cmp.Or(c.kind, query.Audience), Query: c.query, Refresh: engine.Refresh(c.refresh)})
			if !c.wait {
				l.settle(t)
			}
			if c.disable {
				if _, err := app.Enable(t.Context(), l.app.Store, query.Audience, "k", false, now); err != nil {
					t.Fatal(err)
				}
			}
			var log strings.Builder
			if err := l.retaining(t, app.Retention{Events: 15 * day}, slog.New(slog.NewTextHandler(&log, nil))).Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := l.events(t); n != c.left {
				t.Errorf("%d events are left, want %d", n, c.left)
			}
			if c.said != "" && !strings.Contains(log.String(), c.said) {
				t.Errorf("it says %s", log.String())
			}
		})
	}
}
