package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"muster/identity"
	"muster/query"
)

// slotPiece is some of the touched profiles, locked.
type slotPiece struct {
	*decision
	profiles []*Profile
	moves    map[int64]*moved // by profile
}

// decide evaluates the touched profiles, piece by piece, and returns those with
// something to tell.
func (r *slotRun) decide(ctx context.Context) ([]*Profile, error) {
	ids := slices.Collect(maps.Keys(r.touched))
	slices.SortFunc(ids, CompareProfiles)
	chunks := slices.Collect(slices.Chunk(ids, r.chunk))
	instants := make(map[*Version]time.Time, len(r.versions))
	for _, v := range r.versions {
		instants[v] = r.slot
	}
	var told []*Profile
	work := pieces[*slotPiece]{
		next: func(ctx context.Context) (*slotPiece, bool, error) {
			if len(chunks) == 0 {
				return nil, false, nil
			}
			chunk := chunks[0]
			chunks = chunks[1:]
			piece, err := r.lock(ctx, chunk)
			if err != nil {
				return nil, false, err
			}
			piece.decision = &decision{catalog: r.catalog, now: r.now, cause: CauseSlot, instants: instants, replayAll: true}
			if r.catalog.Backfill != nil { // its progress counts as of the locks
				piece.running, err = r.tx.Running(ctx)
			}
			return piece, true, err
		},
		prepare: r.prepare,
		finish: func(ctx context.Context, piece *slotPiece) error {
			if err := r.tx.Save(ctx, r.catalog, piece.profiles); err != nil {
				return err
			}
			for _, p := range piece.profiles {
				r.count(p, piece.moves[p.ID])
				if len(p.Messages) > 0 {
					told = append(told, p)
				}
				p.release()
			}
			return nil
		},
	}
	err := work.do(ctx, r.tx)
	return told, err
}

// prepare evaluates a piece.
func (r *slotRun) prepare(ctx context.Context, stored Reader, piece *slotPiece) error {
	if err := r.load(ctx, stored, piece); err != nil {
		return err
	}
	for _, p := range piece.profiles {
		start := piece.moves[p.ID].start
		piece.settle(p, start)
		// Ids that came with a merge have not heard the value yet.
		for _, c := range start {
			for _, conn := range c.Connections {
				piece.tell(p, conn, ReasonNewID)
			}
		}
	}
	return nil
}

// lock locks the profiles of a chunk. What belongs to one that was merged since the
// scan goes to its heir, what belongs to a deleted one goes nowhere.
func (r *slotRun) lock(ctx context.Context, chunk []int64) (*slotPiece, error) {
	piece := &slotPiece{moves: make(map[int64]*moved, len(chunk))}
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
			piece.profiles = append(piece.profiles, profile)
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
		piece.moves[id] = r.touched[id]
	}
	return piece, nil
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

// load reads the piece's profiles and moves their states to the slot. Of suspects it
// reads the rest only where the move changes the value.
func (r *slotRun) load(ctx context.Context, stored Reader, piece *slotPiece) error {
	wants := make([]Want, 0, len(piece.profiles))
	for _, p := range piece.profiles {
		wants = append(wants, r.first(piece, p))
	}
	if err := stored.Load(ctx, wants); err != nil {
		return err
	}
	for _, p := range piece.profiles {
		m := piece.moves[p.ID]
		m.before = piece.byStates(p, m.suspects)
	}
	if err := r.move(ctx, stored, piece); err != nil {
		return err
	}
	wants = wants[:0]
	var reread []*Profile
	var names []string
	for _, p := range piece.profiles {
		m := piece.moves[p.ID]
		before := len(m.start)
		if want := r.second(piece, p); !want.empty() {
			wants = append(wants, want)
		}
		// Those who read what has moved may be replayed.
		if !slices.ContainsFunc(m.start[before:], func(c *Computation) bool { return len(r.catalog.plans[c].names) > 0 }) {
			continue
		}
		for _, c := range m.start {
			names = append(names, r.catalog.plans[c].names...)
		}
		p.history = nil
		reread = append(reread, p)
	}
	slices.Sort(names)
	if err := readHistory(ctx, stored, reread, slices.Compact(names)); err != nil || len(wants) == 0 {
		return err
	}
	return stored.Load(ctx, wants)
}

// first is what has to be known before the states move.
func (r *slotRun) first(piece *slotPiece, p *Profile) Want {
	m, want := piece.moves[p.ID], Want{Profile: p}
	m.suspects = slices.DeleteFunc(m.suspects, func(c *Computation) bool {
		if slices.Contains(m.start, c) {
			return true
		}
		v := r.catalog.versionFor(c, p, piece.running)
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
func (r *slotRun) move(ctx context.Context, stored Reader, piece *slotPiece) error {
	var names []string
	var replayed []int64
	byID := make(map[int64]*Profile, len(piece.profiles))
	for _, p := range piece.profiles {
		byID[p.ID] = p
		before := len(names)
		for _, c := range piece.moves[p.ID].start {
			names = append(names, r.catalog.plans[c].names...)
		}
		for l, d := range piece.moves[p.ID].deltas {
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
	err := stored.History(ctx, HistoryQuery{Profiles: replayed, Names: slices.Compact(names)}, func(id int64, ev *query.Event) error {
		p := byID[id]
		p.history = append(p.history, ev)
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range replayed {
		for l, d := range piece.moves[id].deltas {
			if d.rebuild {
				byID[id].State(l).State = rebuilt(l, byID[id].history, Mark{Cut: r.cut, AsOf: r.slot})
			}
		}
	}
	return nil
}

// second is what has to be known of the suspects whose value the move has changed.
func (r *slotRun) second(piece *slotPiece, p *Profile) Want {
	m, want := piece.moves[p.ID], Want{Profile: p}
	moved, before := piece.moved(p, m.suspects, m.before)
	m.start = append(m.start, moved...)
	p.unmarked = make(map[int64]bool, len(moved))
	for i, c := range moved {
		p.unmarked[c.ID] = true // those with a mark are looked at anyway, and no suspects
		if plan := r.catalog.plans[c]; !plan.alone {
			want.add(plan)
		} else {
			p.SetHeld(c.ID, Held{Value: before[i]})
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

func (r *slotRun) count(p *Profile, m *moved) {
	r.result.Profiles++
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

// plus adds what another part of the run did.
func (t *Tally) plus(o *Tally) {
	t.Profiles += o.Profiles
	t.Entered += o.Entered
	t.Exited += o.Exited
	t.Changed += o.Changed
}

// release drops what is not needed any more once the profile is saved.
func (p *Profile) release() {
	p.traits, p.groups, p.values, p.told, p.history, p.fanout, p.due, p.Changes = nil, nil, nil, nil, nil, nil, nil, nil
}
