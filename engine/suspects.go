package engine

import "muster/query"

// Most events change no value: of those that a shop's customers cause, four in five leave
// everybody where they were. What is held, and what was told, need not be read for these.

// Pure tells whether the version's value follows from the states of folded leaves
// alone: neither traits, nor other computations, nor the reference evaluator, nor the
// clock by itself have a say in it.
func (v *Version) Pure() bool {
	if len(v.Definition.Traits) > 0 {
		return false
	}
	for _, l := range v.Leaves {
		if !l.Foldable {
			return false
		}
	}
	return true
}

// movedBySlots tells whether the value follows from states that slots alone change.
func (v *Version) movedBySlots() bool {
	for _, l := range v.Leaves {
		if !l.Moves() {
			return false
		}
	}
	return v.Pure()
}

// byStates is what the values of pure computations are by the profile's states. That is
// what the profile holds of them, so they need not be looked at if it stays the same.
func (d *decision) byStates(p *Profile, computations []*Computation) []query.Value {
	values := make([]query.Value, len(computations))
	for i, c := range computations {
		values[i] = d.byState(p, c)
	}
	return values
}

func (d *decision) byState(p *Profile, c *Computation) query.Value {
	v := d.catalog.versionFor(c, p, d.running)
	return v.Definition.EvalWith(inputs{decision: d, profile: p, version: v}, d.now)
}

// moved are those of the computations that have another value than before, with what it
// was.
func (d *decision) moved(p *Profile, computations []*Computation, before []query.Value) (moved []*Computation, was []query.Value) {
	for i, after := range d.byStates(p, computations) {
		if !after.Equal(before[i]) {
			moved = append(moved, computations[i])
			was = append(was, before[i])
		}
	}
	return moved, was
}

// loaded tells whether the states of the leaves over an event have been read.
func (p *Profile) loaded(event string) bool { return p.group(event) != nil }
