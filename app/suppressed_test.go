package app_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"muster/app"
	"muster/engine"
	"muster/identity"
)

// Nobody who is suppressed joins or leaves an audience, by the clock or by a definition that
// is new, or hears of anything; once it is taken back, all of it follows.
func TestSuppressedRest(t *testing.T) {
	l := newLife(t)
	define := func(key, text string) {
		t.Helper()
		l.want("refused", l.defines(audience(key, text, to("one", "", ""))), "")
	}
	settle := func(after time.Duration, want ...string) {
		t.Helper()
		l.pass(after)
		l.settle()
		var heard []string
		for _, user := range []string{"kim", "lee"} {
			p, _ := l.fake.Profile("one", user)
			for _, key := range []string{"buyer", "fresh", "lately", "quiet", "soon"} {
				if p.Properties[key] == true {
					heard = append(heard, user+" "+key)
				}
			}
		}
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Errorf("Mixpanel heard (-want +got):\n%s", diff)
		}
		rows, err := l.store.Pool().Query(t.Context(), `SELECT p.user_ids[1] || ' ' || m.key FROM inspect.members m JOIN inspect.profiles p USING (profile_id) ORDER BY 1`)
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
		l.take(`{"type":"track","userId":"` + user + `","event":"Bought"}`)
		l.take(`{"type":"identify","userId":"` + user + `","traits":{"birthday":"2026-03-31T00:00:00Z"}}`)
	}
	settle(time.Hour, "kim lately", "lee lately")
	kim := []identity.ID{{Type: identity.UserID, Value: "kim"}}
	if _, err := l.store.Suppress(t.Context(), kim, l.now); err != nil {
		t.Fatal(err)
	}
	settle(8*24*time.Hour, "kim lately", "lee quiet")
	define("buyer", `event('Bought').count() >= 1`)
	define("fresh", `event('Bought').within(30 days).count() >= 1`)
	settle(5*24*time.Hour, "kim lately", "lee buyer", "lee fresh", "lee quiet", "lee soon")
	if _, err := app.Unsuppress(t.Context(), l.store, kim, func() time.Time { return l.now }); err != nil {
		t.Fatal(err)
	}
	settle(time.Hour, "kim buyer", "kim fresh", "kim quiet", "kim soon", "lee buyer", "lee fresh", "lee quiet", "lee soon")
	report, err := l.app.Engine.Verify(t.Context(), engine.VerifyOptions{}, l.now, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Waiting != 0 || report.Values != 10 {
		t.Errorf("%+v %v", report, err)
	}
}
