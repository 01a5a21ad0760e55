package ingest

import (
	"sync"
	"sync/atomic"
	"time"
)

// outageEvery is how often a trouble is logged at most.
const outageEvery = 5 * time.Second

// outage logs a trouble that every request may meet: at once when it begins, then in sums, and
// when it is over. One that comes and goes is not logged more often than one that stays. It is
// safe for concurrent use.
type outage struct {
	// fails logs that something cannot be done, over that it can be again.
	fails, over func(more ...any)

	on atomic.Bool // so that those who meet no trouble need no lock

	mu       sync.Mutex // guards the rest
	recent   bool       // it was logged less than outageEvery ago
	said     bool       // it was logged since it began
	failures int        // since it began
	unsaid   int        // of these, since it was logged
	last     []any      // what the last of them adds to the log
}

// failed notes that somebody met the trouble. more is for the log.
func (o *outage) failed(err error, more ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.on.Load() {
		o.on.Store(true)
		o.said, o.failures, o.unsaid = false, 0, 0
	}
	o.failures++
	o.unsaid++
	o.last = append(more, "error", err)
	if !o.recent {
		o.say()
	}
}

// say logs it. The caller holds the lock.
func (o *outage) say() {
	if o.failures > 1 {
		o.last = append(o.last, "times", o.unsaid)
	}
	o.fails(o.last...)
	o.recent, o.said, o.unsaid = true, true, 0
	time.AfterFunc(outageEvery, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.recent = false
		if o.on.Load() && o.unsaid > 0 {
			o.say()
		}
	})
}

// worked notes that somebody did not meet it.
func (o *outage) worked() {
	if !o.on.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.on.Swap(false) && o.said {
		o.over("failures", o.failures)
	}
}
