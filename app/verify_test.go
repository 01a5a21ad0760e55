package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/app"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// Whatever is damaged is found, mended and told; what is not is left alone.
func TestVerifyFindsAndMends(t *testing.T) {
	for _, damage := range []struct {
		name, statement string
		found           []string // key and part
	}{
		{name: "nothing", statement: `SELECT 1`},
		{
			name: "a member who is none", statement: `UPDATE computed_values SET value = 'false' WHERE value = 'true' AND profile_id = 1`,
			found: []string{"buyer value", "keen value"},
		},
		{
			name: "a value", statement: `UPDATE computed_values SET value = '9' WHERE value = '7'`,
			found: []string{"spent value"},
		},
		{
			name: "a missing value", statement: `DELETE FROM computed_values WHERE profile_id = 1`,
			found: []string{"buyer value", "keen value", "recent value", "spent value"},
		},
		{
			name: "states", statement: `DELETE FROM leaf_states`,
			found: []string{"buyer state", "buyer state", "keen state", "keen state", "recent state", "recent state", "spent state", "spent state"},
		},
		{
			name: "the ledger", statement: `DELETE FROM ledger WHERE profile_id = 1`,
			found: []string{"buyer ledger", "keen ledger", "recent ledger", "spent ledger"},
		},
		{
			name: "what was told", statement: `UPDATE ledger SET value = '4' WHERE value = '7'`,
			found: []string{"spent ledger"},
		},
	} {
		t.Run(damage.name, func(t *testing.T) {
			now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
			l := newLab(t, &now)
			l.define(t,
				engine.Definition{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 1"},
				engine.Definition{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"},
				engine.Definition{Key: "recent", Kind: query.Trait, Query: "event('Bought').within(1 day).count()"},
				engine.Definition{Key: "keen", Kind: query.Audience, Query: "trait('buyer') = 'true' AND event('Seen').count() >= 1"},
			)
			l.ingest(t, now, "u1 Bought 1", "u1 Bought 2", "u2 Bought 5", "u1 Seen 0", "u1 Bought 4", "u3 Seen 0")
			now = now.Add(time.Hour)
			l.settle(t)
			if _, err := l.pool.Exec(t.Context(), damage.statement); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Minute)
			for _, repair := range []bool{false, true} { // looking alone changes nothing
				if got := l.verify(t, engine.VerifyOptions{Repair: repair}); !slices.Equal(got, damage.found) {
					t.Fatalf("found %v, want %v", got, damage.found)
				}
			}
			if got := l.verify(t, engine.VerifyOptions{}); got != nil {
				t.Fatalf("after the repair: %v", got)
			}
			l.settle(t)
			profile, _ := l.fake.Profile(token, "u1")
			for key, want := range map[string]any{"buyer": true, "spent": 7.0, "recent": 3.0, "keen": true} {
				if got := profile.Properties[key]; got != want {
					t.Errorf("Mixpanel holds %s %v, want %v", key, got, want)
				}
			}
			var reasons string
			if err := l.pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(DISTINCT reason, ' '), '') FROM queue WHERE queued_at = $1`, now).Scan(&reasons); err != nil {
				t.Fatal(err)
			}
			if strings.Trim(reasons, " ") != "" && reasons != string(engine.ReasonRepair) {
				t.Errorf("the repair was told as %q", reasons)
			}
		})
	}
}

// A scheduled computation that is to look at a profile at its next slot is not wrong.
func TestVerifyLeavesWhatWaitsForItsSlot(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "gold", Kind: query.Audience, Query: "trait('plan') = 'gold' AND event('Bought').within(1 day).count() >= 1"})
	l.ingest(t, now, "u1 Bought 1")
	now = now.Add(time.Hour)
	l.settle(t)
	c := &event.Call{Type: event.Identify, MessageID: "plan", UserID: "u1", Timestamp: now, ReceivedAt: now, Traits: jsontext.Value(`{"plan":"gold"}`)}
	if _, err := l.app.Engine.Ingest(t.Context(), []engine.Received{{Call: c, Source: "web", SourceID: l.source.ID}}, now); err != nil {
		t.Fatal(err)
	}
	report, err := l.app.Engine.Verify(t.Context(), engine.VerifyOptions{}, now, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Waiting != 1 {
		t.Errorf("%+v, %v; want one that waits", report, err)
	}
	now = now.Add(time.Hour)
	l.settle(t)
	report, err = l.app.Engine.Verify(t.Context(), engine.VerifyOptions{}, now, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Waiting != 0 || report.Values != 1 {
		t.Errorf("%+v, %v; want one that was compared", report, err)
	}
}

func TestVerifyChooses(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t,
		engine.Definition{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 1"},
		engine.Definition{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"},
	)
	var calls []string
	for i := range 200 {
		calls = append(calls, fmt.Sprintf("u%d Bought 1", i))
	}
	l.ingest(t, now, calls...)
	l.settle(t)
	if _, err := l.pool.Exec(t.Context(), `UPDATE computed_values SET value = '0'`); err != nil {
		t.Fatal(err)
	}
	report, err := l.app.Engine.Verify(t.Context(), engine.VerifyOptions{Keys: []string{"spent"}}, now, func(d engine.Difference) {
		if d.Key != "spent" {
			t.Errorf("verified %s", d.Key)
		}
	})
	if err != nil || report.Profiles != 200 || report.Differences != 200 {
		t.Errorf("%+v, %v", report, err)
	}
	report, err = l.app.Engine.Verify(t.Context(), engine.VerifyOptions{Share: 0.25}, now, func(engine.Difference) {})
	if err != nil || report.Profiles < 25 || report.Profiles > 80 {
		t.Errorf("a quarter of 200 profiles: %+v, %v", report, err)
	}
	for _, o := range []engine.VerifyOptions{{Keys: []string{"nobody"}}, {Share: 1.5}, {Share: -1}} {
		if _, err := l.app.Engine.Verify(t.Context(), o, now, func(engine.Difference) {}); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// lab is the product with a clock that the test moves.
type lab struct {
	pool     *pgxpool.Pool
	now      *time.Time
	fake     *mixpaneltest.Server
	app      *app.App
	source   store.Source
	messages int
}

func newLab(t *testing.T, now *time.Time) *lab {
	t.Helper()
	l := &lab{pool: pgtest.New(t), now: now}
	l.fake = mixpaneltest.Start(t, mixpaneltest.Options{
		Projects: []mixpaneltest.Project{{Token: token}}, Now: func() time.Time { return *now },
	})
	var err error
	l.app, err = app.New(t.Context(), app.Options{
		Store: store.New(l.pool), Identity: identity.DefaultSettings(), Now: func() time.Time { return *now },
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: l.fake.URL()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.app.Close)
	if l.source, err = l.app.Store.EnsureSource(t.Context(), "web", *now); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) define(t *testing.T, defs ...engine.Definition) {
	t.Helper()
	for i := range defs {
		defs[i].IncludeHistorical = true
		defs[i].Connections = []engine.ConnectionDefinition{{Destination: "mixpanel"}}
	}
	refused, err := l.app.Define(t.Context(), defs)
	if err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
}

// ingest takes calls written as "user event price"; of the users, those like a1 are anonymous,
// and a1+u1 is a visitor who says who he is.
func (l *lab) ingest(t *testing.T, now time.Time, calls ...string) {
	t.Helper()
	l.ingestAt(t, now, now, calls...)
}

// ingestAt takes calls that are stamped otherwise than they are received.
func (l *lab) ingestAt(t *testing.T, now, stamped time.Time, calls ...string) {
	t.Helper()
	var batch []engine.Received
	for _, text := range calls {
		fields := strings.Fields(text)
		l.messages++
		c := &event.Call{
			Type: event.Track, MessageID: fmt.Sprint("m", l.messages), Event: fields[1], Timestamp: stamped, ReceivedAt: now,
			Properties: jsontext.Value(`{"price":` + fields[2] + `}`),
		}
		for id := range strings.SplitSeq(fields[0], "+") {
			if id[0] == 'a' {
				c.AnonymousID = id
			} else {
				c.UserID = id
			}
		}
		batch = append(batch, engine.Received{Call: c, Source: l.source.Name, SourceID: l.source.ID})
	}
	if _, err := l.app.Engine.Ingest(t.Context(), batch, now); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) settle(t *testing.T) {
	t.Helper()
	if err := l.app.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// verify returns what differs as sorted texts of key and part.
func (l *lab) verify(t *testing.T, o engine.VerifyOptions) []string {
	t.Helper()
	var found []string
	report, err := l.app.Engine.Verify(t.Context(), o, *l.now, func(d engine.Difference) { found = append(found, d.Key+" "+string(d.Part)) })
	if err != nil || report.Differences != int64(len(found)) {
		t.Fatal(report, err)
	}
	slices.Sort(found)
	return found
}
