package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"muster/query"
)

// chunkOfProfiles is how many profiles a slot or a backfill holds in memory at once.
const chunkOfProfiles = 2000

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

// RunSlot brings the computations of a schedule up to the instant of a slot. It costs
// what has entered and left their windows since the last one: the event log is read in
// the slices that did, once for all of them, and only profiles that are concerned are
// evaluated. A slot that is not newer than the last one does nothing.
// now is the time of the changes and messages.
func (e *Engine) RunSlot(ctx context.Context, schedule string, slot, now time.Time) (SlotResult, error) {
	if err := e.repo.Prepare(ctx, nil, []time.Time{now}); err != nil {
		return SlotResult{}, fmt.Errorf("slot %s of %q: %w", slot.Format(time.RFC3339), schedule, err)
	}
	var cut int64
	err := e.repo.Transact(ctx, func(tx Tx) (err error) {
		// With the gate closed no smaller place in the order of arrival can turn up later.
		if err := tx.CloseGate(ctx); err != nil {
			return err
		}
		cut, err = tx.LastSeq(ctx)
		return err
	})
	if err != nil {
		return SlotResult{}, fmt.Errorf("slot %s of %q: %w", slot.Format(time.RFC3339), schedule, err)
	}
	var result SlotResult
	err = e.repo.Transact(ctx, func(tx Tx) error {
		r := &slotRun{tx: tx, schedule: schedule, slot: slot, cut: cut, now: now}
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

	versions []*Version
	leaves   []*Leaf // with windows, foldable
	marks    map[int64]Mark
	readers  map[int64][]*Computation // by leaf: who of the group reads it

	touched map[int64]*moved // by profile
	tallies map[*Computation]*Tally
	result  SlotResult
}

// moved is what the move of the windows means for one profile.
type moved struct {
	deltas map[*Leaf]*delta
	start  []*Computation
}

// delta is what entered and what left the window of a leaf.
type delta struct{ in, out State }

func (r *slotRun) run(ctx context.Context, e *Engine) (err error) {
	if err := r.tx.ShareGate(ctx); err != nil {
		return err
	}
	if r.catalog, err = e.current(ctx, r.tx); err != nil {
		return err
	}
	r.versions = r.catalog.Group(r.schedule)
	if len(r.versions) == 0 {
		return nil
	}
	if last, err := r.tx.LastSlot(ctx, r.versions); err != nil || last.After(r.slot) {
		return err
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
	if err := r.tx.RecordSlot(ctx, r.versions, r.slot, r.now, r.result); err != nil {
		return err
	}
	return r.tx.Enqueue(ctx, told, r.now)
}

// open locks the marks of the group's leaves.
func (r *slotRun) open(ctx context.Context) error {
	r.readers = make(map[int64][]*Computation)
	r.tallies = make(map[*Computation]*Tally)
	r.touched = make(map[int64]*moved)
	var ids []int64
	for _, v := range r.versions {
		r.tallies[v.Computation] = &Tally{Computation: v.Computation}
		for _, l := range v.Leaves {
			if l.Window == nil || !l.Foldable {
				continue
			}
			if r.readers[l.ID] == nil {
				r.leaves = append(r.leaves, l)
				ids = append(ids, l.ID)
			}
			r.readers[l.ID] = appendNew(r.readers[l.ID], v.Computation)
		}
	}
	var err error
	r.marks, err = r.tx.LockMarks(ctx, ids)
	return err
}

// scan reads what moved over the edges of the windows.
func (r *slotRun) scan(ctx context.Context) error {
	if len(r.leaves) == 0 {
		return nil
	}
	byName := make(map[string][]*Leaf)
	minCut := r.cut
	var ranges []TimeRange
	for _, l := range r.leaves {
		mark := r.marks[l.ID]
		byName[l.Event] = append(byName[l.Event], l)
		minCut = min(minCut, mark.Cut)
		if mark.AsOf.Before(r.slot) {
			ranges = append(ranges,
				TimeRange{mark.AsOf.Add(-l.Window.Far), r.slot.Add(-l.Window.Far)},
				TimeRange{mark.AsOf.Add(-l.Window.Near), r.slot.Add(-l.Window.Near)})
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
		arrivals := EventScan{Names: names, AfterSeq: minCut, UpToSeq: r.cut}
		if err := r.tx.ScanEvents(ctx, arrivals, take); err != nil {
			return err
		}
	}
	for _, span := range union(ranges) {
		crossed := EventScan{Names: names, UpToSeq: minCut, Range: &span}
		if err := r.tx.ScanEvents(ctx, crossed, take); err != nil {
			return err
		}
	}
	return nil
}

func (r *slotRun) delta(profileID int64, l *Leaf) *delta {
	m := r.touch(profileID)
	d := m.deltas[l]
	if d == nil {
		d = &delta{}
		m.deltas[l] = d
		for _, c := range r.readers[l.ID] {
			m.start = appendNew(m.start, c)
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

// decide evaluates the touched profiles, chunk by chunk, and returns those with
// something to tell.
func (r *slotRun) decide(ctx context.Context) ([]*Profile, error) {
	ids := slices.Collect(maps.Keys(r.touched))
	slices.SortFunc(ids, byBucket)
	var told []*Profile
	for chunk := range slices.Chunk(ids, chunkOfProfiles) {
		profiles, err := r.lock(ctx, chunk)
		if err != nil {
			return nil, err
		}
		if err := r.load(ctx, profiles); err != nil {
			return nil, err
		}
		d := &decision{
			catalog: r.catalog, now: r.now, asOf: r.now, slot: r.schedule, slotAt: r.slot,
			cause: CauseSlot, replayAll: true,
		}
		for _, p := range profiles {
			start := r.touched[p.ID].start
			d.settle(p, start)
			r.count(p, start)
			for _, c := range start {
				for _, conn := range c.Connections {
					d.tell(p, conn, ReasonNewID)
				}
			}
			if len(p.Messages) > 0 {
				told = append(told, p)
			}
		}
		if err := r.tx.Save(ctx, profiles); err != nil {
			return nil, err
		}
		for _, p := range profiles {
			p.release()
		}
	}
	return told, nil
}

// lock locks the profiles of a chunk. What belongs to one that was merged since the
// scan goes to its heir, what belongs to a deleted one goes nowhere.
func (r *slotRun) lock(ctx context.Context, chunk []int64) ([]*Profile, error) {
	var profiles []*Profile
	for ids := chunk; len(ids) > 0; {
		locked, err := r.tx.LockProfiles(ctx, ids)
		if err != nil {
			return nil, err
		}
		here := make(map[int64]bool, len(locked))
		for _, p := range locked {
			here[int64(p.ID)] = true
			profiles = append(profiles, NewProfile(int64(p.ID), p.Links))
		}
		var gone []int64
		for _, id := range ids {
			if !here[id] {
				gone = append(gone, id)
			}
		}
		if len(gone) == 0 {
			break
		}
		heirs, err := r.tx.Heirs(ctx, gone)
		if err != nil {
			return nil, err
		}
		ids = nil
		for _, id := range gone {
			heir, ok := heirs[id]
			if !ok {
				continue
			}
			_, already := r.touched[heir]
			r.inherit(heir, r.touched[id])
			if !already {
				ids = append(ids, heir)
			} else if !slices.ContainsFunc(profiles, func(p *Profile) bool { return p.ID == heir }) && !slices.Contains(chunk, heir) {
				// The heir is of another chunk: of a later one it takes the deltas along,
				// an earlier one is done already and the transaction must begin again.
				if byBucket(heir, chunk[0]) < 0 {
					return nil, ErrAgain
				}
			}
		}
	}
	return profiles, nil
}

func (r *slotRun) inherit(heir int64, m *moved) {
	to := r.touch(heir)
	for l, d := range m.deltas {
		have := to.deltas[l]
		if have == nil {
			to.deltas[l] = d
			continue
		}
		have.in.Merge(l.Leaf, d.in)
		have.out.Merge(l.Leaf, d.out)
	}
	for _, c := range m.start {
		to.start = appendNew(to.start, c)
	}
}

// load reads the chunk's profiles and moves their states to the slot.
func (r *slotRun) load(ctx context.Context, profiles []*Profile) error {
	wants := make([]Want, 0, len(profiles))
	var names []string
	for _, p := range profiles {
		w := Want{Profile: p}
		for _, c := range r.touched[p.ID].start {
			w.add(r.catalog.plans[c])
			for _, name := range r.catalog.plans[c].names {
				names = appendNew(names, name)
			}
		}
		wants = append(wants, w)
	}
	if err := r.tx.Load(ctx, wants); err != nil {
		return err
	}
	rebuild := make(map[int64][]*Leaf)
	byID := make(map[int64]*Profile, len(profiles))
	var replayed []int64
	for _, p := range profiles {
		byID[p.ID] = p
		for l, d := range r.touched[p.ID].deltas {
			s := p.State(l)
			s.Changed = true
			s.Merge(l.Leaf, d.in)
			if !s.Remove(l.Leaf, d.out) {
				rebuild[p.ID] = append(rebuild[p.ID], l)
				names = appendNew(names, l.Event)
			}
		}
		if len(names) > 0 {
			replayed = append(replayed, p.ID)
		}
	}
	if len(replayed) == 0 {
		return nil
	}
	q := HistoryQuery{Profiles: replayed, Names: names, UpTo: r.cut}
	err := r.tx.History(ctx, q, func(id int64, ev *query.Event) error {
		p := byID[id]
		p.history = append(p.history, ev)
		return nil
	})
	if err != nil {
		return err
	}
	for id, leaves := range rebuild {
		for _, l := range leaves {
			byID[id].State(l).State = rebuilt(l, byID[id].history, Mark{Cut: r.cut, AsOf: r.slot})
		}
	}
	return nil
}

// rebuilt folds a leaf's state at a mark from a history.
func rebuilt(l *Leaf, history []*query.Event, at Mark) State {
	var s State
	for _, ev := range history {
		if ev.Name == l.Event && ev.Arrival <= at.Cut && l.inWindow(ev.Time, at.AsOf) && l.counts(ev) {
			s.Add(l.Leaf, ev)
		}
	}
	return s
}

func (r *slotRun) count(p *Profile, start []*Computation) {
	r.result.Profiles++
	for _, c := range start {
		if t := r.tallies[c]; t != nil {
			t.Profiles++
		}
	}
	for _, ch := range p.Changes {
		t := r.tallies[ch.Computation]
		if t == nil {
			continue
		}
		t.add(ch)
	}
}

func (t *Tally) add(ch Change) {
	switch {
	case t.Computation.Kind != query.Audience:
		t.Changed++
	case ch.Value.AsBool():
		t.Entered++
	default:
		t.Exited++
	}
}

// release drops what is not needed any more once the profile is saved.
func (p *Profile) release() {
	p.traits, p.states, p.values, p.told, p.history, p.fanout, p.due, p.Changes = nil, nil, nil, nil, nil, nil, nil, nil
}

func byBucket(a, b int64) int {
	if x, y := ProfileBucket(a), ProfileBucket(b); x != y {
		return x - y
	}
	return int(min(max(a-b, -1), 1))
}

// union merges ranges that overlap or touch.
func union(ranges []TimeRange) []TimeRange {
	slices.SortFunc(ranges, func(a, b TimeRange) int { return a.From.Compare(b.From) })
	var merged []TimeRange
	for _, r := range ranges {
		if n := len(merged); n > 0 && !r.From.After(merged[n-1].To) {
			if r.To.After(merged[n-1].To) {
				merged[n-1].To = r.To
			}
			continue
		}
		merged = append(merged, r)
	}
	return merged
}
