package engine

import (
	"maps"
	"math"
	"time"

	"muster/identity"
	"muster/query"
)

// verify compares one profile, and mends it if that is asked for.
func (v *verification) verify(p *Profile) {
	d := &decision{
		catalog: v.catalog, running: v.running, now: v.now, cause: CauseRepair,
		instants: maps.Clone(v.instants), replayAll: true,
	}
	truth := make(map[string]query.Value) // by key, of those that are decided already
	var decided []*Computation
	before := len(v.found)
	for _, c := range v.targets {
		version := v.catalog.versionFor(c, p, v.running)
		if version == nil {
			continue
		}
		ref := reference{inputs: inputs{decision: d, profile: p, version: version}, truth: truth, marks: v.marks, asOf: v.now, remembers: true}
		if version.Scheduled() {
			ref.asOf = v.instants[version]
		}
		v.states(c, ref)
		if p.silent {
			v.waiting++
			continue
		}
		if at, marked := v.due[p.ID][c.ID]; version.Scheduled() && marked && !at.After(ref.asOf) {
			v.waiting++
			delete(d.instants, version)
			continue
		}
		if !identity.Eligible(p.Links, c.IncludeAnonymous) {
			continue
		}
		if held := p.values[c.ID]; version.Refresh == RefreshRealtime && held != nil && held.Since.After(ref.asOf) {
			v.waiting++ // it was decided when a call came, as of a later moment than the last slot
			delete(d.instants, version)
			continue
		}
		decided = append(decided, c)
		v.values++
		v.value(c, ref)
	}
	if !v.options.Repair || len(v.found) == before {
		return
	}
	d.settle(p, decided)
	for _, c := range decided {
		for _, conn := range c.Connections {
			d.tell(p, conn, ReasonRepair)
		}
	}
}

// states compares the states of the leaves that the version folds.
func (v *verification) states(c *Computation, ref reference) {
	for _, l := range ref.version.Leaves {
		if !l.Foldable {
			continue
		}
		stored := ref.profile.State(l)
		if !v.catalog.Kept.Holds(l) {
			if stored.N > 0 { // the log tells a part of it only
				v.remembered++
			}
			continue
		}
		want := ref.Leaf(l.Leaf)
		if have := stored.Result(l.Leaf); !have.Equal(want) {
			v.note(ref.profile, Difference{Key: c.Key, Part: PartState, Of: l.Text, Stored: have, Reference: want})
			if v.options.Repair {
				stored.State, stored.Changed = rebuilt(l, ref.profile.history, ref.mark(l)), true
			}
		}
	}
}

// value compares the value and what was told of it.
func (v *verification) value(c *Computation, ref reference) {
	p := ref.profile
	held := p.values[c.ID]
	want := ref.version.Definition.EvalWith(ref, ref.asOf)
	if changes(ref.version, held, want) {
		have := query.Null()
		if held != nil {
			have = held.Value
		}
		ref.truth[c.Key] = want
		v.note(p, Difference{Key: c.Key, Part: PartValue, Stored: have, Reference: want})
		return
	}
	for _, conn := range c.Connections {
		for _, say := range p.unsaid(conn) {
			have := query.Null()
			if told := p.told[conn.ID][say.ids.Key()]; told != nil {
				have = told.Value
			}
			v.note(p, Difference{Key: c.Key, Part: PartLedger, Of: conn.Destination.Name + " " + say.ids.Key(), Stored: have, Reference: say.value})
		}
	}
}

func (v *verification) note(p *Profile, d Difference) {
	d.ProfileID = p.ID
	v.found = append(v.found, d)
}

// reference gives a definition the values that the reference evaluator makes of the history.
type reference struct {
	inputs
	truth map[string]query.Value // by key: values other than the stored ones
	marks map[int64]Mark
	asOf  time.Time

	// remembers says that the profile's states are those of asOf, so that what they remember
	// of dropped events counts.
	remembers bool
}

// Trait is as that of inputs, but for computations that are known to have another value.
func (r reference) Trait(key string) query.Value {
	if v, ok := r.truth[key]; ok {
		return v
	}
	return r.inputs.Trait(key)
}

// Leaf is the value of a leaf from the history: that of a fold with a window as of its mark;
// of one whose events have been dropped in part, that of its state.
func (r reference) Leaf(text *query.Leaf) query.Value {
	if l := r.version.Leaves[text.Text]; r.remembers && !r.catalog.Kept.Holds(l) {
		return r.profile.State(l).Result(text)
	}
	past, asOf := r.History(text)
	return text.Eval(past, asOf)
}

// History implements query.Past: what the leaf is to have seen, and the instant it is as of.
func (r reference) History(text *query.Leaf) (query.Profile, time.Time) {
	l := r.version.Leaves[text.Text]
	past := l.past(r.profile.history, r)
	if !l.Moves() {
		return past, r.asOf
	}
	mark := r.mark(l)
	kept := past.Events[:0]
	for _, e := range past.Events {
		if e.Arrival <= mark.Cut {
			kept = append(kept, e)
		}
	}
	past.Events = kept
	return past, mark.AsOf
}

// mark is how far the state of the leaf is to have come.
func (r reference) mark(l *Leaf) Mark {
	if !l.Moves() {
		return Mark{Cut: math.MaxInt64}
	}
	return r.marks[l.ID]
}
