package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"muster/query"
)

// person is a profile with events "name@age{properties}", ages counted back from now.
func person(t testing.TB, traitsJSON string, events ...string) query.Profile {
	t.Helper()
	p := query.Profile{}
	if traitsJSON != "" {
		p.Traits = traits(t, traitsJSON)
	}
	for i, text := range events {
		name, rest, _ := strings.Cut(text, "@")
		age, properties, found := strings.Cut(rest, "{")
		d, err := time.ParseDuration(age)
		if err != nil {
			t.Fatal(err)
		}
		e := &query.Event{Name: name, Time: now.Add(-d), Arrival: int64(i), Source: "web"}
		if found {
			e.Properties = []byte("{" + properties)
		}
		p.Events = append(p.Events, e)
	}
	return p
}

func TestComparisons(t *testing.T) {
	p := person(t, `{"n":2,"s2":"2","s2.0":"2.0","text":"Abc","empty":"","yes":true,"no":false,"null":null,
		"day":"2026-03-31","noon":"2026-03-31T12:00:00Z","east":"2026-03-31T14:00:00+02:00","naive":"2026-03-31T12:00:00","loose":"2026-3-1",
		"list":["a","b",null,2],"none":[],"nulls":[null],"map":{"b":1,"a":"x"},"maps":[{"k":"a"},{"k":["b","c"]},{}],
		"mixed":"10","big":"12345678901234567890","old":"2026-03-01"}`)
	for text, want := range map[string]bool{
		// Equality: numbers if either side is one, else text.
		`trait('n') = 2`: true, `trait('n') = 2.0`: true, `trait('n') = '2'`: true, `trait('n') = '2.0'`: true, `trait('n') = 'two'`: false,
		`trait('s2') = 2`: true, `trait('s2\.0') = '2'`: false, `trait('s2\.0') = 2`: true, `trait('s2') = trait('n')`: true, `trait('s2') = trait('s2\.0')`: false,
		`trait('text') = 'abc'`: false, `trait('text') = 'Abc'`: true, `trait('text') = ' Abc'`: false,
		`trait('yes') = 'true'`: true, `trait('yes') = true`: true, `trait('no') = false`: true, `trait('no') != true`: true, `trait('yes') = 1`: false, `trait('yes') != 1`: true,
		`trait('empty') = ''`: true, `trait('empty').exists()`: true, `trait('empty') != 'x'`: true, `trait('empty').omits('')`: false, `trait('empty').contains('')`: true,
		`trait('big') = 12345678901234567890`: true, `trait('big') = 12345678901234567891`: false,
		// Time literals make it instants.
		`trait('noon') = 2026-03-31T12:00:00Z`: true, `trait('east') = 2026-03-31T12:00:00Z`: true, `trait('east') = '2026-03-31T12:00:00Z'`: false,
		`trait('naive') = 2026-03-31T12:00:00Z`: true, `trait('day') = 2026-03-31`: true, `trait('day') = 2026-03-31T00:00:00Z`: true, `trait('noon') != 2026-03-31`: true,
		`trait('text') = 2026-03-31`: false, `trait('n') = 2026-03-31`: false, `trait('east').one_of(2026-03-30, 2026-03-31T12:00:00Z)`: true,
		// Order: numbers, else times, else none.
		`trait('n') > 1`: true, `trait('n') > '1'`: true, `trait('mixed') > '9'`: true, `trait('text') > 'Aaa'`: false, `trait('text') < 'Zzz'`: false,
		`trait('yes') >= 'true'`: false, `trait('day') < trait('noon')`: true, `trait('noon') <= trait('east')`: true, `trait('east') > '2026-03-31'`: true,
		`trait('loose') < '2027-01-01'`: false, `trait('n') < '2026-01-01'`: false, `trait('mixed') > 2026-01-01`: false,
		// Null on either side.
		`trait('null') = ''`: false, `trait('null') != 'x'`: false, `NOT trait('null') = 'x'`: true, `trait('null').absent()`: true, `trait('gone').absent()`: true,
		`trait('null').omits('x')`: true, `trait('null').none_of('x')`: false, `trait('null') > 0`: false, `trait('null') < 1`: false, `trait('null').contains('')`: false,
		`trait('n') = trait('gone')`: false, `trait('n') != trait('gone')`: false, `trait('n').none_of(trait('gone'))`: false, `trait('n').none_of(trait('gone'), 3)`: true,
		`trait('n').one_of(trait('gone'), 2)`: true, `trait('n').omits(trait('gone'))`: true, `trait('n').contains(trait('gone'))`: false, `trait('gone') = trait('null')`: false,
		// Text.
		`trait('text').contains('b')`: true, `trait('text').contains('B')`: false, `trait('text').contains('x', 'bc')`: true, `trait('text').omits('x')`: true, `trait('text').omits('b')`: false,
		`trait('text').starts_with('Ab')`: true, `trait('text').ends_with('bc')`: true, `trait('text').ends_with('Bc')`: false, `trait('n').starts_with('2')`: true, `trait('n').contains(2.0)`: true,
		`trait('text').one_of('x', 'Abc')`: true, `trait('text').one_of('x')`: false, `trait('text').none_of('x', 'y')`: true, `trait('text').none_of('x', 'Abc')`: false, `trait('n').none_of('2.0')`: false,
		// Arrays and objects are their text, and under $ one of several.
		`trait('list') = '["a","b",null,2]'`: true, `trait('list').contains('a')`: true, `trait('map') = '{"a":"x","b":1}'`: true, `trait('map.b') = 1`: true, `trait('map.c').absent()`: true,
		`trait('list.$') = 'a'`: true, `trait('list.$') = 'c'`: false, `trait('list.$') != 'a'`: true, `NOT trait('list.$') = 'a'`: false, `trait('list.$') > 1`: true,
		`trait('none.$').absent()`: true, `trait('none').absent()`: false, `trait('nulls.$').exists()`: false, `trait('none.$') != 'a'`: false, `trait('none.$').omits('a')`: true,
		`trait('text.$') = 'Abc'`: true, `trait('text.$').exists()`: true, `trait('list.0') = 'a'`: false, `trait('list.a').exists()`: false,
		`trait('maps.$.k') = 'a'`: true, `trait('maps.$.k') = '["b","c"]'`: true, `trait('maps.$.k.$') = 'c'`: true, `trait('map.$.a') = 'x'`: true,
		`trait('list.$').omits('a')`: false, `trait('list.$').omits('z')`: true, `trait('list.$').none_of('a')`: true, `trait('list.$').none_of('a', 'b', 2)`: false,
		`trait('text') = trait('list.$')`: false, `trait('n') = trait('list.$')`: true, `trait('n').one_of(trait('list.$'))`: true, `trait('n').none_of(trait('list.$'))`: false,
		// Dates.
		`trait('day').before_date(2026-04-01)`: true, `trait('day').before_date(2026-03-31)`: false, `trait('day').after_date(2026-03-31)`: false, `trait('noon').after_date(2026-03-31)`: true,
		`trait('noon').after_date(trait('day'))`: true, `trait('n').before_date(2030-01-01)`: false, `trait('text').before_date(2030-01-01)`: false, `trait('day').before_date('soon')`: false,
		`trait('day').within_last(1 day)`: true, `trait('day').within_next(1 day)`: true, `trait('day').within_next(24 hours)`: false, `trait('day').within_last(12 hours)`: true, `trait('day').within_last(11 hours)`: false,
		`trait('noon').within_last(1 second)`: true, `trait('noon').within_next(1 second)`: true, `trait('old').before_last(30 days)`: true, `trait('old').before_last(31 days)`: false, `trait('old').before_last(720 hours)`: true,
		`trait('noon').before_last(1 hour)`: false, `trait('noon').after_next(1 hour)`: false, `trait('text').within_last(9 days)`: false, `trait('list.$').within_last(9 days)`: false,
	} {
		d := compile(t, text, query.CheckOptions{})
		if got := d.Eval(p, now).AsBool(); got != want {
			t.Errorf("%s is %v\n%s", text, got, d.Explain(p, now).Render())
		}
	}
}

// at gives the audience's value at offsets from now.
func at(t testing.TB, text string, p query.Profile, want map[string]bool) {
	t.Helper()
	d := compile(t, text, query.CheckOptions{})
	for offset, want := range want {
		by, err := time.ParseDuration(offset)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Eval(p, now.Add(by)).AsBool(); got != want {
			t.Errorf("%s at %s is %v", text, offset, got)
		}
	}
}

func TestWindows(t *testing.T) {
	p := person(t, "", "A@0s", "A@-48h")
	at(t, `event('A').within(2 hours).count() = 1`, p, map[string]bool{
		"-1ns": false, "0s": true, "2h": true, "2h1ns": false, "48h": true, "47h59m59s": false,
	})
	at(t, `event('A').between(1 hour, 2 hours).count() = 1`, p, map[string]bool{
		"59m59s": false, "1h": true, "2h": true, "2h1ns": false, "49h": true,
	})
	// Without a window, what is stamped in the future counts at once.
	at(t, `event('A').count() = 2`, p, map[string]bool{"-1h": true, "0s": true})
	at(t, `event('A').within(1 hour).between(2 hours, 3 hours).count() = 0`, p, map[string]bool{"1h": true, "2h": true, "150m": true})
	day := person(t, `{"due":"2026-04-03"}`)
	at(t, `trait('due').within_next(2 days)`, day, map[string]bool{
		"0s": false, "11h59m59s": false, "12h": true, "83h59m59s": true, "84h": false,
	})
}

func TestFunnels(t *testing.T) {
	abandoned := `event('Held').where(NOT event('Bought').within(parent: 1 hour).count() >= 1).count() >= 1`
	for _, row := range []struct {
		text   string
		events []string
		want   bool
	}{
		{`event('Held').where(event('Bought').count() >= 1).count() >= 1`, []string{"Held@2h", "Bought@1h"}, true},
		{`event('Held').where(event('Bought').count() >= 1).count() >= 1`, []string{"Bought@2h", "Held@1h"}, false},
		{`event('Held').where(event('Bought').count() >= 1).count() >= 1`, []string{"Bought@1h", "Held@1h"}, false}, // strictly later
		{`event('Held').where(event('Held').count() >= 1).count() = 1`, []string{"Held@1h", "Held@2h"}, true},
		{`event('Held').where(event('Bought').within(parent: 1 hour).count() >= 1).count() >= 1`, []string{"Held@2h", "Bought@1h"}, true},
		{`event('Held').where(event('Bought').within(parent: 3599 seconds).count() >= 1).count() >= 1`, []string{"Held@2h", "Bought@1h"}, false},
		{`event('Held').where(event('Bought').between(parent: 1 hour, 2 hours).count() = 2).count() >= 1`, []string{"Held@2h", "Bought@1h", "Bought@0s", "Bought@61m"}, true},
		{`event('Held').where(event('Bought').within(30 minutes).count() >= 1).count() >= 1`, []string{"Held@2h", "Bought@1h"}, false},
		{abandoned, []string{"Held@5h", "Bought@4h30m"}, false},
		{abandoned, []string{"Held@5h", "Bought@4h30m", "Held@2h"}, true}, // held again
		{abandoned, []string{"Held@10m"}, true}, // still open, nothing yet
		{
			`event('A').where(event('B').where(property('k') = property(parent: 'k') AND event('C').where(property('k') = property(parent: 'k')).within(parent: 1 hour).count() = 1).count() >= 1).count() = 1`,
			[]string{`A@9h{"k":1}`, `A@9h{"k":2}`, `B@8h{"k":1}`, `B@7h{"k":2}`, `C@6h30m{"k":2}`, `C@7h30m{"k":2}`, `C@5h{"k":1}`},
			true,
		},
		{`event('Held').where(event('Bought').sum(property('n')) > 5).count() = 1`, []string{"Held@3h", `Bought@2h{"n":3}`, `Bought@1h{"n":"4"}`, "Held@90m"}, true},
		{`event('Held').where(property('n') <= event('Bought').max(property('n'))).count() = 1`, []string{`Held@3h{"n":4}`, `Held@3h{"n":9}`, `Bought@2h{"n":5}`}, true},
	} {
		d := compile(t, row.text, query.CheckOptions{})
		p := person(t, "", row.events...)
		if got := d.Eval(p, now).AsBool(); got != row.want {
			t.Errorf("%s of %v is %v", row.text, row.events, got)
		}
		if d.Class == query.Scheduled != strings.Contains(row.text, ".within(30 minutes)") {
			t.Errorf("%s is %s", row.text, d.Class)
		}
	}
}

func TestReducers(t *testing.T) {
	p := person(t, "",
		`A@5h{"n":10,"s":"b","l":["x","y"],"o":[{"k":1},{"k":2}]}`, `A@4h{"n":"9","s":"a","l":["y"],"o":{"k":2}}`, `A@4h{"n":100,"s":null,"l":[]}`,
		`A@3h{"n":true,"s":"b","l":["x","y"]}`, `A@2h{"n":"many","s":""}`, `A@1h`)
	for text, want := range map[string]string{
		`count()`: `6`, `sum(property('n'))`: `119`, `avg(property('n'))`: `39.6666666666667`, `min(property('n'))`: `9`, `max(property('n'))`: `100`,
		`min(property('n') as string)`: `"10"`, `max(property('n') as string)`: `"true"`, `max(property('s') as string)`: `"b"`, `min(property('s') as string)`: `""`,
		`first(property('n'))`: `10`, `last(property('n'))`: `"many"`, `first(property('s'))`: `"b"`, `last(property('s'))`: `""`, `last(property('l'))`: `["x","y"]`,
		`first(property('l.$'))`: `"x"`, `last(property('l.$'))`: `"y"`, `first(property('missing'))`: `null`,
		`mode(property('s'))`: `"b"`, `mode(property('s'), 3)`: `null`, `mode(property('n'), 1)`: `"10"`, `mode(property('n') as number, 1)`: `10`, `mode(property('n') as number, 2)`: `null`,
		`mode(property('l.$'), 2)`: `"y"`, `mode(property('l.$') as array, 2)`: `"[\"x\",\"y\"]"`, `mode(property('l'), 2)`: `"[\"x\",\"y\"]"`, `mode(property('o.$.k') as number, 2)`: `2`,
		`mode(property('o.$.k') as array, 1)`: `"[1,2]"`,
		`unique(property('s'))`:               `["","a","b"]`, `unique(property('n'))`: `["10","100","9","many","true"]`, `unique(property('l.$'))`: `["x","y"]`, `unique(property('missing'))`: `null`,
		`unique(property('missing')).count()`: `0`, `unique(property('l.$')).count()`: `2`, `sum(property('o.$.k'))`: `5`, `sum(property('s'))`: `null`,
	} {
		text = "event('A')." + text
		if got := compile(t, text, query.CheckOptions{Purpose: query.Trait}).Eval(p, now).String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestFirstAndLastBreakTiesByArrival(t *testing.T) {
	p := person(t, "", `A@1h{"n":1}`, `A@1h{"n":2}`)
	p.Events[0].Arrival, p.Events[1].Arrival = 9, 3
	for text, want := range map[string]int64{`event('A').first(property('n'))`: 2, `event('A').last(property('n'))`: 1} {
		if got := compile(t, text, query.CheckOptions{Purpose: query.Trait}).Eval(p, now); !got.Equal(query.Int(want)) {
			t.Errorf("%s is %v, want %d", text, got, want)
		}
	}
}

func TestSessions(t *testing.T) {
	p := person(t, "", `A@100h{"k":1}`, `A@50h{"k":1}`, `A@48h{"k":2}`, `A@47h{"k":1}`)
	for text, want := range map[string]string{
		`event('A').expires_after(2 hours).count()`:                                    "3",
		`event('A').expires_after(1 hour).count()`:                                     "2",
		`event('A').expires_after(90 minutes).where(property('k') = 2).count()`:        "1",
		`event('A').where(property('k') = 1).expires_after(2 hours).count()`:           "1",
		`event('A').where(property('k') = 1).expires_after(3 hours).count()`:           "2",
		`event('A').expires_after(2 hours).within(48 hours).count()`:                   "2",
		`event('A').within(49 hours).expires_after(2 hours).count()`:                   "2",
		`event('A').expires_after(90 days).expires_after(1 hour).first(property('k'))`: "2",
		`event('B').expires_after(1 hour).count()`:                                     "0",
		`event('A').where(event('A').expires_after(1 hour).count() = 2).count()`:       "2",
	} {
		if got := compile(t, text, query.CheckOptions{Purpose: query.Trait}).Eval(p, now).String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestUniqueKeepsAtMost(t *testing.T) {
	p := query.Profile{}
	for i := range query.MaxUnique + 5 {
		p.Events = append(p.Events, &query.Event{Name: "A", Time: now, Arrival: int64(i), Properties: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	d := compile(t, `event('A').unique(property('n'))`, query.CheckOptions{Purpose: query.Trait})
	if got := len(d.Eval(p, now).Elements()); got != query.MaxUnique {
		t.Errorf("a unique list keeps %d values, want %d", got, query.MaxUnique)
	}
}

// Text that is not JSON, or not an object, has no properties, and harms nobody.
func TestBrokenProperties(t *testing.T) {
	d := compile(t, `event('A').where(property('a.b').absent() AND property('l.$.x').absent()).count() = 1`, query.CheckOptions{})
	for _, raw := range []string{
		``, `null`, `[]`, `"a"`, `1`, `{`, `{"a`, `{"a":`, `{"a":}`, `{"a":{"b"`, `{"a":{"b":`, `{a:1}`, `{"a" 1}`, `}`, `{"a":{]}`, `{"l":[`, `{"l":[}`,
		`{"l":[{"x"`, `{"a":{"b":null}}`, `{"a":{"b"}}`, `{"z":[1,{"y":"}"}],,"a"`, "\x00", `{"\`, `{"a\`, `{"a\":1}`, strings.Repeat(`{"a":`, 5000), strings.Repeat(`{"l":[`, 5000),
	} {
		p := query.Profile{Events: []*query.Event{{Name: "A", Time: now, Properties: []byte(raw)}}}
		if !d.Eval(p, now).AsBool() {
			t.Errorf("properties %.40q have a value", raw)
		}
	}
}
