package mixpaneltest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// FaultKind is what goes wrong with a request.
type FaultKind string

// The kinds of faults.
const (
	// FaultStatus answers Fault.Status (default 503) instead of processing the request.
	FaultStatus FaultKind = "status"
	// FaultDelay only waits: Fault.Delay before the request is processed, or after it with Fault.Applied.
	FaultDelay FaultKind = "delay"
	// FaultCloseBefore breaks the connection before the body is read.
	FaultCloseBefore FaultKind = "close_before"
	// FaultCloseAfter processes the request and then breaks the connection without an answer.
	FaultCloseAfter FaultKind = "close_after"
	// FaultWrongJSON answers 200 with a body that stops in the middle.
	FaultWrongJSON FaultKind = "wrong_json"
	// FaultZero answers 200 with status 0, on /import 400 without a list of failed records.
	FaultZero FaultKind = "zero"
	// FaultPartial refuses the records at Fault.Indexes and processes the others.
	FaultPartial FaultKind = "partial"
	// FaultStrings refuses the whole batch with failed_records made of strings, as
	// Mixpanel does with identity events in a simplified project; elsewhere like FaultZero.
	FaultStrings FaultKind = "failed_strings"
)

// Fault is one thing that goes wrong, and when.
type Fault struct {
	// Endpoint is where; "" is everywhere.
	Endpoint Endpoint `json:"endpoint,omitzero"`
	// Nth is the first request that it strikes, counted from 1 among those of its endpoint
	// since the fault was set; 0 is 1. Count is how many from there on; 0 is 1, -1 all.
	Nth   int `json:"nth,omitzero"`
	Count int `json:"count,omitzero"`
	// Probability strikes at random instead, 0 < p <= 1, by a generator seeded with Seed.
	// Nth and Count then say among which requests; Count 0 is all.
	Probability float64 `json:"probability,omitzero"`
	Seed        uint64  `json:"seed,omitzero"`

	Kind FaultKind `json:"kind"`
	// Status is the HTTP status of FaultStatus: 413, 429, 500, 502, 503 and so on.
	Status int `json:"status,omitzero"`
	// RetryAfter is sent as a header with FaultStatus, in whole seconds; 0 is none.
	RetryAfter time.Duration `json:"retry_after,omitzero"`
	// Delay is waited before the fault, whatever its kind. A request whose client gives
	// up while it waits to be processed is never processed.
	Delay time.Duration `json:"delay,omitzero"`
	// Applied makes FaultStatus, FaultWrongJSON, FaultZero and FaultDelay strike after the
	// records were processed: the ambiguous case.
	Applied bool `json:"applied,omitzero"`
	// Indexes are the records that FaultPartial refuses.
	Indexes []int `json:"indexes,omitzero"`
	// Message is what FaultPartial and FaultStrings say; there is a default.
	Message string `json:"message,omitzero"`
}

// Validate says what is wrong with the fault, or nil.
func (f Fault) Validate() error {
	var errs []error
	if f.Endpoint != "" && !slices.Contains(endpoints[:], f.Endpoint) {
		errs = append(errs, fmt.Errorf("unknown endpoint %q, use import, track, engage or groups", f.Endpoint))
	}
	switch f.Kind {
	case FaultStatus, FaultDelay, FaultCloseBefore, FaultCloseAfter, FaultWrongJSON, FaultZero, FaultPartial, FaultStrings:
	default:
		errs = append(errs, fmt.Errorf("unknown kind %q", f.Kind))
	}
	if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
		errs = append(errs, fmt.Errorf("status %d is no failure, use 400 to 599", f.Status))
	}
	if f.Probability < 0 || f.Probability > 1 {
		errs = append(errs, errors.New("probability must be between 0 and 1"))
	}
	if f.Nth < 0 || f.Count < -1 || f.Delay < 0 || f.RetryAfter < 0 {
		errs = append(errs, errors.New("nth, count, delay and retry_after must not be negative (count may be -1)"))
	}
	return errors.Join(errs...)
}

// faults are the script of a server.
type faults struct {
	mu     sync.Mutex
	script []scripted
}

type scripted struct {
	Fault
	seen   int // requests of its endpoint since it was set
	random *rand.Rand
}

func (f *faults) set(script []Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = nil
	for _, fault := range script {
		fault.Nth = max(fault.Nth, 1)
		if fault.Count == 0 && fault.Probability == 0 {
			fault.Count = 1
		}
		f.script = append(f.script, scripted{Fault: fault, random: rand.New(rand.NewPCG(fault.Seed, 0))})
	}
}

// next counts a request to e and returns the first fault that strikes it, or nil.
func (f *faults) next(e Endpoint) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hit *Fault
	for i := range f.script {
		s := &f.script[i]
		if s.Endpoint != "" && s.Endpoint != e {
			continue
		}
		s.seen++
		if s.seen < s.Nth || s.Count > 0 && s.seen >= s.Nth+s.Count {
			continue
		}
		if s.Probability > 0 && s.random.Float64() >= s.Probability {
			continue
		}
		if hit == nil {
			fault := s.Fault
			hit = &fault
		}
	}
	return hit
}

// refuses tells whether the fault of c refuses the record at index.
func (c *call) refuses(index int) (message string, refused bool) {
	if c.fault == nil || c.fault.Kind != FaultPartial || !slices.Contains(c.fault.Indexes, index) {
		return "", false
	}
	if c.fault.Message != "" {
		return c.fault.Message, true
	}
	return "refused by the fault script", true
}

// wait waits d; it returns false when the client or the server is gone before.
func (c *call) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.request.Context().Done():
		return false
	case <-c.server.closing:
		return false
	}
}
