package deliver

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"muster/engine"
	"muster/event"
)

// shop is a destination that does what its script says and remembers what it
// applied.
type shop struct {
	mu      sync.Mutex
	applied []application
	sends   int
	busy    map[string]bool // carriers in a Send under way

	// script answers for one call; nil delivers everything. A script that answers
	// Retry or Halt makes the later calls of the carrier in the same Send fail with it.
	script func(c *event.Call) engine.Outcome
	// during runs in each Send, before anything is applied.
	during func(ctx context.Context, calls []*event.Call)
	fault  func(format string, args ...any)
}

type application struct {
	message string
	carrier string
	alias   string // the other carrier
	at      time.Time
}

func newShop(t testing.TB) *shop { return &shop{busy: map[string]bool{}, fault: t.Errorf} }

func (s *shop) Send(ctx context.Context, calls []*event.Call, now time.Time) []engine.Outcome {
	s.enter(calls)
	defer s.leave(calls)
	if s.during != nil {
		s.during(ctx, calls)
	}
	outcomes := make([]engine.Outcome, len(calls))
	blocked := map[string]engine.Outcome{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range calls {
		o, stop := blocked[c.UserID]
		switch {
		case stop:
		case ctx.Err() != nil:
			o = engine.Outcome{Verdict: engine.Retry, Code: "stopped", Reason: "told to stop"}
		case s.script != nil:
			o = s.script(c)
		}
		outcomes[i] = o
		switch o.Verdict {
		case engine.Delivered:
			s.apply(c, now)
		case engine.Retry, engine.Halt:
			blocked[c.UserID] = o
		case engine.Rejected, engine.Uncertain:
		}
	}
	return outcomes
}

func (s *shop) enter(calls []*event.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sends++
	seen := map[string]bool{}
	for _, c := range calls {
		if s.busy[c.UserID] && !seen[c.UserID] {
			s.fault("carrier %s is in two Sends at once", c.UserID)
		}
		seen[c.UserID] = true
		s.busy[c.UserID] = true
	}
}

func (s *shop) leave(calls []*event.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range calls {
		delete(s.busy, c.UserID)
	}
}

func (s *shop) apply(c *event.Call, now time.Time) {
	s.applied = append(s.applied, application{message: c.MessageID, carrier: c.UserID, alias: c.PreviousID, at: now})
}

// messages returns the ids of what was applied, in order.
func (s *shop) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, a := range s.applied {
		ids = append(ids, a.message)
	}
	return ids
}

// of returns the ids of what was applied for a carrier, in order.
func (s *shop) of(carrier string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, a := range s.applied {
		if a.carrier == carrier || a.alias == carrier {
			ids = append(ids, a.message)
		}
	}
	return ids
}

func (s *shop) set(script func(c *event.Call) engine.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// answers makes a script that gives one outcome for the named messages, or for all
// if none is named.
func answers(o engine.Outcome, messages ...string) func(*event.Call) engine.Outcome {
	return func(c *event.Call) engine.Outcome {
		if len(messages) == 0 || slices.Contains(messages, c.MessageID) {
			return o
		}
		return engine.Outcome{}
	}
}

var unavailable = engine.Outcome{Verdict: engine.Retry, Code: "unavailable", Reason: "the server answered 503"}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func targets(ts ...Target) func(context.Context) ([]Target, error) {
	return func(context.Context) ([]Target, error) { return ts, nil }
}

// silent is a destination that breaks its contract: it answers nothing.
type silent struct{}

func (silent) Send(context.Context, []*event.Call, time.Time) []engine.Outcome { return nil }
