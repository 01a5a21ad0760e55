package app

import (
	"context"
	"strings"
	"time"

	"muster/engine"
	"muster/store"
)

// Retention says for how long what is kept that could be kept for good; 0: for good.
type Retention struct {
	Events time.Duration // the log of events; what windows look at stays in any case
	Values time.Duration // the history of values: who was in which audience when
}

// sweepEvery is how often what is not needed any more is dropped.
const sweepEvery = time.Hour

func (a *App) sweepLoop(ctx context.Context) error {
	for {
		if err := a.Sweep(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("not everything could be swept, trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sweepEvery):
		}
	}
}

// Sweep drops what is not needed any more, see store.Store.Sweep and Options.Retention, and
// queues again what is withheld of people who are suppressed no more.
func (a *App) Sweep(ctx context.Context) error {
	swept, err := a.Store.Sweep(ctx, store.Keep{DedupWindow: a.dedupWindow, Values: a.retention.Values}, a.now())
	if swept != (store.Swept{}) {
		a.log.Info("swept", "days_of_message_keys", swept.KeyDays, "months_of_values", swept.ValueMonths, "parts_of_the_queue", swept.QueueParts,
			"runs", swept.Runs, "violations", swept.Violations, "dead_letters", swept.DeadLetters, "ledger_lines", swept.Ledger)
	}
	if err != nil {
		return err
	}
	if err := retryWithheld(ctx, a.Store, a.rules, a.now()); err != nil {
		return err
	}
	return a.dropEvents(ctx)
}

// dropEvents drops the events that are older than the retention and than what any
// definition looks at.
func (a *App) dropEvents(ctx context.Context) error {
	if a.retention.Events == 0 {
		return nil
	}
	now := a.now()
	reach, err := Reach(ctx, a.Store, now)
	if err != nil {
		return err
	}
	switch {
	case len(reach.Whole) > 0:
		a.log.Warn("old events are kept, because some definitions look at the whole log: give them a window, or leave retention out",
			"computations", strings.Join(reach.Whole, ", "))
		return nil
	case reach.Waiting: // a backfill reads the log; the next sweep will see
		return nil
	}
	before := now.Add(-a.retention.Events)
	if reach.Since.Before(before) {
		before = reach.Since
		a.log.Info("events are kept for longer than the retention says, because a definition looks back so far", "computation", reach.Key, "since", reach.Since)
	}
	months, err := a.Store.DropEvents(ctx, before, reach.Version, now)
	if months > 0 {
		a.log.Info("old events dropped", "months", months, "from_before", before)
	}
	return err
}

// Reach says how much of the log of events the definitions need, see engine.Inspector.Reach.
func Reach(ctx context.Context, s *store.Store, now time.Time) (engine.Reach, error) {
	return inspector(s).Reach(ctx, now)
}
