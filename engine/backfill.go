package engine

import (
	"context"
	"fmt"
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
		if err := tx.CloseGate(ctx); err != nil {
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
				waiting = append(waiting, comp.Next)
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
// bounded by the chunk: 2,000 profiles with what their events amount to, plus, for
// leaves that are replayed, their events.
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
		if err := tx.CloseGate(ctx); err != nil {
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
	if err := tx.ShareGate(ctx); err != nil {
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
	locked, err := tx.NextProfiles(ctx, running, chunkOfProfiles)
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

	versions []*Version
	tallies  []*Tally
}

func (w *walk) do(ctx context.Context) error {
	plan := &plan{}
	var names []string
	var building []*Leaf
	var first, edited []*Computation
	for _, comp := range w.catalog.Computations {
		v := comp.Next
		if v == nil || v.BackfillID != w.running.ID {
			continue
		}
		w.versions = append(w.versions, v)
		w.tallies = append(w.tallies, &Tally{Computation: comp})
		if comp.Current == nil {
			first = append(first, comp)
		} else {
			edited = append(edited, comp)
		}
		plan.include(w.catalog.plans[comp])
		for _, l := range v.Leaves {
			if !l.Foldable {
				for _, name := range l.Events {
					names = appendNew(names, name)
				}
			} else if !l.Built {
				building = appendNew(building, l)
				names = appendNew(names, l.Event)
			}
		}
	}
	if err := w.load(ctx, plan); err != nil {
		return err
	}
	if err := w.fold(ctx, names, building); err != nil {
		return err
	}
	// From here on the chunk's profiles are served by the new versions.
	last := w.profiles[len(w.profiles)-1]
	w.running.AtBucket, w.running.AtProfileID = last.Bucket, last.ID
	w.running.Done += int64(len(w.profiles))
	for _, p := range w.profiles {
		for _, part := range []struct {
			cause Cause
			start []*Computation
		}{{CauseBackfill, first}, {CauseEdit, edited}} {
			d := &decision{
				catalog: w.catalog, running: w.running, now: w.now, asOf: w.now,
				cause: part.cause, replayAll: true,
			}
			d.settle(p, part.start)
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
	if err := w.tx.Save(ctx, w.profiles); err != nil {
		return err
	}
	return w.tx.SetBackfill(ctx, w.running, w.tallies)
}

func (w *walk) load(ctx context.Context, p *plan) error {
	wants := make([]Want, 0, len(w.profiles))
	for _, profile := range w.profiles {
		wants = append(wants, Want{
			Profile: profile, Leaves: p.leaves, Computations: p.computations, Connections: p.connections, Traits: p.traits,
		})
	}
	return w.tx.Load(ctx, wants)
}

// fold reads the chunk's events and adds them to the states of the new leaves, which
// hold what has come since the start of the backfill already.
func (w *walk) fold(ctx context.Context, names []string, building []*Leaf) error {
	if len(names) == 0 {
		return nil
	}
	byName := make(map[string][]*Leaf)
	for _, l := range building {
		byName[l.Event] = append(byName[l.Event], l)
	}
	byID := make(map[int64]*Profile, len(w.profiles))
	ids := make([]int64, 0, len(w.profiles))
	for _, p := range w.profiles {
		byID[p.ID] = p
		ids = append(ids, p.ID)
	}
	replays := false
	for _, v := range w.versions {
		for _, l := range v.Leaves {
			replays = replays || !l.Foldable
		}
	}
	q := HistoryQuery{Profiles: ids, Names: names, UpTo: w.running.Cut}
	if replays {
		q.UpTo = 0
	}
	return w.tx.History(ctx, q, func(id int64, ev *query.Event) error {
		w.running.EventsRead++
		p := byID[id]
		if replays {
			p.history = append(p.history, ev)
		}
		for _, l := range byName[ev.Name] {
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
	w.Leaves, w.Computations, w.Connections, w.Traits = p.leaves, p.computations, p.connections, p.traits
	w.add(o)
	p.leaves, p.computations, p.connections, p.traits = w.Leaves, w.Computations, w.Connections, w.Traits
	for _, name := range o.names {
		p.names = appendNew(p.names, name)
	}
}
