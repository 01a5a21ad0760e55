package scenario_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/query"
	"muster/scenario"
)

// model is a System in memory that keeps whole histories and asks the reference
// evaluator about everybody, again and again: slow and obviously right. It is a second
// opinion on the engine, and shows that the expectations of scenarios are understood.
type model struct {
	rules    *identity.Rules
	graph    *identity.Graph
	now      time.Time
	created  identity.ProfileID // the last one
	arrivals int64

	people  map[identity.ProfileID]*person
	seen    map[string]bool // message ids
	defined []*definition   // each behind those that it reads
	sent    []scenario.Sent
}

// person is all that the model knows of a profile.
type person struct {
	events []*query.Event
	traits map[string]stamped
	values map[string]query.Value            // of definitions that ever had one, by key
	told   map[string]map[string]query.Value // by key, by id combination
}

// stamped is a trait with what decides between two of one key.
type stamped struct {
	value   query.Value
	at      time.Time
	arrival int64
}

// definition is a definition in force.
type definition struct {
	engine.Definition
	compiled *query.Definition
	since    int64     // events that arrived up to here do not count
	slot     time.Time // the last that was computed
	edited   bool      // has to be computed anew, whatever the slot
	synced   bool      // was computed before
}

// newModel is a scenario.Factory.
func newModel(_ context.Context, s scenario.Setup) (scenario.System, error) {
	rules, err := s.Identity.Compile()
	if err != nil {
		return nil, err
	}
	return &model{
		rules: rules, graph: identity.NewGraph(rules), now: s.Start,
		people: map[identity.ProfileID]*person{}, seen: map[string]bool{},
	}, nil
}

func (m *model) SetNow(now time.Time) {
	if now.Before(m.now) {
		panic("the clock went back")
	}
	m.now = now
}

func (m *model) Close() error { return nil }

func (m *model) find(key string) *definition {
	for _, d := range m.defined {
		if d.Key == key {
			return d
		}
	}
	return nil
}

func (m *model) Define(_ context.Context, definitions []engine.Definition) ([]*engine.DefinitionError, error) {
	var refused []*engine.DefinitionError
	for _, def := range definitions {
		compiled, diagnostics := query.Compile(def.Query, query.CheckOptions{Purpose: def.Kind, Key: def.Key, Reads: m.reads})
		if compiled == nil {
			refused = append(refused, &engine.DefinitionError{Key: def.Key, Message: "its query is refused", Diagnostics: diagnostics})
			continue
		}
		d := m.find(def.Key)
		if d == nil {
			d = &definition{}
			m.defined = append(m.defined, d)
		}
		d.edited = true
		d.Definition, d.compiled = def, compiled
		if !def.IncludeHistorical {
			d.since = m.arrivals
		}
	}
	m.sort()
	return refused, nil
}

func (m *model) reads(key string) []string {
	if d := m.find(key); d != nil {
		return d.compiled.Traits
	}
	return nil
}

// sort puts every definition behind those that it reads.
func (m *model) sort() {
	var sorted []*definition
	var visit func(d *definition)
	visit = func(d *definition) {
		if d == nil || slices.Contains(sorted, d) {
			return
		}
		for _, key := range d.compiled.Traits {
			visit(m.find(key))
		}
		sorted = append(sorted, d)
	}
	for _, d := range m.defined {
		visit(d)
	}
	m.defined = sorted
}

func (m *model) Remove(_ context.Context, key string) error {
	d := m.find(key)
	if d == nil {
		return fmt.Errorf("there is no definition %s", key)
	}
	m.defined = slices.DeleteFunc(m.defined, func(e *definition) bool { return e == d })
	for _, p := range m.people {
		if v, ok := p.values[key]; ok {
			p.traits[key] = stamped{value: v, at: m.now, arrival: m.arrivals}
		}
		delete(p.values, key)
		delete(p.told, key)
	}
	return nil
}

func (m *model) DeleteProfile(_ context.Context, id identity.ID) error {
	owner, ok := m.graph.Owner(id)
	if !ok {
		return fmt.Errorf("nobody is %s", id)
	}
	delete(m.people, owner)
	rest := identity.NewGraph(m.rules)
	for other := range m.people {
		p, _ := m.graph.Profile(other)
		if err := rest.Add(p); err != nil {
			return err
		}
	}
	m.graph = rest
	return nil
}

func (m *model) Ingest(_ context.Context, calls []engine.Received) error {
	for _, in := range calls {
		if m.seen[in.Call.MessageID] || in.Call.ProfileSkip != "" {
			continue
		}
		m.seen[in.Call.MessageID] = true
		r := m.graph.Resolve(m.rules.Extract(in.Call), m.now, func() identity.ProfileID {
			m.created++
			return m.created
		})
		if r.Unresolved {
			continue
		}
		m.arrivals++
		p := m.people[r.Profile]
		if p == nil {
			p = &person{traits: map[string]stamped{}, values: map[string]query.Value{}, told: map[string]map[string]query.Value{}}
			m.people[r.Profile] = p
		}
		for _, loser := range r.Merged {
			p.take(m.people[loser])
			delete(m.people, loser)
		}
		p.add(in, m.arrivals)
	}
	m.compute(func(d *definition) bool { return d.compiled.Class == query.Realtime && !d.edited })
	return nil
}

// take gives the person what another one has.
func (p *person) take(other *person) {
	p.events = append(p.events, other.events...)
	for key, t := range other.traits {
		p.set(key, t)
	}
	for key, v := range other.values {
		if have, ok := p.values[key]; !ok || !have.AsBool() {
			p.values[key] = v
		}
	}
	for key, lines := range other.told {
		for ids, v := range lines {
			p.tell(key, ids, v)
		}
	}
}

func (p *person) add(in engine.Received, arrival int64) {
	c := in.Call
	if name := c.EventName(); name != "" {
		p.events = append(p.events, &query.Event{
			Name: name, Time: c.Timestamp, Arrival: arrival, ReceivedAt: c.ReceivedAt,
			Source: in.Source, Properties: c.DefinitionProperties(), Context: c.Context,
		})
	}
	if c.Type != event.Identify {
		return
	}
	for key, raw := range event.Members(c.Traits) {
		v, err := query.ParseValue(raw)
		if err != nil {
			panic(err)
		}
		p.set(key, stamped{v, c.Timestamp, arrival})
	}
}

// set writes a trait unless it is known from later.
func (p *person) set(key string, t stamped) {
	have, ok := p.traits[key]
	if !ok || t.at.After(have.at) || t.at.Equal(have.at) && t.arrival > have.arrival {
		p.traits[key] = t
	}
}

func (p *person) tell(key, ids string, v query.Value) {
	if p.told[key] == nil {
		p.told[key] = map[string]query.Value{}
	}
	p.told[key][ids] = v
}

func (m *model) Settle(context.Context) error {
	hour := m.now.Truncate(time.Hour)
	m.compute(func(d *definition) bool {
		return d.edited || d.compiled.Class == query.Realtime || hour.After(d.slot)
	})
	return nil
}

// compute evaluates the definitions for everybody, and tells everybody all that they
// have not heard, of any definition.
func (m *model) compute(due func(*definition) bool) {
	for _, d := range m.defined {
		asOf := m.now
		if d.compiled.Class == query.Scheduled {
			asOf = m.now.Truncate(time.Hour)
		}
		reason := engine.ReasonChanged
		if isDue := due(d); isDue {
			if d.edited {
				reason = engine.ReasonFirstSync
				if d.synced {
					reason = engine.ReasonEdit
				}
			}
			d.edited, d.synced, d.slot = false, true, asOf
			for _, id := range slices.Sorted(maps.Keys(m.people)) {
				m.evaluate(id, d, asOf)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(m.people)) {
			m.tell(id, d, reason)
		}
	}
}

func (m *model) evaluate(id identity.ProfileID, d *definition, asOf time.Time) {
	profile, _ := m.graph.Profile(id)
	if !identity.Eligible(profile.Links, d.IncludeAnonymous) {
		return
	}
	p := m.people[id]
	all := query.Profile{Traits: map[string]query.Value{}}
	for key, t := range p.traits {
		all.Traits[key] = t.value
	}
	for _, other := range m.defined {
		all.Traits[other.Key] = p.values[other.Key] // null if there is none
	}
	for _, e := range p.events {
		if e.Arrival > d.since {
			all.Events = append(all.Events, e)
		}
	}
	v := d.compiled.Eval(all, asOf)
	if _, ever := p.values[d.Key]; !ever && (v.IsNull() || v.Equal(d.compiled.Empty) && d.Kind == query.Trait || v.Equal(query.Bool(false)) && d.Kind == query.Audience) {
		return // as if nothing had been: there is nothing to tell of
	}
	p.values[d.Key] = v
}

func (m *model) tell(id identity.ProfileID, d *definition, reason engine.Reason) {
	p := m.people[id]
	v, held := p.values[d.Key]
	on := held && !v.IsNull() && (d.Kind == query.Trait || v.AsBool())
	profile, _ := m.graph.Profile(id)
	told := p.told[d.Key]
	say := func(ids identity.Combination, v query.Value, why engine.Reason) {
		form := engine.FormIdentify
		if d.Connections[0].Emit == engine.EmitTrack {
			form = engine.FormTrack
		}
		m.sent = append(m.sent, scenario.Sent{Key: d.Key, IDs: ids, Value: v, Form: form, Reason: why})
		p.tell(d.Key, ids.Key(), v)
	}
	if on {
		for _, ids := range identity.FanOut(profile.Links, d.IncludeAnonymous, d.Connections[0].Strategy).Combinations {
			if last, ok := told[ids.Key()]; !ok || !last.Equal(v) {
				why := reason
				if d.Kind == query.Audience && reason == engine.ReasonChanged {
					why = engine.ReasonEntered
				}
				say(ids, v, why)
			}
		}
		return
	}
	off, why := query.Bool(false), engine.ReasonExited
	if d.Kind == query.Trait {
		off, why = query.Null(), engine.ReasonChanged
	}
	for _, key := range slices.Sorted(maps.Keys(told)) {
		if last := told[key]; last.IsNull() || d.Kind == query.Audience && !last.AsBool() {
			continue
		}
		ids, err := identity.ParseCombination(key)
		if err != nil {
			panic(err)
		}
		say(ids, off, why)
	}
}

func (m *model) Values(_ context.Context, key string) iter.Seq2[scenario.Holder, error] {
	return func(yield func(scenario.Holder, error) bool) {
		if m.find(key) == nil {
			return
		}
		for _, id := range slices.Sorted(maps.Keys(m.people)) {
			v, ok := m.people[id].values[key]
			if !ok || v.IsNull() {
				continue
			}
			profile, _ := m.graph.Profile(id)
			h := scenario.Holder{Value: v}
			for _, link := range profile.Links {
				h.IDs = append(h.IDs, link.ID)
			}
			if !yield(h, nil) {
				return
			}
		}
	}
}

func (m *model) Sent(context.Context) ([]scenario.Sent, error) {
	sent := m.sent
	m.sent = nil
	return sent, nil
}
