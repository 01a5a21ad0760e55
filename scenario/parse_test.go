package scenario_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"muster/engine"
	"muster/identity"
	"muster/query"
	"muster/scenario"
)

func user(v string) identity.ID  { return identity.ID{Type: identity.UserID, Value: v} }
func anon(v string) identity.ID  { return identity.ID{Type: identity.AnonymousID, Value: v} }
func email(v string) identity.ID { return identity.ID{Type: identity.Email, Value: v} }

func TestFaultsAreReportedAllAtOnce(t *testing.T) {
	_, err := scenario.Load(filepath.Join("testdata", "faults.yaml"))
	var faults scenario.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v, want Faults", err)
	}
	golden(t, "faults.golden", faults.Error()+"\n")
}

// parse reads the body of a scenario.
func parse(t *testing.T, body string) *scenario.Scenario {
	t.Helper()
	text := "format: engage-scenarios/1\nt0: 2026-02-02T00:00:00Z\nscenarios:\n- id: X\n" + indent(body)
	f, err := scenario.Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return f.Scenarios[0]
}

func indent(body string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n  ") + "\n"
}

func at(offset string) time.Time {
	o, err := scenario.ParseOffset(offset)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC).Add(time.Duration(o))
}

func TestParseEveryPart(t *testing.T) {
	s := parse(t, `
name: everything
status: ruling
rule: [R01, R02]
optional: funnel
note: "a remark"
t0: 2026-02-02
tick: 1h
identity: {limits: {anonymous_id: 100, email: {max: 5, period: weekly}}}
definitions:
- &vip {key: vip, kind: audience, query: "event('A').count() >= 1"}
- {key: ltv, kind: trait, query: "event('A').sum(property('x'))", include_anonymous: true, include_historical: false,
   emit: track, schedule: "*/5 * * * *", backfill_days: 7, id_strategy: last}
steps:
- at: "-1d12h"
  define:
  - <<: *vip
    query: "event('A').count() >= 2"
  events:
  - {type: track, userId: 007, event: A, properties: {x: 0.10, big: 12345678901234567890123, e: 1e3, h: 0x1F, t: "1.0", n: null}, ts: "+2d", repeat: 3, source: web}
  compute: true
  expect:
    members: [ana, "anon:v1", "email:Ana@X.test", "user:anon:odd"]
    traits: {ana: 1.50, bo: null, "anon:v1": [1, two]}
    emitted: [{def: ltv, to: "email:ana@x.test", value: null}]
    emitted_ids: {vip: {value: true, cover: ["user:ana", "anon:v1"]}}
    members_count: 2
    trait_sum: 1071805.47
    trait_count: {ltv: 3}
    rejected: []
- at: "+0d"
  remove: [vip]
  delete_profile: [ana]
  events_file: calls.ndjson
`)
	if got := s.Identity.Limits["anonymous_id"]; got.Max != 100 {
		t.Errorf("limit %v", got)
	}
	if got := s.Identity.Limits["email"]; got != (identity.Limit{Max: 5, Period: identity.Weekly}) {
		t.Errorf("limit %v", got)
	}
	told := []engine.ConnectionDefinition{{Destination: "mixpanel"}}
	equal(t, "definitions", s.Definitions, []engine.Definition{
		{Key: "vip", Kind: query.Audience, Query: "event('A').count() >= 1", IncludeHistorical: true, Connections: told},
		{
			Key: "ltv", Kind: query.Trait, Query: "event('A').sum(property('x'))", IncludeAnonymous: true, Schedule: "*/5 * * * *", BackfillDays: 7,
			Connections: []engine.ConnectionDefinition{{Destination: "mixpanel", Emit: engine.EmitTrack, Strategy: identity.Last}},
		},
	})
	equal(t, "rules", s.Rules, []string{"R01", "R02"})
	if s.Tick != time.Hour || s.Status != "ruling" || s.Note != "a remark" {
		t.Errorf("scenario %+v", s)
	}
	first, second := s.Steps[0], s.Steps[1]
	if !first.At.Equal(at("-1d12h")) || first.Offset.String() != "-1d12h" || !second.At.Equal(at("+0d")) {
		t.Errorf("steps at %v %v, %v", first.At, first.Offset, second.At)
	}
	equal(t, "edit", first.Define, []engine.Definition{
		{Key: "vip", Kind: query.Audience, Query: "event('A').count() >= 2", IncludeHistorical: true, Connections: told},
	})
	e := first.Events[0]
	equal(t, "call", string(e.Call), `{"type":"track","userId":7,"event":"A","properties":{"x":0.10,"big":12345678901234567890123,"e":1e3,"h":31,"t":"1.0","n":null}}`)
	if !e.At.Equal(at("+2d")) || e.Repeat != 3 || e.Source != "web" {
		t.Errorf("event %+v", e)
	}
	equal(t, "expectation", first.Expect, scenario.Expectation{
		Members: map[string][]identity.ID{"vip": {user("ana"), anon("v1"), email("ana@x.test"), user("anon:odd")}},
		Traits: map[string]map[identity.ID]query.Value{"ltv": {
			user("ana"): value("1.5"), anon("v1"): value(`[1,"two"]`),
		}},
		Emitted:      []scenario.Emission{{Key: "ltv", To: email("ana@x.test"), Value: query.Null()}},
		Covered:      map[string]scenario.Cover{"vip": {Value: query.Bool(true), IDs: []identity.ID{user("ana"), anon("v1")}}},
		MembersCount: map[string]int{"vip": 2},
		TraitSum:     map[string]decimal.Decimal{"ltv": decimal.RequireFromString("1071805.47")},
		TraitCount:   map[string]int{"ltv": 3},
		Rejected:     []string{},
	})
	equal(t, "remove", second.Remove, []string{"vip"})
	equal(t, "delete_profile", second.DeleteProfile, []identity.ID{user("ana")})
	equal(t, "events_file", second.EventsFile, "calls.ndjson")
	if second.Compute {
		t.Error("the second step settles")
	}
}

func value(text string) query.Value {
	v, err := query.ParseValue([]byte(text))
	if err != nil {
		panic(err)
	}
	return v
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	compare := cmp.Options{cmp.Comparer(query.Value.Equal), cmp.Comparer(decimal.Decimal.Equal)}
	if d := cmp.Diff(want, got, compare); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestShortForms(t *testing.T) {
	const (
		audience = `{key: a, kind: audience, query: "event('A').count() >= 1"}`
		second   = `{key: b, kind: audience, query: "event('A').count() >= 1"}`
		trait    = `{key: t, kind: trait, query: "event('A').count()"}`
		object   = `{key: o, kind: trait, query: "event('A').last(property('x'))"}`
	)
	ana := []identity.ID{user("ana")}
	for _, c := range []struct {
		name, definitions, expect string
		want                      scenario.Expectation
	}{
		{
			"the only audience", audience + ", " + trait, "{members: [ana]}",
			scenario.Expectation{Members: map[string][]identity.ID{"a": ana}},
		},
		{
			"nobody in any audience", audience + ", " + second, "{members: []}",
			scenario.Expectation{Members: map[string][]identity.ID{"a": {}, "b": {}}},
		},
		{
			"by key", audience + ", " + second, "{members: {b: [ana], a: }}",
			scenario.Expectation{Members: map[string][]identity.ID{"a": {}, "b": ana}},
		},
		{
			"no value of any trait", trait + ", " + object, "{traits: {}}",
			scenario.Expectation{Traits: map[string]map[identity.ID]query.Value{"t": {}, "o": {}}},
		},
		{
			"traits by key", trait + ", " + object, "{traits: {t: {ana: 1}}}",
			scenario.Expectation{Traits: map[string]map[identity.ID]query.Value{"t": {user("ana"): value("1")}}},
		},
		{
			"a value that is an object", object, "{traits: {ana: {k: 1}}}",
			scenario.Expectation{Traits: map[string]map[identity.ID]query.Value{"o": {user("ana"): value(`{"k":1}`)}}},
		},
		{
			"a user whose id is a key", trait, "{traits: {t: 1}}",
			scenario.Expectation{Traits: map[string]map[identity.ID]query.Value{"t": {user("t"): value("1")}}},
		},
		{
			"the only definition", trait, `{emitted: [{to: "user:ana", value: 1}]}`,
			scenario.Expectation{Emitted: []scenario.Emission{{Key: "t", To: user("ana"), Value: value("1")}}},
		},
		{"nothing sent", trait, "{emitted: []}", scenario.Expectation{Emitted: []scenario.Emission{}}},
		{"nothing checked", trait, "{}", scenario.Expectation{}},
		{
			"a refused one does not count", audience + ", " + second, "{rejected: [b], members: [ana]}",
			scenario.Expectation{Rejected: []string{"b"}, Members: map[string][]identity.ID{"a": ana}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, "definitions: ["+c.definitions+"]\nsteps:\n- {at: +0d, compute: true, expect: "+c.expect+"}")
			equal(t, "expectation", s.Steps[0].Expect, c.want)
		})
	}
}

func TestShortFormsAfterRemovalAndRefusal(t *testing.T) {
	s := parse(t, `
definitions: [{key: a, kind: audience, query: "event('A').count() >= 1"}, {key: b, kind: audience, query: "event('A').count() >= 1"}]
steps:
- at: +0d
- {at: +1d, remove: [a], expect: {members: [ana]}}
- {at: +2d, define: [{key: b, kind: audience, query: "trait('b') = 1"}], expect: {rejected: [b], members: [bo]}}
- {at: +3d, remove: [b], expect: {members: []}}
`)
	equal(t, "the one that is left", s.Steps[1].Expect.Members, map[string][]identity.ID{"b": {user("ana")}})
	equal(t, "the one whose edit is refused", s.Steps[2].Expect.Members, map[string][]identity.ID{"b": {user("bo")}})
	equal(t, "none is left", s.Steps[3].Expect.Members, map[string][]identity.ID{"a": {}, "b": {}})
}

func TestFilesThatAreNone(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	bomb := "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 10), ", ") + "]\n"
	}
	head := "format: engage-scenarios/1\nt0: 2026-02-02\nscenarios:\n- id: X\n  definitions: [{key: a, kind: audience, query: q}]\n  steps:\n  - at: +0d\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "x.yaml:1:1: the file is empty"},
		"only a comment":   {"# nothing\n", "x.yaml:1:1: the file is empty"},
		"not UTF-8":        {"format: \xff", "x.yaml:1:1: the file is not text in UTF-8"},
		"two documents":    {"format: a\n---\nformat: b\n", "x.yaml:3:1: a file holds one YAML document"},
		"a list":           {"- a\n", "must be a mapping"},
		"not YAML":         {"format: [1\nt0: 2\n", "x.yaml:2:1: "},
		"a key twice":      {"format: a\nformat: b\n", "x.yaml:2:1: "},
		"another format":   {"format: engage-scenarios/2\n", `the format is "engage-scenarios/2"`},
		"unknown alias":    {head + "    events: *none\n", ""},
		"alias of itself":  {head + "    events: [&x {type: track, userId: u, event: A, properties: {p: *x}}]\n", "x.yaml:8:"},
		"tag":              {head + "    events: !!seq []\n", "tags are not used here"},
		"nested too deep":  {head + "    events: [{type: track, userId: u, event: A, properties: {p: " + deep + "}}]\n", "nested too deep"},
		"aliases explode":  {strings.Replace(head, "scenarios:", bomb+"scenarios:", 1) + "    events: [{type: track, userId: u, event: A, properties: {p: *k}}]\n", "too large"},
		"no t0":            {"format: engage-scenarios/1\nscenarios: [{id: X, steps: [{at: +0d}]}]\n", "there is no t0"},
		"before 1970":      {head + "  - at: -99999d\n", "outside of the years 1970 to 9999"},
		"emitted unasked":  {head + "    expect: {emitted: []}\n", "the step does not settle"},
		"merge of nothing": {head + "    events: [{<<: 3}]\n", "must be a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := scenario.Parse("x.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.500v\nwant %s", err, c.want)
			}
			if n := len(err.Error()); n > 5000 {
				t.Errorf("the fault has %d bytes", n)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestLoadLooksForFilesOfCalls(t *testing.T) {
	dir := t.TempDir()
	text := "format: engage-scenarios/1\nt0: 2026-02-02\nscenarios:\n- id: X\n  steps:\n  - {at: +0d, events_file: calls.ndjson}\n"
	path := filepath.Join(dir, "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scenario.Load(path); err == nil || !strings.Contains(err.Error(), "x.yaml:6:28: the file of calls cannot be read") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "calls.ndjson"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scenario.Load(path); err != nil {
		t.Error(err)
	}
	if _, err := scenario.Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	// Small ones: large inputs take the fuzzer minutes to shrink.
	for _, body := range []string{
		"steps: [{at: +0d, events: [{type: track, userId: u, event: A, ts: -1d, repeat: 2}], compute: true}]",
		"definitions: [{key: a, kind: trait, query: q, emit: track}]\nsteps: [{at: +0d, compute: true, expect: {traits: {u: [1, {x: 1e3}]}, trait_sum: 1.5}}]",
		"definitions: [&d {key: a, kind: audience, query: q}]\nsteps:\n- at: +0d\n  define: [{<<: *d, query: p}]\n  expect: {members: {a: [u, 'anon:v']}, rejected: [a]}",
		"identity: {limits: {email: {max: 5, period: weekly}}}\ntick: 1h\nsteps:\n- {at: +0d, remove: [x], delete_profile: [u], events_file: f}",
		"&a {<<: *a, steps: [{at: +0d, events: [{? x : |\n  text\n}]}]}",
	} {
		f.Add([]byte("format: engage-scenarios/1\nt0: 2026-02-02\nscenarios:\n- id: X\n" + indent(body)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := scenario.Parse("x.yaml", text)
		if err != nil {
			var faults scenario.Faults
			if !errors.As(err, &faults) || len(faults) == 0 || faults.Error() == "" {
				t.Errorf("an error that is no fault: %v", err)
			}
			return
		}
		for _, s := range file.Scenarios {
			if len(s.Steps) == 0 || s.ID == "" || s.T0.IsZero() {
				t.Errorf("scenario %+v", s)
			}
			for i, st := range s.Steps {
				if i > 0 && st.At.Before(s.Steps[i-1].At) {
					t.Errorf("step %d goes back in time", i+1)
				}
			}
		}
	})
}
