package app_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"muster/app"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/store"
)

// While people come, change and merge, two processes tell everything of one audience again,
// and take another one back: in the end everybody has heard, nobody believes what is gone,
// and no message was told twice.
func TestRetellingsAmongCalls(t *testing.T) {
	pool := pgtest.New(t)
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}})
	process := func() *app.App {
		a, err := app.New(t.Context(), app.Options{
			Store: store.New(pool), Identity: identity.DefaultSettings(), Now: time.Now,
			Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: fake.URL()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		a.Engine.SetChunk(4, 1)
		return a
	}
	a, b := process(), process()
	pros := audience("pros", "trait('plan') = 'pro'", to("mixpanel", engine.EmitBoth, ""))
	past := audience("past", "trait('plan') = 'pro'", to("mixpanel", "", engine.CleanupExit))
	pros.IncludeAnonymous, past.IncludeAnonymous = true, true
	if refused, err := a.Define(t.Context(), []engine.Definition{pros, past}); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	says := func(ctx context.Context, a *app.App, id int, user, anonymous, plan string) error {
		now := time.Now()
		c := &event.Call{
			Type: event.Identify, MessageID: fmt.Sprintf("c%d", id), UserID: user, AnonymousID: anonymous,
			Traits: jsontext.Value(`{"plan":"` + plan + `"}`), Timestamp: now, ReceivedAt: now,
		}
		_, err := a.Engine.Ingest(ctx, []engine.Received{{Call: c}}, now)
		return err
	}
	const people = 120
	for i := range people {
		if err := says(t.Context(), a, i, fmt.Sprintf("u%d", i), "", "pro"); err != nil {
			t.Fatal(err)
		}
		if err := says(t.Context(), a, people+i, "", fmt.Sprintf("a%d", i), "pro"); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := a.Engine.Resync(t.Context(), "pros", "", began); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Engine.Remove(t.Context(), "past", time.Now()); err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(t.Context())
	for worker := range 2 {
		g.Go(func() error {
			for i := worker; i < people; i += 2 { // every person meets the visitor who is opposite
				if err := says(ctx, a, 2*people+i, fmt.Sprintf("u%d", i), fmt.Sprintf("a%d", people-1-i), []string{"pro", "free"}[i%5/4]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, a := range []*app.App{a, b} {
		g.Go(func() error {
			for {
				r, err := a.Engine.StepRetelling(ctx, time.Now())
				if err != nil || r == nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := b.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, statement := range map[string]string{
		"ids of members that have not heard again": `SELECT count(*) FROM ledger l JOIN connections n USING (connection_id) JOIN computations c USING (computation_id)
			JOIN computed_values v ON v.computation_id = c.computation_id AND v.profile_id = l.profile_id
			WHERE c.key = 'pros' AND v.value = 'true' AND l.told_at < $1`,
		"ids that believe in what is gone": `SELECT count(*) FROM ledger l JOIN connections n USING (connection_id) JOIN computations c USING (computation_id)
			WHERE c.key = 'past' AND l.value = 'true' AND $1::timestamptz IS NOT NULL`,
		"retellings that are not over": `SELECT count(*) FROM retellings WHERE finished_at IS NULL AND $1::timestamptz IS NOT NULL`,
	} {
		var n int
		if err := pool.QueryRow(t.Context(), statement, began.Truncate(time.Millisecond)).Scan(&n); err != nil || n > 0 {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
	if raw, deduped := fake.EventCount(token, mixpaneltest.Raw), fake.EventCount(token, mixpaneltest.Deduped); raw != deduped || raw < people {
		t.Errorf("%d events were sent, of which %d are different", raw, deduped)
	}
	for i := range people {
		if p, ok := fake.Profile(token, fmt.Sprintf("u%d", i)); ok && p.Properties["past"] != false {
			t.Errorf("u%d: past is %v in Mixpanel", i, p.Properties["past"])
		}
	}
}
