package query

import (
	"slices"
	"time"
)

// A value that the clock can change is constant between the instants at which an
// event enters or leaves a window or a relative comparison flips. Those instants
// are few and computable, so the next change is found by trying them in order.

// maxProbes bounds how many instants are tried. Past it the next one is reported
// untried: too early perhaps, never too late.
const maxProbes = 32

// next is the span's first end after the instant.
func (s span) next(after time.Time) (time.Time, bool) {
	switch {
	case !s.from.IsZero() && s.from.After(after):
		return s.from, true
	case !s.until.IsZero() && s.until.After(after):
		return s.until, true
	}
	return time.Time{}, false
}

// instants collects ends of spans that lie after an instant.
type instants struct {
	after time.Time
	found []time.Time
}

func (i *instants) add(s span) {
	for _, t := range [...]time.Time{s.from, s.until} {
		if !t.IsZero() && t.After(i.after) {
			i.found = append(i.found, t)
		}
	}
}

// relative adds the instants at which a comparison of the values with the present flips.
func (i *instants) relative(c *comparison, values []Value) {
	for _, v := range values {
		if during, ok := relativeSpan(v, c.is, c.clock); ok {
			i.add(during)
		}
	}
}

// first is the earliest instant at which value differs from what it is now.
func (i *instants) first(value func(asOf time.Time) Value) (time.Time, bool) {
	slices.SortFunc(i.found, time.Time.Compare)
	i.found = slices.CompactFunc(i.found, time.Time.Equal)
	if len(i.found) == 0 {
		return time.Time{}, false
	}
	now := value(i.after)
	for n, t := range i.found {
		if n == maxProbes || !value(t).Equal(now) {
			return t, true
		}
	}
	return time.Time{}, false
}

// NextTraitChange is the earliest instant after asOf at which a comparison with
// the present instant, outside where, can flip while no input changes. It may be
// too early for the definition as a whole, never too late; false if there is none.
func (d *Definition) NextTraitChange(in Inputs, asOf time.Time) (time.Time, bool) {
	s := scope{surroundings: &surroundings{asOf: asOf, in: in}}
	var earliest time.Time
	for _, c := range d.relatives {
		for _, v := range c.left.values(nil, s) {
			during, ok := relativeSpan(v, c.is, c.clock)
			if !ok {
				continue
			}
			if t, ok := during.next(asOf); ok && (earliest.IsZero() || t.Before(earliest)) {
				earliest = t
			}
		}
	}
	return earliest, !earliest.IsZero()
}

// NextChange is the earliest instant after asOf at which the value changes without
// a new event or a new trait; false if it never does. It may be too early for a
// long history, never too late. It does not look into ANY and ALL.
func (d *Definition) NextChange(p Profile, asOf time.Time) (time.Time, bool) {
	s := read(p, asOf)
	i := instants{after: asOf}
	for _, l := range d.Leaves {
		l.candidates(&i, s)
	}
	for _, c := range d.relatives {
		i.relative(c, c.left.values(nil, s))
	}
	return i.first(func(t time.Time) Value { return d.in(s.at(t)) })
}

// NextChange is the earliest instant after asOf at which the leaf's value changes
// without new events; false if it never does. It may be too early for a long
// history, never too late.
func (l *Leaf) NextChange(p Profile, asOf time.Time) (time.Time, bool) {
	s := read(p, asOf)
	i := instants{after: asOf}
	l.candidates(&i, s)
	return i.first(func(t time.Time) Value { return s.at(t).in.Leaf(l) })
}

// at is the same reading at another instant.
func (s scope) at(asOf time.Time) scope {
	again := *s.surroundings
	again.asOf = asOf
	again.in = reading{s.in.(reading).traits, &again}
	return scope{surroundings: &again}
}

// candidates adds every instant at which something in the leaf can flip.
func (l *Leaf) candidates(i *instants, s scope) {
	if l.steady {
		if l.Window == nil || l.Window.empty() {
			return
		}
		for _, e := range s.past.named(l.Event) {
			during := l.Window.during(e.Time)
			if _, ahead := during.next(i.after); ahead && l.stream.admits(e, s) {
				i.add(during)
			}
		}
		return
	}
	for _, w := range l.Windows {
		for _, e := range s.past.named(w.Event) {
			i.add(Window{w.Near, w.Far}.during(e.Time))
		}
	}
	for _, part := range l.relatives {
		i.relative(part.comparison, part.possible(s))
	}
}

// possible are all values that the left side may have, whichever event it is
// evaluated for.
func (r relativePart) possible(s scope) []Value {
	var vs []Value
	switch left := r.left.(type) {
	case *traitValue:
		return left.values(nil, s)
	case *field:
		of, own := r.in, *left
		if left.parent {
			of, own.parent = of.outer, false
		}
		for _, e := range s.past.named(of.name) {
			vs = own.values(vs, scope{event: e})
		}
	case *leafValue:
		for _, e := range s.past.named(left.leaf.Event) {
			vs = left.leaf.AppendValues(vs, e)
		}
	}
	return vs
}
