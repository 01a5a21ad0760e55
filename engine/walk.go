package engine

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"muster/query"
)

// walk is one chunk of a backfill: a stretch of the profiles in their order.
type walk struct {
	catalog  *Catalog
	running  *Backfill // with the chunk done
	now      time.Time
	stretch  Stretch
	profiles []*Profile
	byID     map[int64]*Profile

	brought    []*Computation           // those that it brings a version of in
	start      []*Computation           // these, and the readers of those that did not serve before
	everyone   []*Computation           // of start: they may hold for a profile of which nothing is known
	pure       map[*Computation]bool    // of start: they hold by the states alone
	readers    map[int64][]*Computation // by leaf: which pure ones of start read it
	instants   map[*Version]time.Time   // that scheduled versions are evaluated as of
	building   map[string][]*Leaf       // leaves whose states are made, by event
	tallies    []*Tally
	eventsRead int64
	leaves     []int64    // of the profile that is looked at
	changed    []*Profile // of which anything has to be written
}

// newWalk is the chunk that comes after what is done of the backfill.
func newWalk(c *Catalog, done *Backfill, locked []Locked, now time.Time) *walk {
	last := locked[len(locked)-1]
	running := *done
	running.At = Place{ProfileBucket(last.ID), last.ID}
	running.Done += int64(len(locked))
	w := &walk{
		catalog: c, running: &running, now: now,
		stretch: Stretch{After: done.At, Through: running.At},
		byID:    make(map[int64]*Profile, len(locked)),
		pure:    make(map[*Computation]bool), readers: make(map[int64][]*Computation),
		instants: make(map[*Version]time.Time), building: make(map[string][]*Leaf),
	}
	for _, l := range locked {
		p := NewProfile(l.ID, nil)
		p.swept, p.silent = true, l.Suppressed
		w.profiles = append(w.profiles, p)
		w.byID[l.ID] = p
	}
	w.open()
	return w
}

// prepare reads the chunk and decides its values.
func (w *walk) prepare(ctx context.Context, stored Reader) error {
	needs := &plan{}
	for _, c := range w.start {
		needs.include(w.catalog.plans[c])
	}
	err := stored.LoadStretch(ctx, w.stretch, w.byID, Want{
		Events: needs.events, Computations: needs.computations, Connections: needs.connections, Traits: needs.traits,
	})
	if err != nil {
		return err
	}
	if err := w.fold(ctx, stored, needs.names); err != nil {
		return err
	}
	return w.settle(ctx, stored)
}

// open finds out what is brought in.
func (w *walk) open() {
	for _, comp := range w.catalog.Computations {
		v := comp.Next
		if v == nil || v.BackfillID != w.running.ID {
			continue
		}
		w.brought = append(w.brought, comp)
		w.tallies = append(w.tallies, &Tally{Computation: comp, Profiles: int64(len(w.profiles))})
		w.start = appendNew(w.start, comp)
		w.pure[comp] = v.Pure() && !v.Definition.TrueOnEmpty
		// Who reads a key reads a computation now, and no trait any more.
		if use := w.catalog.traits[comp.Key]; use != nil && comp.Current == nil {
			for _, reader := range use.readers {
				w.start = appendNew(w.start, reader)
			}
		}
		if v.Scheduled() {
			w.instants[v] = v.AsOf
		}
		for _, l := range v.Leaves {
			if w.pure[comp] {
				w.readers[l.ID] = append(w.readers[l.ID], comp)
			}
			if l.Foldable && !l.Built {
				w.building[l.Event] = appendNew(w.building[l.Event], l)
			}
		}
	}
	for _, c := range w.start {
		if !w.pure[c] {
			w.everyone = append(w.everyone, c)
		}
	}
}

// fold reads the chunk's events and adds them to the states of the new leaves, which
// hold what has come since the start of the backfill already. replayed are the events of
// leaves that are replayed.
func (w *walk) fold(ctx context.Context, stored Reader, replayed []string) error {
	q := w.reads(replayed)
	if len(q.Names) == 0 {
		return nil
	}
	if leaves := w.counted(); len(leaves) > 0 && len(replayed) == 0 {
		return w.count(ctx, stored, leaves)
	}
	last, p := int64(0), (*Profile)(nil) // events of a profile mostly come together
	return stored.HistoryOf(ctx, w.stretch, q, func(id int64, ev *query.Event) error {
		if id != last {
			last, p = id, w.byID[id]
		}
		if p == nil {
			return nil // younger than the walk
		}
		w.eventsRead++
		if slices.Contains(replayed, ev.Name) {
			kept := *ev
			kept.Properties, kept.Context = slices.Clone(ev.Properties), slices.Clone(ev.Context)
			p.history = append(p.history, &kept)
		}
		for _, l := range w.building[ev.Name] {
			if ev.Arrival <= l.Cut && l.inWindow(ev.Time, l.AsOf) && l.counts(ev) {
				s := p.State(l)
				s.Add(l.Leaf, ev)
				s.Changed = true
			}
		}
		return nil
	})
}

// reads is what of the events the leaves look at.
func (w *walk) reads(replayed []string) Reading {
	q := Reading{Names: slices.Sorted(maps.Keys(w.building)), UpTo: w.running.Cut}
	for _, name := range replayed {
		q.Names = appendNew(q.Names, name)
	}
	if len(replayed) > 0 {
		q.UpTo = math.MaxInt64
		q.Properties, q.Context, q.Source = true, true, true
		return q
	}
	for _, c := range w.brought {
		q.Source = q.Source || len(c.Next.Definition.NotSources) > 0
		for _, field := range c.Next.Definition.Fields {
			if strings.HasPrefix(field, "context") {
				q.Context = true
			} else {
				q.Properties = true
			}
		}
	}
	unbounded := false
	for _, leaves := range w.building {
		for _, l := range leaves {
			since := l.Since
			if l.Window != nil {
				if far := l.AsOf.Add(-l.Window.Far); far.After(since) {
					since = far
				}
			}
			unbounded = unbounded || since.IsZero()
			if q.Since.IsZero() || since.Before(q.Since) {
				q.Since = since
			}
		}
	}
	if unbounded {
		q.Since = time.Time{}
	}
	return q
}

// settle decides the values of the profiles that the new versions may hold something
// for: from here on they are served by these.
func (w *walk) settle(ctx context.Context, stored Reader) error {
	d := &decision{
		catalog: w.catalog, running: w.running, now: w.now, cause: CauseBackfill,
		instants: w.instants, walks: true, replayAll: true,
	}
	var concerned []*Profile
	starts := make(map[int64][]*Computation)
	for _, p := range w.profiles {
		if start := w.concern(d, p); len(start) > 0 {
			concerned = append(concerned, p)
			starts[p.ID] = start
		}
		if len(p.groups) > 0 || starts[p.ID] != nil {
			w.changed = append(w.changed, p)
		}
	}
	if err := stored.Links(ctx, w.stretch, len(w.profiles), concerned); err != nil {
		return err
	}
	for _, p := range concerned {
		d.settle(p, starts[p.ID])
		// Connections that came with the edit have not heard the value, even if it stays.
		for _, c := range w.brought {
			for _, conn := range c.Connections {
				reason := ReasonFirstSync
				if c.Current != nil && c.Current.Rests() && len(p.told[conn.ID]) > 0 {
					reason = ReasonNewID // the ids came while it was disabled
				}
				d.tell(p, conn, reason)
			}
		}
		for _, t := range w.tallies {
			for _, ch := range p.Changes {
				if ch.Computation == t.Computation {
					t.add(ch)
				}
			}
		}
	}
	return nil
}

// concern is which computations have to be evaluated for a profile: a pure one only if
// it held a value by its version before, or has one by the states of its leaves.
func (w *walk) concern(d *decision, p *Profile) []*Computation {
	start := slices.Clone(w.everyone)
	for _, c := range w.brought {
		if p.values[c.ID] != nil {
			start = appendNew(start, c)
		}
	}
	w.leaves = w.leaves[:0] // noted first, because evaluating opens more
	for _, g := range p.groups {
		for _, s := range g.stored {
			w.leaves = append(w.leaves, s.leaf)
		}
		for _, s := range g.open {
			w.leaves = append(w.leaves, s.Leaf.ID)
		}
	}
	for _, leaf := range w.leaves {
		start = w.suspect(d, p, leaf, start)
	}
	return start
}

// suspect adds those pure readers of a leaf that have a value by the states.
func (w *walk) suspect(d *decision, p *Profile, leaf int64, start []*Computation) []*Computation {
	for _, c := range w.readers[leaf] {
		if slices.Contains(start, c) {
			continue
		}
		if changes(c.Next, nil, d.byState(p, c)) {
			start = append(start, c)
		}
	}
	return start
}

// include adds what another plan needs.
func (p *plan) include(o *plan) {
	var w Want
	w.Events, w.Computations, w.Connections, w.Traits = p.events, p.computations, p.connections, p.traits
	w.add(o)
	p.events, p.computations, p.connections, p.traits = w.Events, w.Computations, w.Connections, w.Traits
	for _, name := range o.names {
		p.names = appendNew(p.names, name)
	}
}
