package ingest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"muster/event"
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
	MaxGroup int           // calls after which a group waits no longer; default 5,000
	Lanes    int           // groups stored at the same time; default: the processors, at least 2
	MaxCalls int           // calls taken but not yet stored; default 20,000
	MaxBytes int           // their request bodies together; default 64 MiB
	Drain    time.Duration // how long Run stores what is left when it ends; default 30 s
	Patience time.Duration // how long a group may take before it counts as stalled; default 10 s
	Log      *slog.Logger  // nil means none
}

// Collector groups the calls of many requests into few transactions, several at a time:
// its lanes. The calls of a request are divided among them by person, so that two lanes
// seldom wait for each other and a lane keeps the order of a person's calls.
type Collector struct {
	sink    Sink
	cfg     CollectorConfig
	divider *Divider
	lanes   []chan *submission
	stalled atomic.Int64 // groups that take longer than Patience
	failing atomic.Int64 // failed groups of the last Patience; 0 when one was stored since
	outage  outage

	mu     sync.Mutex // guards the rest
	calls  int        // taken but not yet stored
	bytes  int
	closed bool
}

// submission is the part of a request that goes to one lane, on its way.
type submission struct {
	items  []Item
	places []int // of the items in the request; nil: they are all of it
	bytes  int
	done   chan fate // receives once
}

type fate struct {
	results []Result
	err     error
}

// NewCollector returns a collector in front of sink. It stores nothing until Run.
func NewCollector(sink Sink, cfg CollectorConfig) *Collector {
	cfg.Wait = cmp.Or(cfg.Wait, 3*time.Millisecond)
	cfg.MaxGroup = cmp.Or(cfg.MaxGroup, 5_000)
	cfg.Lanes = cmp.Or(cfg.Lanes, max(runtime.GOMAXPROCS(0), 2))
	cfg.MaxCalls = cmp.Or(cfg.MaxCalls, 20_000)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 64<<20)
	cfg.Drain = cmp.Or(cfg.Drain, 30*time.Second)
	cfg.Patience = cmp.Or(cfg.Patience, 10*time.Second)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	c := &Collector{
		sink: sink, cfg: cfg, divider: NewDivider(cfg.Lanes),
		outage: outage{
			fails: func(more ...any) { cfg.Log.Error("calls could not be stored", more...) },
			over:  func(more ...any) { cfg.Log.Info("calls are stored again", more...) },
		},
	}
	for range cfg.Lanes {
		// Each submission holds at least one call, so that a send never blocks.
		c.lanes = append(c.lanes, make(chan *submission, cfg.MaxCalls+1))
	}
	return c
}

// Submit hands in the calls of one request, whose body had the given number of
// bytes, and waits until they are stored. The error is ErrBusy or ErrClosed when none of
// them was taken, ErrUnavailable when the sink failed, or that of ctx; after the last two
// any of them may have been stored or may yet be. Those that were are duplicates when the
// request comes again.
func (c *Collector) Submit(ctx context.Context, items []Item, bytes int) ([]Result, error) {
	if len(items) == 0 {
		return nil, nil
	}
	parts := c.divide(items, bytes)
	if err := c.enqueue(parts, len(items), bytes); err != nil {
		return nil, err
	}
	var results []Result
	if len(parts) > 1 {
		results = make([]Result, len(items))
	}
	for _, p := range parts {
		select {
		case f := <-p.done:
			if f.err != nil {
				return nil, f.err
			}
			if p.places == nil {
				return f.results, nil
			}
			for i, place := range p.places {
				results[place] = f.results[i]
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return results, nil
}

// divide makes the parts of a request, by lane.
func (c *Collector) divide(items []Item, bytes int) map[int]*submission {
	parts := make(map[int]*submission, 1)
	for lane, places := range c.divider.Divide(callsOf(items)) {
		switch {
		case len(places) == 0:
		case len(places) == len(items):
			parts[lane] = &submission{items: items, bytes: bytes, done: make(chan fate, 1)}
		default:
			parts[lane] = &submission{items: pick(items, places), places: places, bytes: bytes * len(places) / len(items), done: make(chan fate, 1)}
		}
	}
	return parts
}

// What Trouble says.
var (
	errStalled = errors.New("calls wait: storing them takes too long")
	errFailing = errors.New("calls could not be stored a moment ago")
)

// Trouble tells why calls are not stored at present, nil if nothing speaks against it. A
// failure counts for no longer than Patience: where nobody sends calls any more because of
// it, nothing else would show that it has passed.
func (c *Collector) Trouble() error {
	switch {
	case c.stalled.Load() > 0:
		return errStalled
	case c.failing.Load() > 0:
		return errFailing
	}
	return nil
}

// enqueue takes the parts of a request unless the collector is full. One that is empty takes
// anything: else a request larger than the limits could never succeed.
func (c *Collector) enqueue(parts map[int]*submission, calls, bytes int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.calls > 0 && (c.calls+calls > c.cfg.MaxCalls || c.bytes+bytes > c.cfg.MaxBytes) {
		return ErrBusy
	}
	for lane, p := range parts {
		c.calls += len(p.items)
		c.bytes += p.bytes
		c.lanes[lane] <- p
	}
	return nil
}

func callsOf(items []Item) []*event.Call {
	calls := make([]*event.Call, len(items))
	for i := range items {
		calls[i] = items[i].Call
	}
	return calls
}

// Run, which is called once, stores what is submitted until ctx ends. It then takes no
// more, stores what it has, and returns; after the time in CollectorConfig.Drain it
// gives up on the rest and says so. Stop the HTTP server first, so that its requests
// find the collector open.
func (c *Collector) Run(ctx context.Context) error {
	storing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var workers sync.WaitGroup
	for _, lane := range c.lanes {
		workers.Go(func() { c.work(storing, lane) })
	}
	<-ctx.Done()

	c.mu.Lock()
	c.closed = true
	for _, lane := range c.lanes {
		close(lane)
	}
	c.mu.Unlock()
	patience := time.AfterFunc(c.cfg.Drain, stop)
	workers.Wait()
	if ranOut := !patience.Stop(); ranOut {
		return errors.New("ingest: the calls still waiting could not be stored before shutdown; their requests were answered 503")
	}
	return nil
}

func (c *Collector) work(ctx context.Context, lane <-chan *submission) {
	for {
		group := c.collect(lane)
		if len(group) == 0 {
			return
		}
		c.storeGroup(ctx, group)
	}
}

// collect waits for a submission and then, for a moment, for others to share its
// transaction. While the lane is storing, submissions pile up into one large group instead
// of many small ones. It returns nothing when the collector is closed and the lane empty.
func (c *Collector) collect(lane <-chan *submission) []*submission {
	first, open := <-lane
	if !open {
		return nil
	}
	group, calls := []*submission{first}, len(first.items)
	patience := time.NewTimer(c.cfg.Wait)
	defer patience.Stop()
	for calls < c.cfg.MaxGroup {
		select {
		case s, open := <-lane:
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
	patience := time.AfterFunc(c.cfg.Patience, func() {
		c.stalled.Add(1)
		c.cfg.Log.Warn("storing calls takes long; does the database answer, and does somebody hold a lock?", "calls", len(items), "longer_than", c.cfg.Patience)
	})
	results, err := store(ctx, c.sink, items)
	if ranOut := !patience.Stop(); ranOut {
		c.stalled.Add(-1)
	}
	if err != nil {
		c.outage.failed(err, "calls", len(items), "requests", len(group))
	}
	c.note(err == nil)
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

// note keeps in mind how storing went, see Trouble.
func (c *Collector) note(stored bool) {
	if stored {
		c.failing.Store(0)
		c.outage.worked()
		return
	}
	c.failing.Add(1)
	time.AfterFunc(c.cfg.Patience, func() {
		for n := c.failing.Load(); n > 0 && !c.failing.CompareAndSwap(n, n-1); n = c.failing.Load() {
		}
	})
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
