package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"muster/identity"
	"muster/query"
)

// decide evaluates the touched profiles, chunk by chunk, and returns those with
// something to tell.
func (r *slotRun) decide(ctx context.Context) ([]*Profile, error) {
	ids := slices.Collect(maps.Keys(r.touched))
	slices.SortFunc(ids, CompareProfiles)
	instants := make(map[*Version]time.Time, len(r.versions))
	for _, v := range r.versions {
		instants[v] = r.slot
	}
	var told []*Profile
	for chunk := range slices.Chunk(ids, r.chunk) {
		profiles, err := r.lock(ctx, chunk)
		if err != nil {
			return nil, err
		}
		d := &decision{catalog: r.catalog, now: r.now, cause: CauseSlot, instants: instants, replayAll: true}
		if r.catalog.Backfill != nil { // its progress counts as of the locks
			if d.running, err = r.tx.Running(ctx); err != nil {
				return nil, err
			}
		}
		if err := r.load(ctx, d, profiles); err != nil {
			return nil, err
		}
		for _, p := range profiles {
			start := r.touched[p.ID].start
			d.settle(p, start)
			r.count(p)
			// Ids that came with a merge have not heard the value yet.
			for _, c := range start {
				for _, conn := range c.Connections {
					d.tell(p, conn, ReasonNewID)
				}
			}
			if len(p.Messages) > 0 {
				told = append(told, p)
			}
		}
		if err := r.tx.Save(ctx, r.catalog, profiles); err != nil {
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
	here := make(map[int64]bool, len(chunk))
	ids := slices.DeleteFunc(slices.Clone(chunk), func(id int64) bool { return r.done[id] }) // an heir, already
	for len(ids) > 0 {
		locked, err := r.tx.LockProfiles(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, p := range locked {
			here[int64(p.ID)] = true
			profile := NewProfile(int64(p.ID), p.Links)
			profile.silent = p.Suppressed
			profiles = append(profiles, profile)
		}
		gone := slices.DeleteFunc(ids, func(id int64) bool { return here[id] })
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
			switch {
			case !ok:
				continue
			case r.done[heir]:
				return nil, ErrAgain // it was evaluated without what it inherits
			}
			r.inherit(heir, r.touched[id])
			if !here[heir] {
				ids = appendNew(ids, heir)
			}
		}
	}
	for id := range here {
		r.done[id] = true
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
	for _, c := range m.suspects {
		to.suspects = appendNew(to.suspects, c)
	}
	for _, c := range m.start {
		to.start = appendNew(to.start, c)
	}
}

// load reads the chunk's profiles and moves their states to the slot. Of suspects it
// reads the rest only where the move changes the value.
func (r *slotRun) load(ctx context.Context, d *decision, profiles []*Profile) error {
	wants := make([]Want, 0, len(profiles))
	for _, p := range profiles {
		wants = append(wants, r.first(d, p))
	}
	if err := r.tx.Load(ctx, wants); err != nil {
		return err
	}
	for _, p := range profiles {
		m := r.touched[p.ID]
		m.before = d.byStates(p, m.suspects)
	}
	if err := r.move(ctx, profiles); err != nil {
		return err
	}
	wants = wants[:0]
	var reread []*Profile
	var names []string
	for _, p := range profiles {
		before := len(r.touched[p.ID].start)
		if want := r.second(d, p); !want.empty() {
			wants = append(wants, want)
		}
		needs := &plan{}
		for _, c := range r.touched[p.ID].start[before:] { // those who read it may be replayed
			needs.include(r.catalog.plans[c])
		}
		if len(needs.names) == 0 {
			continue
		}
		for _, c := range r.touched[p.ID].start[:before] {
			needs.include(r.catalog.plans[c])
		}
		p.history = nil
		reread = append(reread, p)
		names = append(names, needs.names...)
	}
	slices.Sort(names)
	if err := readHistory(ctx, r.tx, reread, slices.Compact(names)); err != nil || len(wants) == 0 {
		return err
	}
	return r.tx.Load(ctx, wants)
}

// first is what has to be known before the states move.
func (r *slotRun) first(d *decision, p *Profile) Want {
	m, want := r.touched[p.ID], Want{Profile: p}
	m.suspects = slices.DeleteFunc(m.suspects, func(c *Computation) bool {
		if slices.Contains(m.start, c) {
			return true
		}
		v := r.catalog.versionFor(c, p, d.running)
		if v == nil || !v.Pure() || v.Refresh == RefreshRealtime {
			m.start = append(m.start, c)
			return true
		}
		want.addStates(v)
		return !identity.Eligible(p.Links, c.IncludeAnonymous)
	})
	for l := range m.deltas {
		want.Events = appendNew(want.Events, l.Event)
	}
	for _, c := range m.start {
		want.add(r.catalog.plans[c])
	}
	return want
}

// move moves the states to the slot, and reads the history of profiles with leaves that
// are replayed, or whose state cannot tell what remains when something leaves it.
func (r *slotRun) move(ctx context.Context, profiles []*Profile) error {
	var names []string
	var replayed []int64
	byID := make(map[int64]*Profile, len(profiles))
	for _, p := range profiles {
		byID[p.ID] = p
		before := len(names)
		for _, c := range r.touched[p.ID].start {
			names = append(names, r.catalog.plans[c].names...)
		}
		for l, d := range r.touched[p.ID].deltas {
			s := p.State(l)
			s.Changed = true
			s.Merge(l.Leaf, d.in)
			if !s.Remove(l.Leaf, d.out) {
				d.rebuild = true
				names = append(names, l.Event)
			}
		}
		if len(names) > before {
			replayed = append(replayed, p.ID)
		}
	}
	if len(replayed) == 0 {
		return nil
	}
	slices.Sort(names)
	err := r.tx.History(ctx, HistoryQuery{Profiles: replayed, Names: slices.Compact(names)}, func(id int64, ev *query.Event) error {
		p := byID[id]
		p.history = append(p.history, ev)
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range replayed {
		for l, d := range r.touched[id].deltas {
			if d.rebuild {
				byID[id].State(l).State = rebuilt(l, byID[id].history, Mark{Cut: r.cut, AsOf: r.slot})
			}
		}
	}
	return nil
}

// second is what has to be known of the suspects whose value the move has changed.
func (r *slotRun) second(d *decision, p *Profile) Want {
	m, want := r.touched[p.ID], Want{Profile: p}
	moved, before := d.moved(p, m.suspects, m.before)
	m.start = append(m.start, moved...)
	p.unmarked = make(map[int64]bool, len(moved))
	for i, c := range moved {
		p.unmarked[c.ID] = true // those with a mark are looked at anyway, and no suspects
		if plan := r.catalog.plans[c]; !plan.alone {
			want.add(plan)
		} else {
			p.values[c.ID] = &Held{Value: before[i]}
			want.addConnections(c.Connections)
		}
	}
	want.Events = slices.DeleteFunc(want.Events, p.loaded)
	return want
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

func (r *slotRun) count(p *Profile) {
	r.result.Profiles++
	m := r.touched[p.ID]
	for _, looked := range [][]*Computation{m.start, m.suspects} {
		for _, c := range looked {
			if t := r.tallies[c]; t != nil {
				t.Profiles++
			}
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
	p.traits, p.groups, p.values, p.told, p.history, p.fanout, p.due, p.Changes = nil, nil, nil, nil, nil, nil, nil, nil
}
