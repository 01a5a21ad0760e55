package app_test

import (
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

// Nobody who is suppressed joins or leaves an audience, by the clock or by a definition that
// is new, or hears of anything; once it is taken back, all of it follows.
func TestSuppressedRest(t *testing.T) {
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
	told := []engine.ConnectionDefinition{{Destination: "mixpanel"}}
	define := func(key, text string) {
		t.Helper()
		refused, err := a.Define(ctx, []engine.Definition{{Key: key, Kind: query.Audience, Query: text, IncludeHistorical: true, Connections: told}})
		if err != nil || len(refused) > 0 {
			t.Fatal(refused, err)
		}
	}
	src, err := s.EnsureSource(ctx, "test", now)
	if err != nil {
		t.Fatal(err)
	}
	settle := func(after time.Duration, want ...string) {
		t.Helper()
		now = now.Add(after)
		fake.SetNow(now)
		if err := a.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		var heard []string
		for _, user := range []string{"kim", "lee"} {
			p, _ := fake.Profile(mixpaneltest.DefaultToken, user)
			for _, key := range []string{"buyer", "fresh", "lately", "quiet", "soon"} {
				if p.Properties[key] == true {
					heard = append(heard, user+" "+key)
				}
			}
		}
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Errorf("Mixpanel heard (-want +got):\n%s", diff)
		}
		rows, err := s.Pool().Query(ctx, `SELECT p.user_ids[1] || ' ' || m.key FROM inspect.members m JOIN inspect.profiles p USING (profile_id) ORDER BY 1`)
		if err != nil {
			t.Fatal(err)
		}
		members, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, members); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	}
	define("lately", `event('Bought').within(7 days).count() >= 1`)
	define("quiet", `event('Bought').count() >= 1 AND NOT (event('Bought').within(7 days).count() >= 1)`)
	define("soon", `trait('birthday').within_next(20 days)`)
	for _, user := range []string{"kim", "lee"} {
		batch, err := event.DecodeBatch([]byte(`{"batch":[{"type":"track","userId":"`+user+`","event":"Bought"},
			{"type":"identify","userId":"`+user+`","traits":{"birthday":"2026-03-31T00:00:00Z"}}]}`), event.Envelope{ReceivedAt: now})
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range batch.Calls {
			if _, err := a.Engine.Ingest(ctx, []engine.Received{{Call: call, SourceID: src.ID, Source: "test"}}, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle(time.Hour, "kim lately", "lee lately")
	kim := []identity.ID{{Type: identity.UserID, Value: "kim"}}
	if _, err := s.Suppress(ctx, kim, now); err != nil {
		t.Fatal(err)
	}
	settle(8*24*time.Hour, "kim lately", "lee quiet")
	define("buyer", `event('Bought').count() >= 1`)
	define("fresh", `event('Bought').within(30 days).count() >= 1`)
	settle(5*24*time.Hour, "kim lately", "lee buyer", "lee fresh", "lee quiet", "lee soon")
	if _, err := app.Unsuppress(ctx, s, kim, func() time.Time { return now }); err != nil {
		t.Fatal(err)
	}
	settle(time.Hour, "kim buyer", "kim fresh", "kim quiet", "kim soon", "lee buyer", "lee fresh", "lee quiet", "lee soon")
	report, err := a.Engine.Verify(ctx, engine.VerifyOptions{}, now, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Waiting != 0 || report.Values != 10 {
		t.Errorf("%+v %v", report, err)
	}
}
