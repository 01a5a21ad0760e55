package querytest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"muster/query"
)

// Base is an instant that all events and instants lie around.
var Base = time.Date(2026, 3, 26, 6, 0, 0, 0, time.UTC)

// Instants draws a time near [Base], on the hour more often than not, so that
// windows end exactly where events are.
func Instants() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		at := Base.Add(time.Duration(rapid.IntRange(-14*24, 3*24).Draw(t, "hours")) * time.Hour)
		if rapid.IntRange(0, 3).Draw(t, "odd") == 0 {
			at = at.Add(time.Duration(rapid.IntRange(-90, 90).Draw(t, "seconds")) * time.Second)
		}
		return at
	})
}

// Events draws up to n events in any order, with arrival numbers from 1.
func Events(n int) *rapid.Generator[[]*query.Event] {
	return rapid.Custom(func(t *rapid.T) []*query.Event {
		events := make([]*query.Event, rapid.IntRange(0, n).Draw(t, "events"))
		for i := range events {
			events[i] = event(t, int64(i+1))
		}
		return events
	})
}

// Profiles draws a profile with up to 12 events.
func Profiles() *rapid.Generator[query.Profile] {
	return rapid.Custom(func(t *rapid.T) query.Profile {
		return query.Profile{Events: Events(12).Draw(t, "history"), Traits: TraitValues().Draw(t, "traits")}
	})
}

func event(t *rapid.T, arrival int64) *query.Event {
	at := Instants().Draw(t, "time")
	e := &query.Event{
		Name: rapid.SampledFrom(EventNames).Draw(t, "name"), Time: at, Arrival: arrival,
		ReceivedAt: at, Source: rapid.SampledFrom([]string{"web", "ios", "job"}).Draw(t, "source"),
	}
	if rapid.IntRange(0, 9).Draw(t, "bare") > 0 {
		e.Properties = jsontext.Value(object(t, map[string][]string{
			"amount": {"1", "2", "2.50", "0.1", "0.2", "-1", "10", `"2"`, `"2.5"`, `"many"`, "null", "true", "1e1", "12345678901234567890.5", `""`},
			"colour": {`"red"`, `"red"`, `"blue"`, `"Red"`, `""`, "null", `"it's"`, `"it\u0027s"`, "2"},
			"at":     {`"2026-03-20"`, `"2026-03-25T06:00:00Z"`, `"2026-03-25T08:00:00+02:00"`, `"2026-03-27"`, `"soon"`, "20260325"},
			"paid":   {"true", "false", `"true"`},
			"items": {
				"[]", "null", `[{"id":"red","qty":1},{"qty":2,"id":"blue"}]`, `[{"id":"red"}]`, `{"id":"red","qty":2.0}`,
				`["red",null,2]`, `[[{"id":1}],{"id":[1,2]}]`, `"red"`,
			},
			"shop": {`{"city":"red"}`, `{"city":null}`, `"red"`, `[{"city":"red"}]`},
			"a.b":  {`"red"`, "1"},
		}))
	}
	if rapid.IntRange(0, 2).Draw(t, "context") == 0 {
		e.Context = jsontext.Value(object(t, map[string][]string{
			"page": {`{"url":"red"}`, `{"url":"https://x.test/red"}`, "null"}, "ip": {`"1"`, "1"},
		}))
	}
	return e
}

// object draws the text of a JSON object with some of the members.
func object(t *rapid.T, members map[string][]string) string {
	var parts []string
	for _, key := range rapid.Permutation(sortedKeys(members)).Draw(t, "keys") {
		if rapid.Bool().Draw(t, "present") {
			parts = append(parts, fmt.Sprintf("%q: %s", key, rapid.SampledFrom(members[key]).Draw(t, key)))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// TraitValues draws the traits of a profile.
func TraitValues() *rapid.Generator[map[string]query.Value] {
	return rapid.Custom(func(t *rapid.T) map[string]query.Value {
		raw := object(t, map[string][]string{
			"amount":  {"1", "2", "2.5", `"2"`, "null", `"many"`, "1250"},
			"colour":  {`"red"`, `"blue"`, `""`, `"2026-03-25"`},
			"seen_at": {`"2026-03-25T06:00:00Z"`, `"2026-03-20"`, `"2026-03-24T23:59:59.5-01:00"`, `"2026-03-26T06:00"`, "17"},
			"due":     {`"2026-03-27"`, `"2026-03-30"`, `"2026-03-26T07:30:00Z"`, `"2026-04-01T00:00:00Z"`},
			"tags":    {`["red","blue"]`, `["red"]`, "[]", `"red"`, `[null]`, `["2026-03-25","2026-03-28"]`},
			"address": {`{"city":"red"}`, `{"city":2}`, `"red"`},
			"member":  {"true", "false", `"true"`},
			"a.b":     {`"red"`, "2"},
			"deals":   {`[{"at":"2026-03-25"},{"at":"2026-03-28T00:00:00Z"}]`, `{"at":"2026-03-26"}`},
		})
		v, err := query.ParseValue([]byte(raw))
		if err != nil {
			t.Fatalf("drew %s: %v", raw, err)
		}
		traits := make(map[string]query.Value)
		for _, key := range v.Keys() {
			traits[key] = v.Member(key)
		}
		return traits
	})
}

func sortedKeys(members map[string][]string) []string {
	keys := make([]string, 0, len(members))
	for key := range members {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
