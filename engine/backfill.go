package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"muster/query"
)

// Latest says which slot of a schedule is the newest at an instant.
type Latest func(schedule string, at time.Time) (time.Time, error)

// BeginBackfill starts a walk over all profiles for the versions that wait for one.
// It does nothing while another walk runs, or when nothing waits, and answers whether
// one runs now. Until the walk has passed a profile, the version that served it before
// goes on serving it.
func (e *Engine) BeginBackfill(ctx context.Context, latest Latest, now time.Time) (bool, error) {
	running := false
	err := e.repo.Transact(ctx, func(tx Tx) error {
		// Events before this moment are the backfill's, later ones are counted as they
		// come: the closed gate keeps any from being in flight.
		if err := tx.CloseCatalog(ctx); err != nil {
			return err
		}
		c, err := e.current(ctx, tx)
		if err != nil {
			return err
		}
		if running = c.Backfill != nil; running {
			return nil
		}
		var waiting []*Version
		for _, comp := range c.Computations {
			if comp.Next != nil && comp.Next.BackfillID == 0 {
				waiting = append(waiting, comp.Next.withLeaves())
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		running = true
		cut, err := tx.LastSeq(ctx)
		if err != nil {
			return err
		}
		asOf := make(map[string]time.Time)
		for _, v := range waiting {
			if v.Scheduled() && asOf[v.Schedule].IsZero() {
				if asOf[v.Schedule], err = groupAsOf(c, v.Schedule, latest, now); err != nil {
					return err
				}
			}
		}
		return tx.StartBackfill(ctx, waiting, cut, asOf, now)
	})
	if err != nil {
		return false, fmt.Errorf("begin a backfill: %w", err)
	}
	return running, nil
}

// withLeaves is the version with its leaves, of which only now is known that somebody
// keeps them up to date: while a version waits it has none.
func (v *Version) withLeaves() *Version {
	began := *v
	began.Leaves = make(map[string]*Leaf, len(v.Definition.Leaves))
	for _, l := range v.Definition.Leaves {
		leaf := &Leaf{Leaf: l}
		switch comp := v.Computation; {
		case !comp.IncludeHistorical:
			leaf.SinceSeq = comp.CreatedSeq
		case comp.BackfillDays > 0:
			leaf.Since = comp.CreatedAt.AddDate(0, 0, -comp.BackfillDays)
		}
		if len(l.Windows) > 0 {
			leaf.Schedule = v.Schedule
		}
		began.Leaves[l.Text] = leaf
	}
	return &began
}

// groupAsOf is the instant that the windows of a schedule show: that of its last slot,
// or the newest slot there is if none has run.
func groupAsOf(c *Catalog, schedule string, latest Latest, now time.Time) (time.Time, error) {
	if group := c.Group(schedule); len(group) > 0 {
		return time.Time{}, nil // the store takes the marks of the group
	}
	return latest(schedule, now)
}

// BackfillProgress is how far a walk has come.
type BackfillProgress struct {
	Backfill
	Finished bool
	Tallies  []*Tally // of this step
}

// StepBackfill takes the running backfill one chunk of profiles further, in one
// transaction with its progress: killed anywhere, it goes on where it was. Memory is
// bounded by the chunk (see SetChunk): its profiles with what their events amount to,
// plus, where leaves are replayed, the events that these read.
func (e *Engine) StepBackfill(ctx context.Context, now time.Time) (BackfillProgress, error) {
	var progress BackfillProgress
	if err := e.repo.Prepare(ctx, nil, []time.Time{now}); err != nil {
		return progress, fmt.Errorf("backfill: %w", err)
	}
	more := false
	err := e.repo.Transact(ctx, func(tx Tx) (err error) {
		progress, more, err = e.backfillChunk(ctx, tx, now)
		return err
	})
	if err != nil {
		return progress, fmt.Errorf("backfill: %w", err)
	}
	if more {
		return progress, nil
	}
	err = e.repo.Transact(ctx, func(tx Tx) error {
		if err := tx.CloseCatalog(ctx); err != nil {
			return err
		}
		return tx.FinishBackfill(ctx, now)
	})
	if err != nil {
		return progress, fmt.Errorf("finish a backfill: %w", err)
	}
	progress.Finished = true
	return progress, nil
}

func (e *Engine) backfillChunk(ctx context.Context, tx Tx, now time.Time) (progress BackfillProgress, more bool, err error) {
	if err := tx.ShareCatalog(ctx); err != nil {
		return progress, false, err
	}
	c, err := e.current(ctx, tx)
	if err != nil {
		return progress, false, err
	}
	// Two processes on one backfill take turns: the second waits here for the first.
	running, err := tx.LockBackfill(ctx)
	if err != nil || running == nil {
		return progress, false, err
	}
	progress.Backfill = *running
	locked, err := tx.NextProfiles(ctx, running, e.chunk)
	if err != nil || len(locked) == 0 {
		return progress, false, err
	}
	w := &walk{tx: tx, catalog: c, running: running, now: now}
	for _, p := range locked {
		w.profiles = append(w.profiles, NewProfile(int64(p.ID), p.Links))
	}
	if err := w.do(ctx); err != nil {
		return progress, false, err
	}
	progress.Backfill = *w.running
	progress.Tallies = w.tallies
	return progress, true, tx.Enqueue(ctx, w.profiles, now)
}

// walk is one chunk of a backfill.
type walk struct {
	tx       Tx
	catalog  *Catalog
	running  *Backfill
	now      time.Time
	profiles []*Profile

	brought  []*Computation         // those that it brings a version of in
	start    []*Computation         // these, and the readers of those that did not serve before
	instants map[*Version]time.Time // that scheduled versions are evaluated as of
	building map[string][]*Leaf     // leaves whose states are made, by event
	tallies  []*Tally
}

func (w *walk) do(ctx context.Context) error {
	w.open()
	needs := &plan{}
	for _, c := range w.start {
		needs.include(w.catalog.plans[c])
	}
	if err := w.load(ctx, needs); err != nil {
		return err
	}
	if err := w.fold(ctx, needs.names); err != nil {
		return err
	}
	// From here on the chunk's profiles are served by the new versions.
	last := w.profiles[len(w.profiles)-1]
	w.running.At = Place{last.Bucket, last.ID}
	w.running.Done += int64(len(w.profiles))
	d := &decision{
		catalog: w.catalog, running: w.running, now: w.now, cause: CauseBackfill,
		instants: w.instants, walks: true, replayAll: true,
	}
	for _, p := range w.profiles {
		d.settle(p, w.start)
		// Connections that came with the edit have not heard the value, even if it stays.
		for _, c := range w.brought {
			for _, conn := range c.Connections {
				d.tell(p, conn, ReasonFirstSync)
			}
		}
		for _, t := range w.tallies {
			t.Profiles++
			for _, ch := range p.Changes {
				if ch.Computation == t.Computation {
					t.add(ch)
				}
			}
		}
	}
	if err := w.tx.Save(ctx, w.catalog, w.profiles); err != nil {
		return err
	}
	return w.tx.SetBackfill(ctx, w.running, w.tallies)
}

// open finds out what is brought in.
func (w *walk) open() {
	w.instants = make(map[*Version]time.Time)
	w.building = make(map[string][]*Leaf)
	for _, comp := range w.catalog.Computations {
		v := comp.Next
		if v == nil || v.BackfillID != w.running.ID {
			continue
		}
		w.brought = append(w.brought, comp)
		w.tallies = append(w.tallies, &Tally{Computation: comp})
		w.start = appendNew(w.start, comp)
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
			if l.Foldable && !l.Built {
				w.building[l.Event] = appendNew(w.building[l.Event], l)
			}
		}
	}
}

func (w *walk) load(ctx context.Context, p *plan) error {
	wants := make([]Want, 0, len(w.profiles))
	for _, profile := range w.profiles {
		wants = append(wants, Want{
			Profile: profile, Events: p.events, Computations: p.computations, Connections: p.connections, Traits: p.traits,
		})
	}
	return w.tx.Load(ctx, wants)
}

// fold reads the chunk's events and adds them to the states of the new leaves, which
// hold what has come since the start of the backfill already. replayed are the events of
// leaves that are replayed.
func (w *walk) fold(ctx context.Context, replayed []string) error {
	names := slices.AppendSeq(slices.Clone(replayed), maps.Keys(w.building))
	if len(names) == 0 {
		return nil
	}
	byID := make(map[int64]*Profile, len(w.profiles))
	ids := make([]int64, 0, len(w.profiles))
	for _, p := range w.profiles {
		byID[p.ID] = p
		ids = append(ids, p.ID)
	}
	q := HistoryQuery{Profiles: ids, Names: names}
	if len(replayed) == 0 {
		q.UpTo = w.running.Cut
	}
	return w.tx.History(ctx, q, func(id int64, ev *query.Event) error {
		w.running.EventsRead++
		p := byID[id]
		if slices.Contains(replayed, ev.Name) {
			p.history = append(p.history, ev)
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
