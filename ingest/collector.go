package ingest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Reasons why a Collector does not store calls. The caller may try again later.
var (
	ErrBusy        = errors.New("too many calls are waiting to be stored")
	ErrClosed      = errors.New("no more calls are taken: shutting down")
	ErrUnavailable = errors.New("calls cannot be stored at present")
)

// CollectorConfig tunes a Collector. Zero values mean the defaults.
type CollectorConfig struct {
	Wait     time.Duration // how long a group waits for company; default 3 ms
	MaxGroup int           // calls after which a group waits no longer; default 2,000
	Workers  int           // groups stored at the same time; default 4
	MaxCalls int           // calls taken but not yet stored; default 20,000
	MaxBytes int           // their request bodies together; default 64 MiB
	Drain    time.Duration // how long Run stores what is left when it ends; default 30 s
	Log      *slog.Logger  // nil means none
}

// Collector groups the calls of many requests into few transactions. The calls of
// one request stay in one group.
type Collector struct {
	sink  Sink
	cfg   CollectorConfig
	queue chan *submission

	gather sync.Mutex // held by the worker that collects a group

	mu     sync.Mutex // guards the rest
	calls  int        // taken but not yet stored
	bytes  int
	closed bool
}

// submission is one request's calls on their way.
type submission struct {
	items []Item
	bytes int
	done  chan fate // receives once
}

type fate struct {
	results []Result
	err     error
}

// NewCollector returns a collector in front of sink. It stores nothing until Run.
func NewCollector(sink Sink, cfg CollectorConfig) *Collector {
	cfg.Wait = cmp.Or(cfg.Wait, 3*time.Millisecond)
	cfg.MaxGroup = cmp.Or(cfg.MaxGroup, 2_000)
	cfg.Workers = cmp.Or(cfg.Workers, 4)
	cfg.MaxCalls = cmp.Or(cfg.MaxCalls, 20_000)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 64<<20)
	cfg.Drain = cmp.Or(cfg.Drain, 30*time.Second)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	return &Collector{
		sink: sink,
		cfg:  cfg,
		// Each submission holds at least one call, so that a send never blocks.
		queue: make(chan *submission, cfg.MaxCalls+1),
	}
}

// Submit hands in the calls of one request, whose body had the given number of
// bytes, and waits until they are stored. The error is ErrBusy or ErrClosed when
// they were not taken, ErrUnavailable when the sink failed, or that of ctx; after
// the last two they may have been stored or may yet be.
func (c *Collector) Submit(ctx context.Context, items []Item, bytes int) ([]Result, error) {
	if len(items) == 0 {
		return nil, nil
	}
	s := &submission{items: items, bytes: bytes, done: make(chan fate, 1)}
	if err := c.enqueue(s); err != nil {
		return nil, err
	}
	select {
	case f := <-s.done:
		return f.results, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Backlog is the number of calls taken but not yet stored.
func (c *Collector) Backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// enqueue takes s unless the collector is full. One that is empty takes anything:
// else a request larger than the limits could never succeed.
func (c *Collector) enqueue(s *submission) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.calls > 0 && (c.calls+len(s.items) > c.cfg.MaxCalls || c.bytes+s.bytes > c.cfg.MaxBytes) {
		return ErrBusy
	}
	c.calls += len(s.items)
	c.bytes += s.bytes
	c.queue <- s
	return nil
}

// Run, which is called once, stores what is submitted until ctx ends. It then takes no
// more, stores what it has, and returns; after the time in CollectorConfig.Drain it
// gives up on the rest and says so. Stop the HTTP server first, so that its requests
// find the collector open.
func (c *Collector) Run(ctx context.Context) error {
	storing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var workers sync.WaitGroup
	for range c.cfg.Workers {
		workers.Go(func() { c.work(storing) })
	}
	<-ctx.Done()

	c.mu.Lock()
	c.closed = true
	close(c.queue)
	c.mu.Unlock()
	patience := time.AfterFunc(c.cfg.Drain, stop)
	workers.Wait()
	if ranOut := !patience.Stop(); ranOut {
		return errors.New("ingest: the calls still waiting could not be stored before shutdown; their requests were answered 503")
	}
	return nil
}

func (c *Collector) work(ctx context.Context) {
	for {
		group := c.collect()
		if len(group) == 0 {
			return
		}
		c.storeGroup(ctx, group)
	}
}

// collect waits for a submission and then, for a moment, for others to share its
// transaction. One worker collects at a time: when all are storing, submissions
// pile up into one large group instead of many small ones. It returns nothing when
// the collector is closed and empty.
func (c *Collector) collect() []*submission {
	c.gather.Lock()
	defer c.gather.Unlock()
	first, open := <-c.queue
	if !open {
		return nil
	}
	group, calls := []*submission{first}, len(first.items)
	patience := time.NewTimer(c.cfg.Wait)
	defer patience.Stop()
	for calls < c.cfg.MaxGroup {
		select {
		case s, open := <-c.queue:
			if !open {
				return group
			}
			group, calls = append(group, s), calls+len(s.items)
		case <-patience.C:
			return group
		}
	}
	return group
}

// storeGroup stores a group in one go and tells each submission its results.
func (c *Collector) storeGroup(ctx context.Context, group []*submission) {
	items := group[0].items
	if len(group) > 1 {
		items = nil
		for _, s := range group {
			items = append(items, s.items...)
		}
	}
	results, err := store(ctx, c.sink, items)
	if err != nil {
		c.cfg.Log.Error("calls could not be stored", "calls", len(items), "requests", len(group), "error", err)
	}
	c.release(group)
	for _, s := range group {
		if err != nil {
			s.done <- fate{err: ErrUnavailable}
			continue
		}
		n := len(s.items)
		s.done <- fate{results: results[:n:n]}
		results = results[n:]
	}
}

// release makes room for as much as the group took.
func (c *Collector) release(group []*submission) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range group {
		c.calls -= len(s.items)
		c.bytes -= s.bytes
	}
}
