package deliver

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"muster/event"
)

// Target is a destination with its name in the queue and its pace.
type Target struct {
	Name        string
	Destination Destination
	Pace        Pace
	// Repeatable says that applying the call twice does no harm there; nil: it does none.
	// Of an entry both this and Entry.Repeatable must hold.
	Repeatable func(c *event.Call) bool
}

// repeats says whether the entry may be sent again when nobody knows what became of it.
func (t *Target) repeats(e *Entry) bool {
	return e.Repeatable && (t.Repeatable == nil || t.Repeatable(e.Call))
}

// outlet is what the lanes of one destination share in this process.
type outlet struct {
	mu     sync.Mutex
	target Target // its Pace with defaults
	slots  *semaphore.Weighted
	quiet  time.Time // the destination asked not to be called before
	halted bool
}

// set takes over settings. Sends in flight end under the old ones.
func (o *outlet) set(t Target) {
	t.Pace = t.Pace.withDefaults()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.slots == nil || o.target.Pace.Concurrency != t.Pace.Concurrency {
		o.slots = semaphore.NewWeighted(int64(t.Pace.Concurrency))
	}
	o.target = t
}

// enter waits for a slot to work with the destination; leave gives it back.
func (o *outlet) enter(ctx context.Context) (target Target, leave func(), err error) {
	o.mu.Lock()
	target, slots := o.target, o.slots
	o.mu.Unlock()
	if err := slots.Acquire(ctx, 1); err != nil {
		return Target{}, nil, err
	}
	return target, func() { slots.Release(1) }, nil
}

// quietUntil says when the destination may be called again, and whether it has
// been halted.
func (o *outlet) quietUntil() (until time.Time, halted bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.quiet, o.halted
}

// hush keeps all lanes from calling the destination before until.
func (o *outlet) hush(until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if until.After(o.quiet) {
		o.quiet = until
	}
}

// halt keeps all lanes from calling the destination until it is resumed. It tells whether none
// had done so before: several that send at once may be refused.
func (o *outlet) halt() (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first = !o.halted
	o.halted = true
	return first
}

// resume lets a halted destination be tried again, at once.
func (o *outlet) resume() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.halted {
		o.halted, o.quiet = false, time.Time{}
	}
}
