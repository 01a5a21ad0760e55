package engine

import (
	"context"
	"fmt"
	"time"
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
			if comp.waits() {
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

// StepBackfill takes the running backfill some chunks of profiles further, in one
// transaction with its progress: killed anywhere, it goes on where it was. Memory is
// bounded by three chunks (see SetChunk): their profiles with what their events amount to,
// plus, where leaves are replayed, the events that these read. Other events pass one at a
// time.
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
		// Another process may have ended it meanwhile, and begun the next.
		if running, err := tx.LockBackfill(ctx); err != nil || running == nil || running.ID != progress.ID {
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
	s := &backfillStep{tx: tx, catalog: c, done: *running, now: now, chunk: e.chunk, left: e.chunks}
	work := pieces[*walk]{next: s.next, finish: s.finish, prepare: func(ctx context.Context, stored Reader, w *walk) error {
		return w.prepare(ctx, stored)
	}}
	if err := work.do(ctx, tx); err != nil || s.left == e.chunks {
		return progress, false, err
	}
	if err := tx.SetBackfill(ctx, &s.done, s.tallies, now); err != nil {
		return progress, false, err
	}
	if err := tx.Enqueue(ctx, s.told, now); err != nil {
		return progress, false, err
	}
	progress.Backfill, progress.Tallies = s.done, s.tallies
	return progress, true, nil
}

// backfillStep is the chunks of one transaction.
type backfillStep struct {
	tx      Tx
	catalog *Catalog
	done    Backfill // with the chunks that were begun
	now     time.Time
	chunk   int // profiles in each
	left    int // chunks
	tallies []*Tally
	told    []*Profile
}

// next locks the profiles of the next chunk.
func (s *backfillStep) next(ctx context.Context) (*walk, bool, error) {
	if s.left == 0 {
		return nil, false, nil
	}
	locked, err := s.tx.NextProfiles(ctx, &s.done, s.chunk)
	if err != nil || len(locked) == 0 {
		return nil, false, err
	}
	s.left--
	w := newWalk(s.catalog, &s.done, locked, s.now)
	s.done.At, s.done.Done = w.running.At, w.running.Done
	return w, true, nil
}

// finish writes a chunk.
func (s *backfillStep) finish(ctx context.Context, w *walk) error {
	if err := s.tx.Save(ctx, s.catalog, w.changed); err != nil {
		return err
	}
	s.done.EventsRead += w.eventsRead
	if s.tallies == nil {
		s.tallies = w.tallies
	} else {
		for i, t := range w.tallies { // of the same computations, in the same order
			s.tallies[i].plus(t)
		}
	}
	for _, p := range w.changed {
		if len(p.Messages) > 0 {
			p.release()
			s.told = append(s.told, p)
		}
	}
	return nil
}
