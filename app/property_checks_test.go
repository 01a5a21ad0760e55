package app_test

import (
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"muster/engine"
	"muster/identity"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
)

// match finds the persons' numbers in the store: the same ids must be together.
func (m *machine) match(t *rapid.T) {
	owners := make(map[identity.ID]int64)
	rows, err := m.pool.Query(t.Context(), `SELECT id_type, id_value, profile_id FROM id_owners`)
	if err != nil {
		t.Fatal(err)
	}
	var id identity.ID
	var profile int64
	if _, err := pgx.ForEachRow(rows, []any{&id.Type, &id.Value, &profile}, func() error { owners[id] = profile; return nil }); err != nil {
		t.Fatal(err)
	}
	taken := make(map[int64]bool)
	for _, p := range m.world.people {
		p.stored = owners[p.links[0].ID]
		if p.stored == 0 || taken[p.stored] {
			t.Fatalf("%v is profile %d", p.links, p.stored)
		}
		taken[p.stored] = true
		for _, l := range p.links {
			if owners[l.ID] != p.stored {
				t.Fatalf("%s belongs to %d, want %d", l.ID, owners[l.ID], p.stored)
			}
			delete(owners, l.ID)
		}
	}
	if len(owners) > 0 {
		t.Fatalf("ids of nobody: %v", owners)
	}
}

// check compares what is stored.
func (m *machine) check(t *rapid.T) {
	type place struct {
		profile int64
		key     string
	}
	want, got := make(map[place]string), make(map[place]string)
	for _, p := range m.world.people {
		for _, c := range m.world.computations {
			if h, ok := p.held[c.serial]; ok {
				want[place{p.stored, c.def.Key}] = h.value.String()
			}
		}
	}
	rows, err := m.pool.Query(t.Context(), `SELECT v.profile_id, c.key, v.value FROM computed_values v JOIN computations c USING (computation_id)`)
	if err != nil {
		t.Fatal(err)
	}
	var at place
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&at.profile, &at.key, &raw}, func() error {
		v, err := query.ParseValue(raw)
		got[at] = v.String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("values (-want +got):\n%s", diff)
	}
}

// line is a line of the ledger.
type line struct {
	ids   identity.Combination
	value query.Value
	at    time.Time
}

// toldAll compares the ledger with the values, and what the fake holds with the ledger.
func (m *machine) toldAll(t *rapid.T) {
	ledger := make(map[int64]map[string][]line) // by profile and key
	rows, err := m.pool.Query(t.Context(), `
		SELECT l.profile_id, c.key, l.ids, l.value, l.told_at
		FROM ledger l JOIN connections n USING (connection_id) JOIN computations c USING (computation_id) WHERE n.removed_at IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	var profile int64
	var key, ids string
	var raw []byte
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&profile, &key, &ids, &raw, &at}, func() error {
		combination, err := identity.ParseCombination(ids)
		if err != nil {
			return err
		}
		v, err := query.ParseValue(raw)
		if ledger[profile] == nil {
			ledger[profile] = make(map[string][]line)
		}
		ledger[profile][key] = append(ledger[profile][key], line{combination, v, at})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range m.world.people {
		for _, c := range m.world.computations {
			if len(c.def.Connections) == 0 {
				continue
			}
			lines := ledger[p.stored][c.def.Key]
			if !p.waiting[c.serial] && !c.rests && c.current != nil {
				m.agrees(t, p, c, lines)
				m.toldAgain(t, p, c, lines)
			}
			if !c.tracked {
				m.holds(t, c.def.Key, lines)
			}
		}
	}
	m.takenBack(t)
	if n := m.count(t, `SELECT count(*) FROM dead_letters WHERE kind <> 'undeliverable'`); n > 0 {
		t.Fatalf("%d dead letters", n)
	}
	if raw, deduped := m.fake.EventCount(token, mixpaneltest.Raw), m.fake.EventCount(token, mixpaneltest.Deduped); raw != deduped {
		t.Fatalf("%d events were sent, of which %d are different", raw, deduped)
	}
	if v := m.fake.Violations(); len(v) > 0 {
		t.Fatalf("Mixpanel's rules were broken: %v", v)
	}
}

// toldAgain looks whether a resync told everything, also those who merged during it.
func (m *machine) toldAgain(t *rapid.T, p *person, c *computation, lines []line) {
	began, ok := m.resynced[c.def.Key]
	if !ok || off(p.held[c.serial].value) {
		return
	}
	for _, ids := range identity.FanOut(p.links, c.def.IncludeAnonymous, c.def.Connections[0].Strategy).Combinations {
		if !slices.ContainsFunc(lines, func(l line) bool { return l.ids == ids && !l.at.Before(began) }) {
			t.Fatalf("profile %d, %s: %s was not told again since %s: %v", p.stored, c.def.Key, ids, began, lines)
		}
	}
}

// takenBack looks whether cleanups left nobody believing, and whether Mixpanel forgot the
// property where nothing tells it any more.
func (m *machine) takenBack(t *rapid.T) {
	if n := m.count(t, `SELECT count(*) FROM retellings WHERE finished_at IS NULL`); n > 0 {
		t.Fatalf("%d retellings are not over", n)
	}
	rows, err := m.pool.Query(t.Context(), `
		SELECT DISTINCT ON (l.ids) c.key, r.kind, n.emit, l.ids, l.value, l.profile_id
		FROM retellings r JOIN connections n USING (connection_id) JOIN computations c USING (computation_id) JOIN ledger l USING (connection_id)
		WHERE n.removed_at IS NOT NULL AND r.kind <> 'resync' ORDER BY l.ids, r.retelling_id DESC`)
	if err != nil {
		t.Fatal(err)
	}
	var key, kind, emit, ids string
	var value []byte
	var profile int64
	_, err = pgx.ForEachRow(rows, []any{&key, &kind, &emit, &ids, &value, &profile}, func() error {
		if v, err := query.ParseValue(value); err != nil || !off(v) || kind == "unset" && !v.IsNull() {
			t.Fatalf("profile %d, %s of %s: it still says %s after the cleanup (%s): %v", profile, key, ids, value, kind, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// agrees compares the ledger with a value: who has to know it knows it.
func (m *machine) agrees(t *rapid.T, p *person, c *computation, lines []line) {
	value := p.held[c.serial].value
	on := !value.IsNull() && (c.def.Kind == query.Trait || value.AsBool())
	if !on {
		for _, l := range lines {
			if !l.value.IsNull() && !l.value.Equal(query.Bool(false)) {
				t.Fatalf("profile %d, %s: %s still believes %s", p.stored, c.def.Key, l.ids, l.value)
			}
		}
		return
	}
	for _, ids := range identity.FanOut(p.links, c.def.IncludeAnonymous, c.def.Connections[0].Strategy).Combinations {
		if !slices.ContainsFunc(lines, func(l line) bool { return l.ids == ids && l.value.Equal(value) }) {
			t.Fatalf("profile %d, %s: %s was not told %s: %v", p.stored, c.def.Key, ids, value, lines)
		}
	}
}

// holds compares what the fake holds under each distinct id with what it was told last.
func (m *machine) holds(t *rapid.T, key string, lines []line) {
	last := make(map[string]line)
	for _, l := range lines {
		id := l.ids.UserID + l.ids.AnonymousID
		if have, ok := last[id]; !ok || l.at.After(have.at) {
			last[id] = l
		}
	}
	for id, l := range last {
		var want any
		if err := json.Unmarshal(l.value.AppendJSON(nil), &want); err != nil {
			t.Fatal(err)
		}
		profile, _ := m.fake.Profile(token, id)
		if diff := cmp.Diff(want, profile.Properties[key]); diff != "" {
			t.Fatalf("%s of %s in Mixpanel (-told +holds):\n%s", key, id, diff)
		}
	}
}

func (m *machine) count(t *rapid.T, statement string) (n int) {
	if err := m.pool.QueryRow(t.Context(), statement).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// verify lets the product verify itself.
func (m *machine) verify(t *rapid.T) {
	report, err := m.app.Engine.Verify(t.Context(), engine.VerifyOptions{}, m.now, func(d engine.Difference) { t.Errorf("verify: %s", d) })
	if err != nil {
		t.Fatal(err)
	}
	if want := len(m.world.people); report.Profiles != int64(want) || report.Computations != len(m.world.computations) {
		t.Fatalf("%+v, want %d profiles", report, want)
	}
	m.app.Close()
}
