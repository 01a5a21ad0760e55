package mixpaneltest

import (
	"sync"
	"time"
)

// clock is the time by which records are judged: a base, moved or stopped.
type clock struct {
	mu     sync.RWMutex
	base   func() time.Time
	offset time.Duration
	fixed  time.Time // zero while the clock runs
}

func (c *clock) now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.fixed.IsZero() {
		return c.fixed
	}
	return c.base().Add(c.offset).UTC()
}

// Now is the server's time.
func (s *Server) Now() time.Time { return s.clock.now() }

// SetNow stops the clock at t. The zero time lets it run again as the options say.
func (s *Server) SetNow(t time.Time) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.fixed, s.clock.offset = t, 0
	if !t.IsZero() {
		s.clock.fixed = t.UTC()
	}
}

// Advance moves the clock by d, whether it stands or runs.
func (s *Server) Advance(d time.Duration) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	if s.clock.fixed.IsZero() {
		s.clock.offset += d
	} else {
		s.clock.fixed = s.clock.fixed.Add(d)
	}
}
