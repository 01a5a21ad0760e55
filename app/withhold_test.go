package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"muster/app"
	"muster/engine"
	"muster/identity"
	"muster/query"
	"muster/store"
)

// What waits to be told of somebody when she is suppressed is not told any more, nor is it
// lost: once that is taken back, the destination hears how things stand.
func TestQueuedMessagesOfSuppressedPeopleAreWithheld(t *testing.T) {
	l := newLife(t)
	l.want("refused", l.defines(
		engine.Definition{Key: "buys", Kind: query.Trait, Query: `event('Bought').count()`, IncludeHistorical: true, Connections: []engine.ConnectionDefinition{to("one", "", "")}},
		audience("once", `event('Bought').count() = 1`, to("one", "", "")),
	), "")
	l.settle()
	take := func(call string) {
		t.Helper()
		l.take(call)
		l.pass(time.Second)
	}
	heard := func(want ...string) {
		t.Helper()
		if err := l.app.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, user := range []string{"kim", "lee"} {
			p, _ := l.fake.Profile("one", user)
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
		rows, err := l.store.Pool().Query(t.Context(), `SELECT concat_ws(' ', code, ids, value, resolution) FROM dead_letters ORDER BY 1`)
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
	if _, err := l.store.Suppress(t.Context(), kim, l.now); err != nil {
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
	if r, err := l.store.RetryDeadLetters(t.Context(), store.LetterFilter{}, l.now); err != nil || r.Queued+r.Superseded != int64(len(waiting)) {
		t.Errorf("%+v %v", r, err)
	}
	heard("lee buys 2, once false")

	if _, err := app.Unsuppress(t.Context(), l.store, kim, func() time.Time { return l.now }); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 3, once false", "lee buys 2, once false")
	take(`{"type":"track","userId":"kim","event":"Bought"}`)
	heard("kim buys 4, once false", "lee buys 2, once false")

	// Delivery may have looked just before she is taken off the list, and withhold it just after.
	take(`{"type":"track","userId":"kim","event":"Bought"}`)
	if _, err := l.store.Suppress(t.Context(), kim, l.now); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 4, once false", "lee buys 2, once false")
	if _, _, err := l.store.Unsuppress(t.Context(), kim); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 4, once false", "lee buys 2, once false")
	if err := l.app.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	heard("kim buys 5, once false", "lee buys 2, once false")
	report, err := l.app.Engine.Verify(t.Context(), engine.VerifyOptions{}, l.now, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Waiting != 0 {
		t.Errorf("%+v %v", report, err)
	}
}
