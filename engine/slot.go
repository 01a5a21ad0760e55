package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"muster/query"
)

// Tally is what a run did for one computation.
type Tally struct {
	Computation              *Computation
	Profiles                 int64 // evaluated
	Entered, Exited, Changed int64
}

// SlotResult is what a slot did.
type SlotResult struct {
	EventsRead int64 // by all computations together
	Profiles   int64 // looked at
	Tallies    []*Tally
}

// RunSlot brings the computations of a schedule up to the instant of a slot, with all that
// is stored when it runs. It costs what has entered and left their windows since the last
// one: the event log is read in the slices that did, once for all of them, and only
// profiles that are concerned are evaluated. A slot that is older than the last one does
// nothing. now is the time of the changes and messages.
func (e *Engine) RunSlot(ctx context.Context, schedule string, slot, now time.Time) (SlotResult, error) {
	if err := e.repo.Prepare(ctx, nil, []time.Time{now}); err != nil {
		return SlotResult{}, fmt.Errorf("slot %s of %q: %w", slot.Format(time.RFC3339), schedule, err)
	}
	cut, err := e.repo.CleanCut(ctx)
	if err != nil {
		return SlotResult{}, fmt.Errorf("slot %s of %q: %w", slot.Format(time.RFC3339), schedule, err)
	}
	var result SlotResult
	err = e.repo.Transact(ctx, func(tx Tx) error {
		r := &slotRun{tx: tx, schedule: schedule, slot: slot, cut: cut, now: now, chunk: e.chunk}
		if err := r.run(ctx, e); err != nil {
			return err
		}
		result = r.result
		return nil
	})
	if err != nil {
		return SlotResult{}, fmt.Errorf("slot %s of %q: %w", slot.Format(time.RFC3339), schedule, err)
	}
	return result, nil
}

// slotRun is the transaction of one slot.
type slotRun struct {
	tx       Tx
	catalog  *Catalog
	schedule string
	slot     time.Time
	cut      int64 // events that arrived later are the next slot's
	now      time.Time
	chunk    int

	versions []*Version
	leaves   []*Leaf // with windows, foldable
	marks    map[int64]Mark
	readers  map[int64][]*Computation // by leaf: who of the group reads it

	touched map[int64]*moved // by profile
	done    map[int64]bool   // profiles that are evaluated already
	tallies map[*Computation]*Tally
	result  SlotResult
}

// moved is what the move of the windows means for one profile.
type moved struct {
	deltas   map[*Leaf]*delta
	suspects []*Computation // change only if the deltas change the value
	before   []query.Value  // of the suspects
	start    []*Computation // must be evaluated
}

// delta is what entered and what left the window of a leaf.
type delta struct {
	in, out State
	rebuild bool // the state before cannot tell the one after
}

func (r *slotRun) run(ctx context.Context, e *Engine) (err error) {
	if err := r.tx.ShareCatalog(ctx); err != nil {
		return err
	}
	if r.catalog, err = e.current(ctx, r.tx); err != nil {
		return err
	}
	r.versions = r.catalog.Group(r.schedule)
	if len(r.versions) == 0 {
		return nil
	}
	instants, err := r.tx.LockVersions(ctx, r.versions)
	if err != nil {
		return err
	}
	for _, last := range instants {
		if last.After(r.slot) {
			return nil
		}
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	if err := r.scan(ctx); err != nil {
		return err
	}
	if err := r.due(ctx); err != nil {
		return err
	}
	told, err := r.decide(ctx)
	if err != nil {
		return err
	}
	marks := make(map[int64]Mark, len(r.leaves))
	for _, l := range r.leaves {
		marks[l.ID] = Mark{Cut: r.cut, AsOf: r.slot}
	}
	if err := r.tx.SetMarks(ctx, marks, r.versions, r.slot); err != nil {
		return err
	}
	for _, v := range r.versions {
		if t := r.tallies[v.Computation]; t != nil {
			r.result.Tallies = append(r.result.Tallies, t)
		}
	}
	if err := r.tx.RecordSlot(ctx, r.slot, r.now, r.result); err != nil {
		return err
	}
	return r.tx.Enqueue(ctx, told, r.now)
}

// open locks the marks of the group's leaves.
func (r *slotRun) open(ctx context.Context) error {
	r.readers = make(map[int64][]*Computation)
	r.tallies = make(map[*Computation]*Tally)
	r.touched = make(map[int64]*moved)
	r.done = make(map[int64]bool)
	var ids []int64
	for _, v := range r.versions {
		r.tallies[v.Computation] = &Tally{Computation: v.Computation}
		for _, l := range v.Leaves {
			if !l.Moves() {
				continue
			}
			if r.readers[l.ID] == nil {
				r.leaves = append(r.leaves, l)
				ids = append(ids, l.ID)
			}
			r.readers[l.ID] = appendNew(r.readers[l.ID], v.Computation)
		}
	}
	// A version that a backfill is bringing in may read a leaf that moves here. It serves the
	// profiles that the walk has done, and has to look at these at its own first slot.
	for _, c := range r.catalog.Computations {
		for _, v := range r.catalog.versions(c) {
			for _, l := range v.Leaves {
				if v == c.Next && r.readers[l.ID] != nil {
					r.readers[l.ID] = appendNew(r.readers[l.ID], c)
				}
			}
		}
	}
	var err error
	if r.marks, err = r.tx.LockMarks(ctx, ids); err != nil {
		return err
	}
	// Another slot or a backfill may have gone further since this one made its cut; to go
	// back would count what came between twice.
	for _, m := range r.marks {
		r.cut = max(r.cut, m.Cut)
	}
	return nil
}

// scan reads what moved over the edges of the windows.
func (r *slotRun) scan(ctx context.Context) error {
	if len(r.leaves) == 0 {
		return nil
	}
	byName := make(map[string][]*Leaf)
	minCut := r.cut
	var spans []Span
	for _, l := range r.leaves {
		mark := r.marks[l.ID]
		byName[l.Event] = append(byName[l.Event], l)
		minCut = min(minCut, mark.Cut)
		if mark.AsOf.Before(r.slot) {
			spans = append(spans,
				Span{mark.AsOf.Add(-l.Window.Far), r.slot.Add(-l.Window.Far), []string{l.Event}},
				Span{mark.AsOf.Add(-l.Window.Near), r.slot.Add(-l.Window.Near), []string{l.Event}})
		}
	}
	names := slices.Sorted(maps.Keys(byName))
	take := func(profileID int64, ev *query.Event) error {
		r.result.EventsRead++
		for _, l := range byName[ev.Name] {
			mark := r.marks[l.ID]
			was := ev.Arrival <= mark.Cut && l.inWindow(ev.Time, mark.AsOf)
			is := ev.Arrival <= r.cut && l.inWindow(ev.Time, r.slot)
			if was == is || !l.counts(ev) {
				continue
			}
			d := r.delta(profileID, l)
			if is {
				d.in.Add(l.Leaf, ev)
			} else {
				d.out.Add(l.Leaf, ev)
			}
		}
		return nil
	}
	if minCut < r.cut {
		if err := r.tx.ScanArrivals(ctx, names, minCut, r.cut, take); err != nil {
			return err
		}
	}
	return r.tx.ScanSpans(ctx, union(spans), minCut, take)
}

func (r *slotRun) delta(profileID int64, l *Leaf) *delta {
	m := r.touch(profileID)
	d := m.deltas[l]
	if d == nil {
		d = &delta{}
		m.deltas[l] = d
		for _, c := range r.readers[l.ID] {
			m.suspects = appendNew(m.suspects, c)
		}
	}
	return d
}

func (r *slotRun) touch(profileID int64) *moved {
	m := r.touched[profileID]
	if m == nil {
		m = &moved{deltas: make(map[*Leaf]*delta)}
		r.touched[profileID] = m
	}
	return m
}

// due adds the profiles that wait for a look: something that a computation reads has
// changed, or a date has come.
func (r *slotRun) due(ctx context.Context) error {
	return r.tx.Due(ctx, r.versions, r.slot, func(profileID, computationID int64) {
		m := r.touch(profileID)
		m.start = appendNew(m.start, r.catalog.Computation(computationID))
	})
}

// union merges spans that overlap or touch, so that no event is in two of them.
func union(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	var merged []Span
	for _, s := range spans {
		n := len(merged) - 1
		if n < 0 || s.From.After(merged[n].To) {
			merged = append(merged, s)
			continue
		}
		if s.To.After(merged[n].To) {
			merged[n].To = s.To
		}
		for _, name := range s.Names {
			merged[n].Names = appendNew(merged[n].Names, name)
		}
	}
	return merged
}
