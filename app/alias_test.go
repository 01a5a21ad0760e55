package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// visitors is an audience that holds anonymous people too.
func visitors(key string) engine.Definition {
	return engine.Definition{
		Key: key, Kind: query.Audience, Query: "trait('plan') = 'pro'", IncludeAnonymous: true, IncludeHistorical: true,
		Connections: []engine.ConnectionDefinition{{Destination: "mixpanel"}},
	}
}

// aliased is a system with the audience, to whose Mixpanel nothing is forwarded.
func aliased(t *testing.T, settings mixpanel.Settings, mode string) *relay {
	t.Helper()
	r := newRelay(t, mixpaneltest.Project{IDMerge: mixpaneltest.IDMerge(mode)}, settings)
	settings.IDMerge, settings.Token, settings.BaseURL = mode, token, r.fake.URL()
	r.start(t, settings)
	if refused, err := r.app.Define(t.Context(), []engine.Definition{visitors("pros")}); err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	if err := r.app.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// identityEvents are those that have arrived, in order.
func (r *relay) identityEvents() []string {
	var list []string
	for _, e := range r.fake.Events(token, mixpaneltest.Raw) {
		if e.Effect != "" || e.Name == "Identity Association" {
			list = append(list, e.Name)
		}
	}
	return list
}

const deviceOne, deviceTwo = "6f1c2a34-9d1b-4c55-8f3e-0a1b2c3d4e5f", "device-two"

// Somebody whom Mixpanel was told of under an anonymous id becomes known: what it holds under
// that id belongs to the user from then on, and nothing lands beside it.
func TestBecomingKnownIsTold(t *testing.T) {
	for mode, want := range map[string][]string{
		mixpanel.MergeLegacy:     {"$create_alias"},
		mixpanel.MergeOriginal:   {"$identify", "$merge"},
		mixpanel.MergeSimplified: nil,
	} {
		t.Run(mode, func(t *testing.T) {
			r := aliased(t, mixpanel.Settings{AliasSettle: new(mixpanel.Duration(3 * time.Second))}, mode)
			r.take(t, "web", `{"type":"identify","anonymousId":"`+deviceOne+`","traits":{"plan":"pro"}}`)
			r.settle(t)
			if got := r.identityEvents(); len(got) != 0 {
				t.Fatalf("nobody is known yet, and Mixpanel got %v", got)
			}
			r.take(t, "web", `{"type":"identify","userId":"u","anonymousId":"`+deviceOne+`","traits":{"city":"Bonn"}}`)
			r.settle(t)
			r.take(t, "web", `{"type":"identify","userId":"u","anonymousId":"`+deviceTwo+`","traits":{"plan":"pro"}}`)
			r.settle(t)
			r.take(t, "web", `{"type":"identify","userId":"u","anonymousId":"`+deviceOne+`","traits":{"plan":"free"}}`)
			r.settle(t)
			if got := r.identityEvents(); !slices.Equal(got, want) {
				t.Errorf("Mixpanel got %v, want %v", got, want)
			}
			joined := mode != mixpanel.MergeSimplified
			one, ok := r.fake.Profile(token, deviceOne)
			u, _ := r.fake.Profile(token, "u")
			if !ok && joined || joined != (one.DistinctID == u.DistinctID) || u.Properties["pros"] != false {
				t.Errorf("the profiles are %+v and %+v", one, u)
			}
			if mode == mixpanel.MergeOriginal {
				if two, _ := r.fake.Profile(token, deviceTwo); two.DistinctID != u.DistinctID {
					t.Errorf("the second device is %+v", two)
				}
			}
		})
	}
}

// Each pair is told once, over restarts too, and who was told before he became known to be the
// same is joined where that can still be done.
func TestAliasesAreToldOnce(t *testing.T) {
	settings := mixpanel.Settings{}
	r := aliased(t, settings, mixpanel.MergeOriginal)
	r.take(t, "web", `{"type":"identify","anonymousId":"`+deviceOne+`","traits":{"plan":"pro"}}`,
		`{"type":"identify","userId":"u","traits":{"plan":"pro"}}`)
	r.settle(t)
	settings.IDMerge, settings.Token, settings.BaseURL = mixpanel.MergeOriginal, token, r.fake.URL()
	// Both were told the same, so that nothing else is told when they turn out to be one.
	for range 3 {
		r.take(t, "web", `{"type":"identify","userId":"u","anonymousId":"`+deviceOne+`","traits":{}}`)
		r.settle(t)
		r.start(t, settings)
	}
	if _, err := r.app.Engine.Resync(t.Context(), "pros", "", r.now()); err != nil {
		t.Fatal(err)
	}
	if err := r.app.Retell(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
	if got := r.identityEvents(); !slices.Equal(got, []string{"$identify"}) {
		t.Errorf("Mixpanel got %v", got)
	}
	if p, _ := r.fake.Profile(token, deviceOne); p.DistinctID != "u" {
		t.Errorf("the device is of %q", p.DistinctID)
	}
}

// An alias that comes when a legacy project knows the user id already would hide what it knows:
// then there is none. Nor is there one for those of whom nothing is told, where it is turned
// off, or where the aliases of sources arrive.
func TestAliasesThatAreNotTold(t *testing.T) {
	known := []string{
		`{"type":"identify","anonymousId":"a","traits":{"plan":"pro"}}`,
		`{"type":"identify","userId":"u","traits":{"plan":"pro"}}`,
		`{"type":"identify","userId":"u","anonymousId":"a","traits":{}}`,
	}
	fresh := []string{known[0], known[2]}
	for name, c := range map[string]struct {
		settings mixpanel.Settings
		forward  []string
		calls    []string
		want     string
	}{
		"the user was told":    {calls: known},
		"told of nobody":       {calls: []string{`{"type":"identify","anonymousId":"a","traits":{}}`, known[2]}},
		"told now":             {calls: fresh, want: "$create_alias"},
		"both told at once":    {calls: []string{`{"type":"identify","userId":"u","anonymousId":"a","traits":{"plan":"pro"}}`}, want: "$create_alias"},
		"turned off":           {settings: mixpanel.Settings{AliasWhenKnown: new(false)}, calls: fresh},
		"sources are sent too": {forward: []string{"ios"}, calls: fresh},
		"simplified, asked for": {
			settings: mixpanel.Settings{AliasWhenKnown: new(true), IDMerge: mixpanel.MergeSimplified}, calls: fresh, want: "Identity Association",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := aliased(t, c.settings, c.settings.IDMerge)
			c.settings.Token, c.settings.BaseURL = token, r.fake.URL()
			r.start(t, c.settings, c.forward...)
			for _, call := range c.calls {
				r.take(t, "web", call)
				r.settle(t)
			}
			if got := strings.Join(r.identityEvents(), " "); got != c.want {
				t.Errorf("Mixpanel got %q, want %q", got, c.want)
			}
		})
	}
}

// Backfills and slots tell it too, before what they tell, also to somebody who changes hands in
// the middle; and nothing is left of it when the person is forgotten.
func TestAliasesOfBackfills(t *testing.T) {
	r := aliased(t, mixpanel.Settings{}, "")
	const people = 40
	for i := range people {
		r.take(t, "web", fmt.Sprintf(`{"type":"track","userId":"u%d","anonymousId":"a%d","event":"Order"}`, i, i))
	}
	seen := visitors("seen")
	seen.Query = "event('Order').within(7 days).count() >= 1"
	if refused, err := r.app.Define(t.Context(), []engine.Definition{seen}); err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	if err := r.app.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
	check := func(value bool) {
		t.Helper()
		if n := len(r.identityEvents()); n != people {
			t.Errorf("%d aliases arrived", n)
		}
		for i := range people {
			u, _ := r.fake.Profile(token, fmt.Sprint("u", i))
			if u.DistinctID != fmt.Sprint("a", i) || u.Properties["seen"] != value {
				t.Errorf("%+v", u)
			}
		}
	}
	check(true)
	r.pass(8 * 24 * time.Hour)
	if err := r.app.RunSlots(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
	check(false)
	if _, err := r.app.Engine.DeleteProfile(t.Context(), []identity.ID{{Type: identity.UserID, Value: "u0"}}, r.now()); err != nil {
		t.Fatal(err)
	}
	var left int
	err := r.store.Pool().QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE user_id = 'u0') * 1000 + count(*) FROM aliases`).Scan(&left)
	if err != nil || left != people-1 {
		t.Errorf("%d %v", left, err)
	}
}

// An alias that Mixpanel refuses is a dead letter, and can be sent again.
func TestRefusedAliasIsSentAgain(t *testing.T) {
	r := aliased(t, mixpanel.Settings{}, "")
	r.take(t, "web", `{"type":"identify","anonymousId":"a","traits":{"plan":"pro"}}`)
	r.settle(t)
	r.fake.Allow(mixpaneltest.RuleInvalid)
	r.fake.SetFaults(mixpaneltest.Fault{Endpoint: mixpaneltest.Track, Kind: mixpaneltest.FaultZero})
	r.take(t, "web", `{"type":"identify","userId":"u","anonymousId":"a","traits":{}}`)
	r.settle(t)
	letters, err := r.store.DeadLetters(t.Context(), store.LetterFilter{})
	if err != nil || len(letters) != 1 || letters[0].Forwarded || letters[0].Call.Type != "alias" || letters[0].Call.PreviousID != "a" {
		t.Fatalf("%+v %v", letters, err)
	}
	if n, err := r.store.RetryDeadLetters(t.Context(), store.LetterFilter{}, r.now()); err != nil || n.Queued != 1 {
		t.Fatal(n, err)
	}
	r.settle(t)
	if got := r.identityEvents(); !slices.Equal(got, []string{"$create_alias"}) {
		t.Errorf("Mixpanel got %v", got)
	}
}
