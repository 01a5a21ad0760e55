package app_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"muster/app"
	"muster/config"
	"muster/engine"
	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
)

// Whatever happens, an explanation is what is stored: in the middle of backfills, between
// slots, after merges and deletions.
func TestPropertyExplainAgrees(t *testing.T) {
	pool := pgtest.New(t)
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}})
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, pool, fake)
		t.Repeat(map[string]func(*rapid.T){
			"": m.explainOne, "calls": m.calls, "meet": m.meet, "define": m.define, "change": m.change, "remove": m.remove,
			"forget": m.forget, "wait": m.wait, "slot": m.slot, "begin": m.begin, "step": m.step, "settle": m.settle,
		})
		m.settle(t)
		m.explain(t)
	})
}

// explainOne is explain for one of the persons and one of the computations.
func (m *machine) explainOne(t *rapid.T) {
	if len(m.world.people) > 0 && len(m.world.computations) > 0 {
		p := m.world.people[rapid.SampledFrom(slices.Sorted(maps.Keys(m.world.people))).Draw(t, "person")]
		m.explainValue(t, p, rapid.SampledFrom(m.world.computations).Draw(t, "explained"))
	}
}

func (m *machine) explain(t *rapid.T) {
	for _, p := range m.world.people {
		for _, c := range m.world.computations {
			m.explainValue(t, p, c)
		}
	}
}

func (m *machine) explainValue(t *rapid.T, p *person, c *computation) {
	x, err := app.Explain(t.Context(), m.app.Store, c.def.Key, p.links[0].ID, time.Time{}, m.now)
	if err != nil {
		t.Fatal(err)
	}
	if h, held := p.held[c.serial]; held != (x.Held != nil) || held && !x.Held.Value.Equal(h.value) {
		t.Fatalf("%s of %s: it is said to be %v and is %v", c.def.Key, p.links[0].ID, x.Held, h.value)
	}
	if x.Contradicts() {
		t.Fatalf("%s of %s as of %s is %v, explained as\n%s", c.def.Key, p.links[0].ID, x.AsOf, x.Value(), x.Tree.Render())
	}
}

// What a plan says of who enters and leaves is what applying it does, in computations that
// read those of the plan, too. A second plan changes nothing, and what is exported is what
// is computed.
func TestPropertyPlanIsWhatApplyDoes(t *testing.T) {
	pool := pgtest.New(t)
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}})
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, pool, fake)
		for range rapid.IntRange(1, 6).Draw(t, "before") {
			m.calls(t)
			m.meet(t)
			m.define(t)
		}
		m.settle(t)
		m.tick(m.now.Truncate(12 * time.Hour).Add(12 * time.Hour).Sub(m.now)) // a slot of all schedules
		m.settle(t)
		m.now = m.now.Add(-time.Second)
		m.tick(0)
		m.plan(t)
	})
}

func (m *machine) plan(t *rapid.T) {
	var desired engine.Desired
	var err error
	if desired.Definitions, err = app.Definitions(t.Context(), m.app.Store); err != nil {
		t.Fatal(err)
	}
	p, err := app.Plan(t.Context(), m.app.Store, desired, &engine.DryRun{}, 0, m.now)
	if err != nil || p.Changes() {
		t.Fatalf("what is there is planned to change: %+v, %v", p, err)
	}
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		def := drawDefinition(t, m.world)
		if n := slices.IndexFunc(desired.Definitions, func(d engine.Definition) bool { return d.Key == def.Key }); n >= 0 {
			desired.Definitions[n] = def
		} else {
			desired.Definitions = append(desired.Definitions, def)
		}
	}
	if chance(t, 4) {
		n := rapid.IntRange(0, len(desired.Definitions)-1).Draw(t, "removed")
		desired.Definitions = slices.Delete(desired.Definitions, n, n+1)
	}
	p, err = app.Plan(t.Context(), m.app.Store, desired, &engine.DryRun{Samples: 100}, 0, m.now)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Refused()) > 0 {
		if err := app.Apply(t.Context(), m.app.Store, desired, p, m.now); !errors.Is(err, app.ErrRefused) {
			t.Fatalf("%v were refused, and apply says %v", p.Refused(), err)
		}
		t.Skip("refused")
	}
	before := m.values(t)
	if err := app.Apply(t.Context(), m.app.Store, desired, p, m.now); err != nil {
		t.Fatal(err)
	}
	m.applied(t, desired)
	if err := m.app.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, schedule := range schedules { // those who read what was edited look at their next slot
		if _, err := m.app.Engine.RunSlot(t.Context(), schedule, m.now, m.now); err != nil {
			t.Fatal(err)
		}
	}
	m.compare(t, p, before, m.values(t))
}

// values are the values held, by key and profile; those of the members and of traits that
// have one.
func (m *machine) values(t *rapid.T) map[string]map[int64]string {
	rows, err := m.pool.Query(t.Context(), `
		SELECT c.key, v.profile_id, v.value FROM computed_values v JOIN computations c USING (computation_id)
		WHERE v.value <> 'null' AND NOT (c.kind = 'audience' AND v.value = 'false')`)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]map[int64]string)
	var key string
	var profile int64
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&key, &profile, &raw}, func() error {
		if values[key] == nil {
			values[key] = make(map[int64]string)
		}
		v, err := query.ParseValue(raw)
		values[key][profile] = v.String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// applied looks at what is defined after a plan was applied.
func (m *machine) applied(t *rapid.T, desired engine.Desired) {
	again, err := app.Plan(t.Context(), m.app.Store, desired, nil, 0, m.now)
	if err != nil || again.Changes() {
		t.Fatalf("applying twice changes something: %+v, %v", again, err)
	}
	have, err := app.Definitions(t.Context(), m.app.Store)
	if err != nil {
		t.Fatal(err)
	}
	text, err := config.Export(have).Text()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp("", "export-*.yaml") // a T of rapid has no folder
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	read, err := config.LoadDefinitions(file.Name(), func(string) (string, bool) { return "", false }, []string{"mixpanel"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	exported, err := app.Plan(t.Context(), m.app.Store, engine.Desired{Definitions: read.Definitions()}, nil, 0, m.now)
	if err != nil || exported.Changes() {
		t.Fatalf("what was exported is not what is there: %+v, %v\n%s", exported, err, text)
	}
}

// compare holds a plan to what it has become.
func (m *machine) compare(t *rapid.T, p *engine.Plan, before, after map[string]map[int64]string) {
	for _, s := range p.Steps {
		if s.Action == engine.ActionRemove {
			continue
		}
		var want engine.Effect
		for profile, value := range after[s.Key] {
			want.After++
			switch was, held := before[s.Key][profile]; {
			case !held:
				want.Entered++
			case was != value:
				want.Changed++
			}
		}
		for profile := range before[s.Key] {
			want.Before++
			if _, stays := after[s.Key][profile]; !stays {
				want.Exited++
			}
		}
		if s.Effect == nil {
			if want.Entered+want.Exited+want.Changed > 0 {
				t.Fatalf("%s %s: nothing was foreseen, and this became of it: %+v", s.Action, s.Key, want)
			}
			continue
		}
		got := *s.Effect
		if n := int64(len(got.Samples)); n != got.Entered+got.Exited+got.Changed {
			t.Fatalf("%s %s: %d samples of %+v", s.Action, s.Key, n, got)
		}
		got.Samples, got.IDTypes = nil, nil
		if diff := cmp.Diff(got, want); diff != "" {
			t.Fatalf("%s %s (-foreseen +became):\n%s\n%s", s.Action, s.Key, diff, fmt.Sprint(s.Effect.Samples))
		}
	}
}
