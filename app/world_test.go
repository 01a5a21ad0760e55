package app_test

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/query"
)

// world is what must be true, worked out in the plainest way: every person's history in
// memory, every value from the reference evaluator, nothing incremental. It knows the rules
// of when a value is decided, because a value remembers: one who was never a member is not
// one who is a member no longer.
type world struct {
	rules    *identity.Rules
	graph    *identity.Graph
	numbers  int64 // of persons
	people   map[identity.ProfileID]*person
	arrivals int64
	seen     map[string]bool // message ids

	computations []*computation // in the order of their creation, the deleted ones left out
	serials      int
	marks        map[string]engine.Mark // of leaves with a window that are in use
	walk         *walk                  // the running backfill
	retired      map[string]bool        // keys of those deleted
	cleaning     map[string]bool        // keys under which what was told is being taken back
}

// person is a profile.
type person struct {
	number  identity.ProfileID
	stored  int64 // its number in the store
	links   []identity.Link
	events  []*query.Event
	traits  map[string]trait
	held    map[int]held // by computation
	waiting map[int]bool // merged since the computation last looked
	prompts map[int]bool // computations that a call of this moment can change
}

type trait struct {
	value   query.Value // null: removed
	at      time.Time
	arrival int64
}

type held struct {
	value query.Value
	since time.Time
}

type computation struct {
	serial        int
	def           engine.Definition
	createdAt     time.Time
	created       int64 // the last arrival before it
	current, next *version
	disabled      bool
	rests         bool // current decides nothing: it is disabled, or was until the next version
	sets          bool // its connection tells it as a property, or has before it was edited
	tracked       bool // was told by events alone at some time, which set no properties
}

// deciding are the versions that decide for somebody.
func (c *computation) deciding() (vs []*version) {
	if c.current != nil && !c.rests {
		vs = append(vs, c.current)
	}
	if c.next != nil && c.next.walking {
		vs = append(vs, c.next)
	}
	return vs
}

type version struct {
	of       *computation
	query    *query.Definition
	schedule string
	prompt   bool // decided when calls come, too
	since    time.Time
	after    int64 // arrivals that count are later
	walking  bool
	asOf     time.Time // scheduled
}

type walk struct {
	youngest int64 // older ones are walked
	at       engine.Place
}

func newWorld(rules *identity.Rules) *world {
	return &world{
		rules: rules, graph: identity.NewGraph(rules), people: make(map[identity.ProfileID]*person),
		seen: make(map[string]bool), marks: make(map[string]engine.Mark),
		retired: make(map[string]bool), cleaning: make(map[string]bool),
	}
}

// take does what a batch of calls does, up to the values.
func (w *world) take(batch []engine.Received, now time.Time) {
	type taken struct {
		engine.Received
		arrival int64
		person  identity.ProfileID
	}
	var calls []taken
	for _, r := range batch {
		if w.seen[r.Call.MessageID] {
			continue
		}
		w.seen[r.Call.MessageID] = true
		w.arrivals++
		res := w.graph.Resolve(w.rules.Extract(r.Call), now, func() identity.ProfileID { w.numbers++; return identity.ProfileID(w.numbers) })
		if !res.Unresolved {
			calls = append(calls, taken{r, w.arrivals, res.Profile})
		}
	}
	w.join()
	for _, c := range calls {
		p := w.person(w.graph.Canonical(c.person))
		switch c.Call.Type {
		case event.Track, event.Page, event.Screen:
			e := &query.Event{
				Name: c.Call.EventName(), Time: c.Call.Timestamp, Arrival: c.arrival, Source: c.Source,
				Properties: c.Call.DefinitionProperties(), Context: c.Call.Context,
			}
			p.events = append(p.events, e)
			w.prompt(p, func(v *version) bool { return v.looksAt(e) })
		case event.Identify:
			v, err := query.ParseValue(c.Call.Traits)
			if err != nil {
				panic(err)
			}
			for _, key := range v.Keys() {
				p.setTrait(key, trait{v.Member(key), c.Call.Timestamp, c.arrival})
				w.prompt(p, func(v *version) bool { return v.reads(key) })
			}
		case event.Group, event.Alias:
		}
	}
}

func (w *world) person(number identity.ProfileID) *person {
	p := w.people[number]
	if p == nil {
		p = &person{
			number: number, traits: make(map[string]trait), held: make(map[int]held),
			waiting: make(map[int]bool), prompts: make(map[int]bool),
		}
		w.people[number] = p
		w.prompt(p, func(v *version) bool { return v.query.TrueOnEmpty })
	}
	known, _ := w.graph.Profile(number)
	for _, c := range w.computations {
		if identity.Eligible(known.Links, c.def.IncludeAnonymous) && !identity.Eligible(p.links, c.def.IncludeAnonymous) {
			p.prompts[c.serial] = p.prompts[c.serial] || len(p.links) > 0
		}
	}
	p.links = known.Links
	return p
}

// prompt notes the computations that a call can change at once.
func (w *world) prompt(p *person, can func(*version) bool) {
	for _, c := range w.computations {
		if slices.ContainsFunc(c.deciding(), can) {
			p.prompts[c.serial] = true
		}
	}
}

// looksAt tells whether the event, when it comes, can change the version's value.
func (v *version) looksAt(e *query.Event) bool {
	return slices.ContainsFunc(v.query.Leaves, func(l *query.Leaf) bool {
		if !l.Foldable {
			return slices.Contains(l.Events, e.Name)
		}
		return e.Arrival > v.after && !e.Time.Before(v.since) && l.Match(e)
	})
}

// reads tells whether a change of the trait can.
func (v *version) reads(key string) bool {
	return slices.Contains(v.query.Traits, key) || slices.ContainsFunc(v.query.Leaves, func(l *query.Leaf) bool { return slices.Contains(l.Traits, key) })
}

func (p *person) setTrait(key string, t trait) {
	if have, ok := p.traits[key]; !ok || cmp.Or(have.at.Compare(t.at), cmp.Compare(have.arrival, t.arrival)) < 0 {
		p.traits[key] = t
	}
}

// join gives what merged persons had to their survivors.
func (w *world) join() {
	losers := make(map[identity.ProfileID][]*person)
	for _, number := range slices.Sorted(maps.Keys(w.people)) {
		if heir := w.graph.Canonical(number); heir != number {
			losers[heir] = append(losers[heir], w.people[number])
			delete(w.people, number)
		}
	}
	for heir, from := range losers {
		p := w.person(heir)
		one := make(map[int]held)
		for _, l := range from {
			p.events = append(p.events, l.events...)
			for key, t := range l.traits {
				p.setTrait(key, t)
			}
			for serial, h := range l.held {
				if best, ok := one[serial]; !ok || off(best.value) && !off(h.value) || off(best.value) == off(h.value) && h.since.After(best.since) {
					one[serial] = h
				}
			}
		}
		for serial, h := range one {
			if have, ok := p.held[serial]; !ok || off(have.value) && !off(h.value) {
				p.held[serial] = h
			}
		}
		for _, c := range w.computations {
			p.waiting[c.serial] = true
			p.prompts[c.serial] = true
		}
	}
}

func off(v query.Value) bool { return v.IsNull() || v.Equal(query.Bool(false)) }

// forget is the deletion of a person.
func (w *world) forget(p *person) {
	delete(w.people, p.number)
	graph := identity.NewGraph(w.rules)
	for number := range w.people {
		known, _ := w.graph.Profile(number)
		if err := graph.Add(known); err != nil {
			panic(err)
		}
	}
	w.graph = graph
}

func (w *world) byKey(key string) *computation {
	for _, c := range w.computations {
		if c.def.Key == key {
			return c
		}
	}
	return nil
}

// define answers whether the definition is to be taken.
func (w *world) define(def engine.Definition, now time.Time) bool {
	reads := func(key string) (keys []string) {
		if c := w.byKey(key); c != nil {
			for _, v := range []*version{c.current, c.next} {
				if v != nil {
					keys = append(keys, v.query.Traits...)
				}
			}
		}
		return keys
	}
	compiled, _ := query.Compile(def.Query, query.CheckOptions{Purpose: def.Kind, Key: def.Key, Reads: reads})
	if compiled == nil {
		return false
	}
	if compiled.Class != query.Scheduled {
		def.Schedule = ""
	} else if def.Schedule == "" {
		def.Schedule = engine.DefaultSchedule
	}
	old := w.byKey(def.Key)
	if old == nil && !def.ReuseKey && (w.retired[def.Key] || w.plain(def.Key)) {
		return false
	}
	if w.cleaning[def.Key] && len(def.Connections) > 0 && (old == nil || len(old.def.Connections) == 0) {
		return false
	}
	c := old
	if c == nil {
		w.serials++
		c = &computation{serial: w.serials, createdAt: now, created: w.arrivals}
	} else if c.def.Kind != def.Kind || c.def.IncludeAnonymous != def.IncludeAnonymous {
		return false
	}
	v := &version{of: c, query: compiled, schedule: def.Schedule, prompt: def.Schedule == "" || def.Refresh == engine.RefreshRealtime}
	if !def.IncludeHistorical {
		v.after = c.created
	} else if def.BackfillDays > 0 {
		v.since = c.createdAt.AddDate(0, 0, -def.BackfillDays)
	}
	if old != nil {
		same := old.newest()
		changed := same.query.Text() != compiled.Text() || same.schedule != v.schedule || same.prompt != v.prompt || same.after != v.after || !same.since.Equal(v.since) ||
			old.def.IncludeHistorical != def.IncludeHistorical
		for _, conn := range def.Connections {
			changed = changed || !slices.ContainsFunc(old.def.Connections, func(o engine.ConnectionDefinition) bool {
				return o.Destination == conn.Destination && o.Strategy == conn.Strategy
			})
		}
		turned := def.Disabled != old.disabled
		if (changed || turned) && old.next != nil && old.next.walking {
			return false
		}
		if !changed && (!turned || def.Disabled || old.next != nil) {
			v = old.next
		}
		if len(def.Connections) == 0 && len(old.def.Connections) > 0 {
			w.cleans(c, old.def.Connections[0].Cleanup)
			c.sets = false
		}
		c.rests = c.rests || turned && def.Disabled && c.current != nil
	} else {
		w.computations = append(w.computations, c)
	}
	c.def, c.next, c.disabled = def, v, def.Disabled
	w.dropMarks()
	for _, conn := range def.Connections {
		c.sets = c.sets || conn.Emit != engine.EmitTrack
		c.tracked = c.tracked || conn.Emit == engine.EmitTrack
	}
	return true
}

func (c *computation) newest() *version {
	if c.next != nil {
		return c.next
	}
	return c.current
}

// plain tells whether somebody has a trait of this name.
func (w *world) plain(key string) bool {
	for _, p := range w.people {
		if !p.traits[key].value.IsNull() {
			return true
		}
	}
	return false
}

// cleans notes that what a connection was told is to be taken back.
func (w *world) cleans(c *computation, cleanup engine.Cleanup) {
	if cleanup == engine.CleanupExit || cleanup == engine.CleanupUnset && c.sets {
		w.cleaning[c.def.Key] = true
	}
}

// remove deletes a computation: its last values become traits.
func (w *world) remove(c *computation) {
	w.retired[c.def.Key] = true
	for _, p := range w.people {
		if w.serving(c, p) != nil {
			if h, ok := p.held[c.serial]; ok {
				p.traits[c.def.Key] = trait{h.value, h.since, 0}
			} else if t, ok := p.traits[c.def.Key]; ok {
				t.value = query.Null()
				p.traits[c.def.Key] = t
			}
		}
		delete(p.held, c.serial)
	}
	w.computations = slices.DeleteFunc(w.computations, func(x *computation) bool { return x == c })
	w.dropMarks()
}

// serving is the version that decides for the person, or did last; nil: none does yet.
func (w *world) serving(c *computation, p *person) *version {
	if c.next != nil && c.next.walking && w.covers(p) {
		return c.next
	}
	return c.current
}

func (w *world) covers(p *person) bool {
	k := w.walk
	bucket := engine.ProfileBucket(p.stored)
	return k != nil && (p.stored > k.youngest || bucket < k.at.Bucket || bucket == k.at.Bucket && p.stored <= k.at.ProfileID)
}

// ordered is the computations, each behind those that it reads.
func (w *world) ordered() []*computation {
	var sorted []*computation
	var visit func(c *computation)
	visit = func(c *computation) {
		if slices.Contains(sorted, c) {
			return
		}
		for _, v := range []*version{c.current, c.next} {
			if v == nil {
				continue
			}
			for _, key := range v.query.Traits {
				if read := w.byKey(key); read != nil && read != c {
					visit(read)
				}
			}
		}
		sorted = append(sorted, c)
	}
	for _, c := range w.computations {
		visit(c)
	}
	return sorted
}

// decide decides everything about a person: realtime definitions as of now, scheduled ones
// that have an instant as of that.
func (w *world) decide(p *person, now time.Time, instants map[*version]time.Time) {
	for _, c := range w.ordered() {
		v := w.serving(c, p)
		if v == nil || c.rests && v == c.current {
			continue
		}
		have, ok := p.held[c.serial]
		asOf, promptly := now, false
		if v.schedule != "" {
			at, slot := instants[v]
			promptly = instants == nil && v.prompt && p.prompts[c.serial]
			switch {
			case slot && v.prompt && !v.walking && have.since.After(at), !slot && !promptly:
				continue
			case slot:
				asOf = at
			}
		}
		if !identity.Eligible(p.links, c.def.IncludeAnonymous) {
			continue
		}
		delete(p.waiting, c.serial)
		value := v.query.EvalWith(view{w, p, v, asOf, promptly}, asOf)
		switch {
		case ok && have.value.Equal(value),
			!ok && c.def.Kind == query.Audience && !value.AsBool(),
			!ok && c.def.Kind == query.Trait && (value.IsNull() || value.Equal(v.query.Empty)):
		default:
			p.held[c.serial] = held{value, now}
			if instants == nil { // a call has come
				w.prompt(p, func(v *version) bool { return v.reads(c.def.Key) })
			}
		}
	}
}

func (w *world) decideAll(now time.Time, instants map[*version]time.Time) {
	for _, p := range w.people {
		w.decide(p, now, instants)
		clear(p.prompts)
	}
}

// view is a person as a version sees it.
type view struct {
	*world
	*person
	version *version
	asOf    time.Time
	present bool // slots have no say
}

// Trait implements query.Inputs.
func (v view) Trait(key string) query.Value {
	if c := v.byKey(key); c != nil && v.serving(c, v.person) != nil {
		return v.held[c.serial].value
	}
	return v.traits[key].value
}

// Leaf implements query.Inputs with the reference evaluator. A leaf that slots keep up to
// date shows what had arrived by its last slot, as of then.
func (v view) Leaf(l *query.Leaf) query.Value {
	p := query.Profile{Traits: make(map[string]query.Value)}
	for _, key := range l.Traits {
		p.Traits[key] = v.Trait(key)
	}
	mark := engine.Mark{Cut: v.arrivals, AsOf: v.asOf}
	if l.Foldable && l.Window != nil && !v.present {
		mark = v.marks[v.version.leaf(l)]
	}
	for _, e := range v.events {
		if e.Arrival > v.version.after && e.Arrival <= mark.Cut && !e.Time.Before(v.version.since) {
			p.Events = append(p.Events, e)
		}
	}
	return l.Eval(p, mark.AsOf)
}
