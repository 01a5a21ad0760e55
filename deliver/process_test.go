package deliver

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// process is a running Deliverer in a test. Its link to the queue can be cut, as
// by a crash.
type process struct {
	link *link
	stop context.CancelFunc
	done chan struct{}
}

// start runs a deliverer inside a synctest bubble.
func start(t testing.TB, q *memQueue, owner string, ts ...Target) *process {
	t.Helper()
	return startOn(t, &link{memQueue: q}, owner, ts...)
}

// startOn is start with a link that a test has prepared.
func startOn(t testing.TB, l *link, owner string, ts ...Target) *process {
	t.Helper()
	p := &process{link: l, done: make(chan struct{})}
	d, err := New(Config{
		Queue: p.link, Targets: targets(ts...), Owner: owner, Now: time.Now, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.done)
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return p
}

func (p *process) end() {
	p.stop()
	<-p.done
}

// crash cuts the process off: nothing that it still does reaches the queue.
func (p *process) crash() {
	p.link.dead.Store(true)
	p.end()
}

var errCut = errors.New("the process is dead")

// link is a process's connection to the queue.
type link struct {
	*memQueue
	dead atomic.Bool
	// fault may make a call fail, before it is applied or, with its answer lost,
	// after; nil: never.
	fault func(op string) (before, after error)
}

func (l *link) try(op string, do func() error) error {
	if l.dead.Load() {
		return errCut
	}
	var before, after error
	if l.fault != nil {
		before, after = l.fault(op)
	}
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

func (l *link) Acquire(ctx context.Context, c Claim) (leases []Lease, err error) {
	err = l.try("acquire", func() error { leases, err = l.memQueue.Acquire(ctx, c); return err })
	if err != nil {
		return nil, err
	}
	return leases, nil
}

func (l *link) Release(ctx context.Context, leases []Lease) error {
	return l.try("release", func() error { return l.memQueue.Release(ctx, leases) })
}

func (l *link) Read(ctx context.Context, lane Lane, after int64, limit int) (entries []Entry, err error) {
	err = l.try("read", func() error { entries, err = l.memQueue.Read(ctx, lane, after, limit); return err })
	if err != nil {
		return nil, err
	}
	return entries, nil
}

func (l *link) MarkInFlight(ctx context.Context, lease Lease, seqs []int64) error {
	return l.try("mark", func() error { return l.memQueue.MarkInFlight(ctx, lease, seqs) })
}

func (l *link) Commit(ctx context.Context, lease Lease, p Progress) error {
	return l.try("commit", func() error { return l.memQueue.Commit(ctx, lease, p) })
}

func (l *link) Barriers(ctx context.Context, destination string, ids []string) (states map[string]BarrierState, err error) {
	err = l.try("barriers", func() error { states, err = l.memQueue.Barriers(ctx, destination, ids); return err })
	if err != nil {
		return nil, err
	}
	return states, nil
}

func (l *link) Wait(ctx context.Context) (lanes []Lane, err error) {
	err = l.try("wait", func() error { lanes, err = l.memQueue.Wait(ctx); return err })
	if err != nil {
		return nil, err
	}
	return lanes, nil
}
