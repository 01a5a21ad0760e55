package query_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/query"
)

const day = 24 * time.Hour

func TestWhatADefinitionReads(t *testing.T) {
	d := compile(t, `event('A').where(property('x.y') >= trait('floor.low') AND event('B').within(parent: 2 hours).within(3 days).count() = 0)
		.sources({exclude: 'ios'}).between(1 day, 9 days).count() >= 1 AND trait('due').within_next(2 days) OR trait('in.a') = 1 AND event('C').sum(context('n')) > 1`, query.CheckOptions{})
	type facts struct {
		Class                              query.Class
		Because                            []string
		Events, Traits, Fields, NotSources []string
		MaxLookback                        time.Duration
		Unbounded, Funnel, Session         bool
		ClockTraits                        []string
		LeafCount, Comparisons             int
	}
	got := facts{d.Class, d.ClassBecause, d.Events, d.Traits, d.Fields, d.NotSources, d.MaxLookback, d.Unbounded, d.Funnel, d.Session, d.ClockTraits, d.LeafCount, d.Comparisons}
	want := facts{
		Class:   query.Scheduled,
		Because: []string{"event('B').within(3 days)", "event('A').between(1 day, 9 days)", "trait('due').within_next(2 days)"},
		Events:  []string{"A", "B", "C"}, Traits: []string{"floor", "due", "in"}, Fields: []string{"property('x.y')", "context('n')"}, NotSources: []string{"ios"},
		MaxLookback: 9 * day, Unbounded: true, Funnel: true, ClockTraits: []string{"due"}, LeafCount: 2, Comparisons: 6,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatALeafIs(t *testing.T) {
	type facts struct {
		Events, Traits         []string
		Window                 *query.Window
		Windows                []query.EventWindow
		Foldable, ClockInWhere bool
	}
	for text, want := range map[string]facts{
		`event('A').count()`: {Events: []string{"A"}, Foldable: true},
		`event('A').where(property('x') = 1).sources({exclude: 'a'}).within(1 day).count()`: {
			Events: []string{"A"}, Foldable: true, Window: &query.Window{Far: day}, Windows: []query.EventWindow{{Event: "A", Far: day}},
		},
		`event('A').within(9 days).between(2 days, 12 days).count()`: {
			Events: []string{"A"}, Foldable: true, Window: &query.Window{Near: 2 * day, Far: 9 * day}, Windows: []query.EventWindow{{Event: "A", Near: 2 * day, Far: 9 * day}},
		},
		`event('A').within(1 day).between(2 days, 3 days).count()`:    {Events: []string{"A"}, Foldable: true, Window: &query.Window{Near: 2 * day, Far: day}},
		`event('A').where(property('x') = trait('y.z')).count()`:      {Events: []string{"A"}, Traits: []string{"y"}},
		`event('A').where(property('at').within_last(1 day)).count()`: {Events: []string{"A"}, ClockInWhere: true},
		`event('A').expires_after(1 day).within(2 days).count()`: {
			Events: []string{"A"}, Window: &query.Window{Far: 2 * day}, Windows: []query.EventWindow{{Event: "A", Far: 2 * day}},
		},
		`event('A').where(event('B').within(1 day).where(trait('t') = 1 AND property('at').before_last(1 day)).count() = 0).count()`: {
			Events: []string{"A", "B"}, Traits: []string{"t"}, Windows: []query.EventWindow{{Event: "B", Far: day}}, ClockInWhere: true,
		},
		`event('A').where(event('B').within(parent: 1 day).count() = 0).count()`: {Events: []string{"A", "B"}},
	} {
		d := compile(t, text, query.CheckOptions{Purpose: query.Trait})
		l := d.Leaves[0]
		if diff := cmp.Diff(want, facts{l.Events, l.Traits, l.Window, l.Windows, l.Foldable, l.ClockInWhere}); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
		if l.Text != d.Text() {
			t.Errorf("the leaf of %s is %s", d.Text(), l.Text)
		}
	}
}

func TestMatch(t *testing.T) {
	l := compile(t, `event('A').where(property('x') > 1).sources({exclude: 'ios'}).within(1 day).sum(property('n.$'))`, query.CheckOptions{Purpose: query.Trait}).Leaves[0]
	e := func(name, source, properties string) *query.Event {
		return &query.Event{Name: name, Source: source, Properties: []byte(properties)}
	}
	for e, want := range map[*query.Event]bool{
		e("A", "web", `{"x":2}`): true, e("a", "web", `{"x":2}`): false, e("A", "ios", `{"x":2}`): false, e("A", "web", `{"x":1}`): false, e("A", "web", ``): false,
	} {
		if got := l.Match(e); got != want {
			t.Errorf("%v matches: %v", e, got)
		}
	}
	got := query.List(l.Values(e("A", "web", `{"n":[1,"2.50","many",null,true,{"a":1},3e0]}`))).String()
	if want := `[1,2.5,3]`; got != want {
		t.Errorf("the values are %s, want %s", got, want)
	}
	funnel := compile(t, `event('A').where(event('B').count() = 0).count()`, query.CheckOptions{Purpose: query.Trait}).Leaves[0]
	if !funnel.Match(e("A", "", "")) || !funnel.Match(e("B", "", "")) || funnel.Match(e("C", "", "")) {
		t.Error("a funnel reads A and B only")
	}
}

func TestNextChangeIsExact(t *testing.T) {
	p := person(t, `{"due":"2026-04-03","seen":"2026-03-31T10:00:00Z"}`, "A@5h", "A@1h", `B@2h{"at":"2026-04-01T00:00:00Z"}`)
	for text, want := range map[string]string{
		`event('A').within(6 hours).count() >= 1`:                              "5h1ns", // not when the older one leaves
		`event('A').within(6 hours).count() = 2`:                               "1h1ns",
		`event('A').between(2 hours, 4 hours).count() = 1`:                     "1h",
		`event('A').count() >= 1`:                                              "never",
		`event('A').within(10 minutes).count() >= 1`:                           "never",
		`trait('due').within_next(1 day)`:                                      "36h",
		`trait('due').within_next(24 hours)`:                                   "36h",
		`trait('due').within_next(7 days)`:                                     "84h",
		`trait('seen').within_last(2 hours)`:                                   "1ns",
		`trait('seen').before_last(3 hours)`:                                   "1h",
		`trait('due').after_next(2 days)`:                                      "36h",
		`event('B').where(property('at').within_last(1 hour)).count() >= 1`:    "12h",
		`event('B').last(property('at')).within_last(1 hour)`:                  "12h",
		`event('B').where(event('A').within(2 hours).count() = 1).count() = 1`: "1h1ns",

		`event('B').where(event('A').where(property(parent: 'at').within_last(1 hour)).count() = 1).count() = 1`: "12h",
		`event('A').where(event('B').where(property('at').before_last(1 hour)).count() = 1).count() = 1`:         "13h",
	} {
		d := compile(t, text, query.CheckOptions{})
		got := "never"
		if next, ok := d.NextChange(p, now); ok {
			got = strings.ReplaceAll(strings.ReplaceAll(next.Sub(now).String(), "h0m0", "h"), "hs", "h")
			got = strings.ReplaceAll(got, "h.000000001s", "h1ns")
		}
		if got != want {
			t.Errorf("%s changes in %s, want %s", text, got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	p := person(t, `{"plan":"pro","tags":["a","b"]}`, `Held@50h{"sku":"A"}`, `Held@30m{"sku":"B"}`, `Bought@49h{"sku":"A"}`)
	d := compile(t, `event('Held').where(NOT event('Bought').within(parent: 2 hours).count() >= 1).within(3 hours).count() >= 1 AND (trait('plan').one_of('x', 'y') OR trait('tags.$') = 'b' OR trait('gone') = 1)`, query.CheckOptions{})
	const want = `true  <-  event('Held').where(NOT event('Bought').within(parent: 2 hours).count() >= 1).within(3 hours).count() >= 1 AND (trait('plan').one_of('x', 'y') OR trait('tags.$') = 'b' OR trait('gone') = 1)
    can change at 2026-03-31T14:30:00.000000001Z
    true  <-  event('Held').where(NOT event('Bought').within(parent: 2 hours).count() >= 1).within(3 hours).count() >= 1
        compared: 1 with 1
        1  <-  event('Held').where(NOT event('Bought').within(parent: 2 hours).count() >= 1).within(3 hours).count()
            note: follow-up window still open for 1 of 1 events, the last until 2026-03-31T13:30:00Z
            can change at 2026-03-31T14:30:00.000000001Z
            2026-03-31T11:30:00Z Held {"sku":"B"}
    true  <-  trait('plan').one_of('x', 'y') OR trait('tags.$') = 'b' OR trait('gone') = 1
        false  <-  trait('plan').one_of('x', 'y')
            compared: "pro" with "x", "y"
        true  <-  trait('tags.$') = 'b'
            compared: "a", "b" with "b"
        false  <-  trait('gone') = 1
            note: there is no value to compare
`
	x := d.Explain(p, now)
	if diff := cmp.Diff(want, x.Render()); diff != "" {
		t.Error(diff)
	}
	raw, err := json.Marshal(x)
	if err != nil || !strings.Contains(string(raw), `"compared":["pro"]`) || !strings.Contains(string(raw), `"properties":{"sku":"B"}`) {
		t.Errorf("as JSON %s, %v", raw, err)
	}
}

func TestExplainShowsTheLatestEvents(t *testing.T) {
	p := person(t, "", "A@9h", "A@8h", "A@7h", "A@6h", "A@5h", "A@4h", "A@3h")
	x := compile(t, `event('A').unique(property('x')).count()`, query.CheckOptions{Purpose: query.Trait}).Explain(p, now)
	if x.EventCount != 7 || len(x.Events) >= 7 || !x.Events[len(x.Events)-1].Time.Equal(now.Add(-3*time.Hour)) || !strings.Contains(x.Render(), "earlier events") {
		t.Errorf("explained as %s", x.Render())
	}
}
