package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

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

// What waits to be told of somebody when she is suppressed is not told any more, nor is it
// lost: once that is taken back, the destination hears how things stand.
func TestQueuedMessagesOfSuppressedPeopleAreWithheld(t *testing.T) {
	ctx := t.Context()
	s := store.New(pgtest.New(t))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fake := mixpaneltest.Start(t, mixpaneltest.Options{})
	fake.SetNow(now)
	a, err := app.New(ctx, app.Options{
		Store: s, Identity: identity.DefaultSettings(), Now: func() time.Time { return now },
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: mixpaneltest.DefaultToken, BaseURL: fake.URL()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	refused, err := a.Define(ctx, []engine.Definition{
		{Key: "buys", Kind: query.Trait, Query: `event('Bought').count()`, IncludeHistorical: true, Connections: []engine.ConnectionDefinition{{Destination: "mixpanel"}}},
		{Key: "once", Kind: query.Audience, Query: `event('Bought').count() = 1`, IncludeHistorical: true, Connections: []engine.ConnectionDefinition{{Destination: "mixpanel"}}},
	})
	if err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	if err := a.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	src, err := s.EnsureSource(ctx, "test", now)
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	take := func(call string) {
		t.Helper()
		number++
		c, err := event.Decode(fmt.Appendf(nil, `{"messageId":"m%d",%s`, number, call[1:]), event.Envelope{ReceivedAt: now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Engine.Ingest(ctx, []engine.Received{{Call: c, SourceID: src.ID, Source: "test"}}, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		fake.SetNow(now)
	}
	heard := func(want ...string) {
		t.Helper()
		if err := a.Deliver(ctx); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, user := range []string{"kim", "lee"} {
			p, _ := fake.Profile(mixpaneltest.DefaultToken, user)
			if p.Properties["buys"] != nil || p.Properties["once"] != nil {
				got = append(got, fmt.Sprint(user, " buys ", p.Properties["buys"], ", once ", p.Properties["once"]))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Mixpanel heard (-want +got):\n%s", diff)
		}
	}
	letters := func(want ...string) {
		t.Helper()
		rows, err := s.Pool().Query(ctx, `SELECT concat_ws(' ', code, ids, value, resolution) FROM dead_letters ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
	}
	kim := []identity.ID{{Type: identity.UserID, Value: "kim"}}

	// Some of it was queued for a profile that has become Kim's since.
	take(`{"type":"track","userId":"kim","event":"Bought"}`)
	take(`{"type":"track","anonymousId":"a-kim","event":"Bought","context":{"traits":{"email":"kim@x.test"}}}`)
	take(`{"type":"track","userId":"kim","anonymousId":"a-kim","event":"Bought"}`)
	take(`{"type":"track","userId":"lee","event":"Bought"}`)
	if _, err := s.Suppress(ctx, kim, now); err != nil {
		t.Fatal(err)
	}
	heard("lee buys 1, once true")
	waiting := []string{
		"suppressed anon:a-kim|email:kim@x.test 1", "suppressed anon:a-kim|email:kim@x.test false", "suppressed anon:a-kim|email:kim@x.test true",
		"suppressed user:kim 1", "suppressed user:kim false", "suppressed user:kim true", "suppressed user:kim|email:kim@x.test 3",
	}
	letters(waiting...)
	take(`{"type":"track","userId":"lee","event":"Bought"}`)
	heard("lee buys 2, once false")

	// Retried by hand, it is withheld again.
	if r, err := s.RetryDeadLetters(ctx, store.LetterFilter{}, now); err != nil || r.Queued+r.Superseded != int64(len(waiting)) {
		t.Errorf("%+v %v", r, err)
	}
	heard("lee buys 2, once false")

	if _, err := app.Unsuppress(ctx, s, kim, func() time.Time { return now }); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 3, once false", "lee buys 2, once false")
	take(`{"type":"track","userId":"kim","event":"Bought"}`)
	heard("kim buys 4, once false", "lee buys 2, once false")

	// Delivery may have looked just before she is taken off the list, and withhold it just after.
	take(`{"type":"track","userId":"kim","event":"Bought"}`)
	if _, err := s.Suppress(ctx, kim, now); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 4, once false", "lee buys 2, once false")
	if _, _, err := s.Unsuppress(ctx, kim); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 4, once false", "lee buys 2, once false")
	if err := a.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 5, once false", "lee buys 2, once false")
	report, err := a.Engine.Verify(ctx, engine.VerifyOptions{}, now, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Waiting != 0 {
		t.Errorf("%+v %v", report, err)
	}
}
