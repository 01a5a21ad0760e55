package query

import (
	"cmp"
	"slices"
	"time"
)

// Window is a stretch of time that moves with the clock: it holds the events with
// asOf-Far <= time <= asOf-Near, both ends included. Near > Far holds nothing.
type Window struct{ Near, Far time.Duration }

// Contains says whether an event at t is in the window at asOf.
func (w Window) Contains(t, asOf time.Time) bool { return w.during(t).holds(asOf) }

func (w Window) empty() bool { return w.Near > w.Far }

func (w Window) intersect(v Window) Window {
	return Window{max(w.Near, v.Near), min(w.Far, v.Far)}
}

// EventWindow is a window on the events of one name.
type EventWindow struct {
	Event     string
	Near, Far time.Duration
}

// stream is event('…') with its filters.
type stream struct {
	name   string
	stages []stage
	outer  *stream // the event whose where it is in; nil at the top
}

func (st *stream) nested() bool { return st.outer != nil }

func (st *stream) windowed() bool {
	return slices.ContainsFunc(st.stages, func(g stage) bool { return g.window != nil })
}

// stage is a run of filters whose order does not matter, and the session filter
// that ends it, if one does: a session depends on what was filtered before it.
type stage struct {
	where    allOf
	excluded []string // source ids, sorted
	window   *Window
	follow   *Window // relative to the parent event, forwards: parent+Near <= time <= parent+Far
	session  time.Duration
}

// keeps says whether the event passes, whatever the clock says.
func (g *stage) keeps(s scope) bool {
	return (len(g.excluded) == 0 || !slices.Contains(g.excluded, s.event.Source)) && g.where.holds(s)
}

// admits says whether an event passes every filter but windows and sessions.
func (st *stream) admits(e *Event, s scope) bool {
	s.event = e
	for i := range st.stages {
		if !st.stages[i].keeps(s) {
			return false
		}
	}
	return true
}

// events are the events that pass, by time and arrival.
func (st *stream) events(s scope) []*Event {
	kept := s.past.named(st.name)
	if st.nested() {
		// A funnel is strictly ordered: only what comes later than the parent follows it.
		kept = kept[after(kept, s.event.Time):]
	}
	for i := range st.stages {
		kept = st.filter(&st.stages[i], kept, s)
	}
	return kept
}

func (st *stream) filter(g *stage, events []*Event, outer scope) []*Event {
	inner := scope{surroundings: outer.surroundings}
	if st.nested() {
		inner.parent = &outer
		if g.follow != nil {
			events = events[:after(events, outer.event.Time.Add(g.follow.Far))]
		}
	}
	var kept []*Event
	for _, e := range events {
		if g.follow != nil && e.Time.Before(outer.event.Time.Add(g.follow.Near)) {
			continue
		}
		if g.window != nil && !g.window.Contains(e.Time, outer.asOf) {
			continue
		}
		if inner.event = e; g.keeps(inner) {
			kept = append(kept, e)
		}
	}
	if g.session > 0 {
		kept = lastSession(kept, g.session)
	}
	return kept
}

// lastSession cuts where neighbours are further apart than gap, and keeps the end.
func lastSession(events []*Event, gap time.Duration) []*Event {
	for i := len(events) - 1; i > 0; i-- {
		if events[i].Time.Sub(events[i-1].Time) > gap {
			return events[i:]
		}
	}
	return events
}

// after is the number of events up to and including t.
func after(events []*Event, t time.Time) int {
	n, _ := slices.BinarySearchFunc(events, t, func(e *Event, t time.Time) int {
		if e.Time.After(t) {
			return 1
		}
		return -1
	})
	return n
}

// past is a profile's events by name, each list by time and arrival.
type past struct {
	all   []*Event
	names map[string][]*Event
}

func newPast(events []*Event) *past {
	return &past{all: events, names: make(map[string][]*Event, 1)}
}

func (p *past) named(name string) []*Event {
	events, ok := p.names[name]
	if !ok {
		for _, e := range p.all {
			if e.Name == name {
				events = append(events, e)
			}
		}
		if !slices.IsSortedFunc(events, inOrder) {
			slices.SortStableFunc(events, inOrder)
		}
		p.names[name] = events
	}
	return events
}

func inOrder(a, b *Event) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	return cmp.Compare(a.Arrival, b.Arrival)
}
