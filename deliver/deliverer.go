package deliver

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Defaults of Config.
const (
	DefaultLeaseTTL = 10 * time.Second
	DefaultGrace    = 10 * time.Second
)

// queuePause is how long a loop waits after the queue failed.
const queuePause = time.Second

// Config is what a Deliverer needs.
type Config struct {
	Queue Queue
	// Targets lists the destinations that this process can send to. It is asked
	// again several times per LeaseTTL, so that new ones and changed settings take
	// effect without a restart. Names must differ.
	Targets func(ctx context.Context) ([]Target, error)
	// Owner names this process in leases: unique per process and start.
	Owner string
	Now   func() time.Time
	// Random returns a number in [0, 1), for jitter. Safe for concurrent use.
	Random func() float64

	Log     *slog.Logger // nil: nothing is logged
	Metrics Metrics      // nil: nothing is measured

	// LeaseTTL is how long the lanes of a process that died stay its own. They are
	// renewed three times as often. 0 means DefaultLeaseTTL.
	LeaseTTL time.Duration
	// Grace is how long Sends under way may go on once Run is told to stop. 0
	// means DefaultGrace.
	Grace time.Duration
}

// Deliverer sends what is queued. Several, in one process or many, may share a
// queue.
type Deliverer struct {
	config Config
	mu     sync.Mutex // held by Run or Drain
	due    time.Time
}

// New returns a Deliverer, or an error that lists everything that is missing.
func New(c Config) (*Deliverer, error) {
	var faults []error
	for _, f := range []struct {
		missing bool
		name    string
	}{
		{c.Queue == nil, "Queue"},
		{c.Targets == nil, "Targets"},
		{c.Owner == "", "Owner"},
		{c.Now == nil, "Now"},
		{c.Random == nil, "Random"},
		{c.LeaseTTL < 0, "LeaseTTL (it is negative)"},
		{c.Grace < 0, "Grace (it is negative)"},
	} {
		if f.missing {
			faults = append(faults, errors.New("deliver: set Config."+f.name))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	c.LeaseTTL = cmp.Or(c.LeaseTTL, DefaultLeaseTTL)
	c.Grace = cmp.Or(c.Grace, DefaultGrace)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = unheard{}
	}
	return &Deliverer{config: c}, nil
}

// Run delivers until ctx ends, then lets what is in flight finish for Config.Grace
// at most, stores its outcome, gives its lanes back and returns nil. Failures of
// the queue are logged and waited out.
func (d *Deliverer) Run(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()

	// Sends live in work: it outlasts ctx by the grace.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	h := newHolding(d, ctx, work)
	defer h.close()

	var loops, lanes sync.WaitGroup
	loops.Go(h.listen)
	loops.Go(func() {
		for ctx.Err() == nil {
			taken, err := h.beat(false)
			if err != nil {
				h.complain(err)
			}
			for _, w := range taken {
				lanes.Go(w.run)
			}
			pause(ctx, d.config.LeaseTTL/3, nil)
		}
	})
	loops.Wait()

	grace := time.AfterFunc(d.config.Grace, cut)
	defer grace.Stop()
	done := make(chan struct{})
	go func() { lanes.Wait(); close(done) }()
	h.keep(done)
	return nil
}

// Drain delivers what is queued now and returns when nothing is left, or only
// what has to wait: for a retry, for a barrier to settle, for a destination that
// is paused or halted, for lanes that other processes hold. The clock may stand
// still meanwhile; Due tells how far to move it. An error is the queue's, or
// that of ctx.
func (d *Deliverer) Drain(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = time.Time{}

	h := newHolding(d, ctx, ctx)
	defer h.close()
	workers, err := h.beat(false)
	if err != nil {
		return err
	}
	done, kept := make(chan struct{}), make(chan struct{})
	go func() { h.keep(done); close(kept) }()
	defer func() { close(done); <-kept }()
	defer func() {
		var all sync.WaitGroup
		for _, w := range workers {
			all.Go(w.leave)
		}
		all.Wait()
	}()

	for {
		rests := make([]rest, len(workers))
		var lanes errgroup.Group
		for i, w := range workers {
			lanes.Go(func() (err error) {
				rests[i], err = w.pass()
				return err
			})
		}
		if err := lanes.Wait(); err != nil {
			return err
		}
		var moved, shared bool
		for _, r := range rests {
			moved = moved || r.moved
			shared = shared || r.shared
		}
		if moved && shared {
			continue // one lane's step may have opened another lane's barrier
		}
		for _, r := range rests {
			if !r.due.IsZero() && (d.due.IsZero() || r.due.Before(d.due)) {
				d.due = r.due
			}
		}
		return nil
	}
}

// Due is the earliest time at which something that the last Drain left can go
// on; zero if nothing waits for time to pass.
func (d *Deliverer) Due() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.due
}

// pause waits for d, a wake-up or the end of ctx.
func pause(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}
