package query

import (
	"slices"
	"time"
)

// Leaf is one event chain of a definition, up to its reducer: what has to be known
// of a profile's events, as one value. A list's length is computed on top of it.
type Leaf struct {
	// Text is canonical: equal leaves have equal texts, whichever definition they
	// come from.
	Text  string
	Event string
	// Events are the names of all events that the leaf reads, Event first, then
	// those of nested events.
	Events []string
	// Traits are the top-level trait keys read inside where.
	Traits  []string
	Reducer Reducer
	// Window is where the leaf's own events must lie; nil if anywhere. Several
	// windows are intersected, to nothing if Near > Far.
	Window *Window
	// Windows are all windows on the clock in the leaf, those of nested events too.
	Windows []EventWindow
	// Foldable: an event's part in the value depends on nothing but the event and
	// the window. There is no nested event, no trait, no session, and no clock
	// inside where.
	Foldable bool
	// ClockInWhere: a where compares with the present instant.
	ClockInWhere bool

	stream    *stream
	inner     []*stream      // of nested events, at any depth
	steady    bool           // nothing but its own windows depends on the clock, and there is no session
	relatives []relativePart // the comparisons that ClockInWhere speaks of
}

// relativePart is a comparison with the clock inside a where.
type relativePart struct {
	in *stream
	*comparison
}

// Match says whether the event passes the leaf's name, sources and where. It never
// looks at the window. For a leaf that is not foldable it says only whether the
// leaf reads events of that name.
func (l *Leaf) Match(e *Event) bool {
	if !l.Foldable {
		return slices.Contains(l.Events, e.Name)
	}
	return e.Name == l.Event && l.stream.stages[0].keeps(scope{event: e})
}

// Everything says whether the leaf takes every event of its name that is in its window.
func (l *Leaf) Everything() bool {
	first := l.stream.stages[0]
	return l.Foldable && len(first.where) == 0 && len(first.excluded) == 0
}

// Values are what the reducer takes from an event that matches: nulls dropped,
// arrays under "$" flattened; numbers for sum, avg, min and max, and for mode as
// number; texts for unique, mode, and min and max as string; any value for first
// and last; nothing for count.
func (l *Leaf) Values(e *Event) []Value { return l.AppendValues(nil, e) }

// AppendValues appends what [Leaf.Values] returns.
func (l *Leaf) AppendValues(dst []Value, e *Event) []Value { return l.Reducer.takes(dst, e) }

// Eval is the leaf's value: the reference for every faster way.
func (l *Leaf) Eval(p Profile, asOf time.Time) Value {
	return read(p, asOf).in.Leaf(l)
}
