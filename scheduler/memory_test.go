package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"muster/scheduler"
)

// memory is the judge between the runners of a test. It does what a database does:
// every method is a transaction.
type memory struct {
	tb testing.TB
	// locks makes claims last as long as their holders live, as with advisory locks;
	// otherwise they last for a lease.
	locks bool

	mu      sync.Mutex
	jobs    map[string]scheduler.Job
	rows    map[row]*state
	running map[string]row // by job: the slot that was claimed last
}

// row is the key of a slot.
type row struct {
	key string
	at  time.Time
}

func (r row) String() string { return r.key + " at " + r.at.Format("02 15:04") }

// state is what is stored of a slot.
type state struct {
	ending  scheduler.Ending // "" while it runs
	holder  *process
	attempt int
	until   time.Time
	missed  int
	reason  string
	retryAt time.Time
	effects int // how often the work was committed
	history []string
}

func newMemory(tb testing.TB) *memory {
	return &memory{tb: tb, jobs: make(map[string]scheduler.Job), rows: make(map[row]*state), running: make(map[string]row)}
}

// create adds a job whose slots count from an instant.
func (m *memory) create(key, text string, from time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs[key] = scheduler.Job{Key: key, Schedule: schedule(m.tb, text), Last: from}
}

// commit is the transaction in which work is written: it makes sure of the claim.
func (m *memory) commit(slot scheduler.Slot, attempt int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.rows[row{slot.Key, slot.At}]
	if s.attempt != attempt || s.ending != "" {
		return fmt.Errorf("write %s: %w", slot.Key, scheduler.ErrClaimLost)
	}
	s.effects++
	s.missed = slot.Missed
	m.end(row{slot.Key, slot.At}, s, scheduler.Done)
	return nil
}

// end sets how an attempt ended. The caller holds the lock.
func (m *memory) end(r row, s *state, ending scheduler.Ending) {
	s.ending = ending
	s.history = append(s.history, string(ending))
	job := m.jobs[r.key]
	switch {
	case ending == scheduler.Done && r.at.After(job.Last):
		job.Last, job.Failed, job.RetryAt = r.at, time.Time{}, time.Time{}
	case ending == scheduler.Failed && r.at.After(job.Last):
		job.Failed, job.RetryAt = r.at, s.retryAt
	}
	m.jobs[r.key] = job
}

// process is a connection of one process to the memory.
type process struct {
	*memory
	mu   sync.Mutex
	dead error // what every call answers, if anything
}

func (m *memory) connect() *process { return &process{memory: m} }

// die makes all further calls of the process fail; nil revives it.
func (p *process) die(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = err
}

// fault is why a call cannot be answered, if so.
func (p *process) fault(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *process) Jobs(ctx context.Context) ([]scheduler.Job, error) {
	if err := p.fault(ctx); err != nil {
		return nil, err
	}
	p.memory.mu.Lock()
	defer p.memory.mu.Unlock()
	var jobs []scheduler.Job
	for _, key := range slices.Sorted(maps.Keys(p.jobs)) {
		jobs = append(jobs, p.jobs[key])
	}
	return jobs, nil
}

func (p *process) Claim(ctx context.Context, slot scheduler.Slot, now time.Time, lease time.Duration) (scheduler.Claim, error) {
	if err := p.fault(ctx); err != nil {
		return nil, err
	}
	m := p.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jobs[slot.Key].Last.After(slot.After) {
		return nil, nil
	}
	r := row{slot.Key, slot.At}
	if other := m.rows[m.running[slot.Key]]; other != nil && other.ending == "" {
		if m.alive(other, now) {
			return nil, nil
		}
		m.end(m.running[slot.Key], other, scheduler.Failed)
	}
	m.running[slot.Key] = r
	s := m.rows[r]
	if s == nil {
		s = &state{}
		m.rows[r] = s
	}
	s.ending, s.holder, s.missed = "", p, slot.Missed
	s.attempt++
	s.until = now.Add(lease)
	s.history = append(s.history, "claimed")
	return &claim{process: p, row: r, state: s, attempt: s.attempt, lease: lease}, nil
}

// alive says whether a claim holds. The caller holds the lock.
func (m *memory) alive(s *state, now time.Time) bool {
	if m.locks {
		return s.holder.fault(context.Background()) == nil
	}
	return now.Before(s.until)
}

type claim struct {
	*process
	row     row
	state   *state
	attempt int
	lease   time.Duration
}

func (c *claim) Attempt() int { return c.attempt }

func (c *claim) Renew(ctx context.Context, now time.Time) error {
	if err := c.fault(ctx); err != nil {
		return err
	}
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	if c.state.attempt != c.attempt {
		return scheduler.ErrClaimLost
	}
	c.state.until = now.Add(c.lease)
	return nil
}

func (c *claim) Finish(ctx context.Context, outcome scheduler.Outcome) error {
	if err := c.fault(ctx); err != nil {
		return err
	}
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	if c.state.attempt != c.attempt {
		return scheduler.ErrClaimLost
	}
	if c.state.ending == scheduler.Done {
		if outcome.Ending != scheduler.Done {
			return errors.New("the work is done, and the runner says that it is not")
		}
		return nil
	}
	c.state.reason, c.state.retryAt = outcome.Reason, outcome.RetryAt
	c.memory.end(c.row, c.state, outcome.Ending)
	return nil
}

// check fails the test unless every slot of the jobs, from an instant up to the last that
// was done, was done once or is stood in for by the next that was.
func (m *memory) check(from time.Time) {
	m.tb.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	accounted := make(map[string]int)
	for r, s := range m.rows {
		if s.effects > 1 {
			m.tb.Errorf("%v was done %d times: %v", r, s.effects, s.history)
		}
		if s.effects == 1 {
			accounted[r.key] += 1 + s.missed
		}
	}
	for key, job := range m.jobs {
		slots := 0
		for slot := job.Schedule.Next(from); !slot.After(job.Last); slot = job.Schedule.Next(slot) {
			slots++
		}
		if accounted[key] != slots {
			m.tb.Errorf("%s: %d slots are accounted for of %d up to %v", key, accounted[key], slots, job.Last)
		}
	}
}

// done is how many slots of a job were done.
func (m *memory) done(key string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for r, s := range m.rows {
		if r.key == key {
			n += s.effects
		}
	}
	return n
}

// last is the newest slot of a job that was done.
func (m *memory) last(key string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs[key].Last
}

// of is what is stored of a slot, or nothing.
func (m *memory) of(key string, at time.Time) state {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.rows[row{key, at.UTC().Round(0)}]; s != nil {
		return *s
	}
	return state{}
}
