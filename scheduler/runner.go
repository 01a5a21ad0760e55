package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Runner does the work of the slots that are due. Slots, Work and Now must be set; the
// other fields have useful zero values.
type Runner struct {
	Slots Slots

	// Work does what a slot is for, as of the instant of the slot. It may be called
	// again for the same slot, with a greater attempt, if it failed or its process died.
	// Its context ends when the runner is stopped or has lost the claim.
	Work func(ctx context.Context, slot Slot, attempt int) error

	// Now is the clock. It may be set back or forward while the runner works.
	Now func() time.Time

	// Wake makes the runner look at the jobs at once, because one was created, changed
	// or deleted.
	Wake <-chan struct{}

	Log *slog.Logger // nil: nothing is logged

	// Concurrency is how many slots are worked on at a time; 0 means 4.
	Concurrency int

	// Poll is how long the runner sleeps at most; 0 means 15 seconds. So late it sees
	// that a clock was set forward, or that another runner died.
	Poll time.Duration

	// Lease is how long a claim holds without being renewed; 0 means a minute. It is
	// renewed three times as often.
	Lease time.Duration
}

// Run works until the context ends, and then waits for the slots at hand, whose own
// contexts end too. It returns nil. Faults of the store are logged and waited out.
func (r *Runner) Run(ctx context.Context) error {
	l := loop{Runner: r.withDefaults(), busy: make(map[string]bool)}
	l.ended = make(chan string, l.Concurrency)
	defer l.working.Wait()
	for {
		timer := time.NewTimer(l.start(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case _, open := <-l.Wake:
			if !open {
				l.Wake = nil
			}
		case key := <-l.ended:
			delete(l.busy, key)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Settle does the slots that are due now, one after the other, and returns what went
// wrong with them. It is for those who move the clock themselves. Slots that another
// runner has, and failed ones whose time has not come, are left alone.
func (r *Runner) Settle(ctx context.Context) error {
	r = r.withDefaults()
	jobs, err := r.Slots.Jobs(ctx)
	if err != nil {
		return fmt.Errorf("read the schedules: %w", err)
	}
	var faults []error
	now := r.Now()
	for _, job := range jobs {
		slot, wait := job.next(now, r.Poll)
		if wait > 0 {
			continue
		}
		claim, err := r.Slots.Claim(ctx, slot, now, r.Lease)
		if err == nil && claim != nil {
			err = r.attempt(ctx, slot, claim)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("slot %s of %q: %w", slot.At.Format(time.RFC3339), job.Key, err))
		}
	}
	return errors.Join(faults...)
}

// withDefaults is a copy of the runner in which every field is set.
func (r *Runner) withDefaults() *Runner {
	c := *r
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 4
	}
	if c.Poll <= 0 {
		c.Poll = 15 * time.Second
	}
	if c.Lease <= 0 {
		c.Lease = time.Minute
	}
	return &c
}

// loop is the state of a running Runner. Only its own goroutine touches it.
type loop struct {
	*Runner
	busy    map[string]bool // by Job.Key: a slot is being worked on
	ended   chan string     // a slot of this job has ended; there is room for it and for others
	working sync.WaitGroup
}

// start begins the slots that are due, as far as there is room, and returns how long
// there is nothing else to do.
func (l *loop) start(ctx context.Context) time.Duration {
	jobs, err := l.Slots.Jobs(ctx)
	if err != nil {
		l.log(ctx).ErrorContext(ctx, "cannot read the schedules", "error", err)
		return l.Poll
	}
	now := l.Now()
	sleep := l.Poll
	for _, job := range jobs {
		slot, wait := job.next(now, l.Poll)
		if wait > 0 {
			sleep = min(sleep, wait)
			continue
		}
		if l.busy[job.Key] || len(l.busy) == l.Concurrency || ctx.Err() != nil {
			continue
		}
		claim, err := l.Slots.Claim(ctx, slot, now, l.Lease)
		if err != nil {
			l.log(ctx).ErrorContext(ctx, "cannot claim a slot", "job", job.Key, "slot", slot.At, "error", err)
			continue
		}
		if claim == nil {
			continue
		}
		l.busy[job.Key] = true
		l.working.Go(func() {
			_ = l.attempt(ctx, slot, claim) // it has been logged, and noted with the slot
			l.ended <- job.Key
		})
	}
	return sleep
}

// next is the slot of the job that is to be run now, or how long there is none, at
// most the given time.
func (j Job) next(now time.Time, most time.Duration) (slot Slot, wait time.Duration) {
	at, missed, due := j.Schedule.Due(j.Last, now)
	if !due {
		next := j.Schedule.Next(now)
		if next.IsZero() {
			return Slot{}, most
		}
		return Slot{}, min(next.Sub(now), most)
	}
	if wait := j.RetryAt.Sub(now); at.Equal(j.Failed) && wait > 0 && wait <= maxBackoff {
		return Slot{}, min(wait, most) // had it been longer, the clock was set back
	}
	return Slot{Key: j.Key, At: at, After: j.Last, Missed: missed}, 0
}

// log is where faults of the store are reported. Once the runner has been stopped it
// is silent: the only fault then is that the store was interrupted.
func (r *Runner) log(ctx context.Context) *slog.Logger {
	if ctx.Err() != nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}
