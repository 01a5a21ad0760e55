package deliver

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// holding is the set of lanes that a Deliverer holds, with the destinations they
// lead to.
type holding struct {
	d    *Deliverer
	work context.Context // Sends end with it

	mu      sync.Mutex
	outlets map[string]*outlet
	workers map[Lane]*worker
}

func newHolding(d *Deliverer, work context.Context) *holding {
	return &holding{d: d, work: work, outlets: make(map[string]*outlet), workers: make(map[Lane]*worker)}
}

// beat takes and renews lanes. It returns the workers of the lanes that were
// taken; the others are renewed, or told to end.
func (h *holding) beat(ctx context.Context, renewOnly bool) ([]*worker, error) {
	// It is not cut off by the end of ctx: lanes that were taken unnoticed would be
	// nobody's until their leases end.
	c := h.d.config
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.LeaseTTL/2)
	defer cancel()

	// A lane is started anew only if its last worker had ended before Acquire read
	// the lane's state.
	h.sweep()
	names, err := h.refresh(ctx)
	if err != nil {
		return nil, err
	}
	claim := Claim{Owner: c.Owner, Destinations: names, Now: c.Now(), TTL: c.LeaseTTL, RenewOnly: renewOnly}
	leases, err := c.Queue.Acquire(ctx, claim)
	if err != nil {
		return nil, fmt.Errorf("acquire lanes: %w", err)
	}
	certain := claim.Now.Add(c.LeaseTTL).Sub(c.Now())

	h.mu.Lock()
	defer h.mu.Unlock()
	var taken []*worker
	held := make(map[Lane]bool, len(leases))
	for _, l := range leases {
		held[l.Lane] = true
		switch w := h.workers[l.Lane]; {
		case w == nil && !renewOnly:
			o := h.outlets[l.Lane.Destination]
			if o == nil {
				continue // not claimed
			}
			o.resume() // or the queue would not have given its lane
			w = newWorker(h, l, o, certain)
			h.workers[l.Lane] = w
			taken = append(taken, w)
		case w == nil:
		case w.lease.Token == l.Token:
			w.certainty.extend(certain)
		default:
			w.certainty.end()
			w.retire()
		}
	}
	for lane, w := range h.workers {
		if !held[lane] {
			w.retire()
		}
	}
	slices.SortFunc(taken, func(a, b *worker) int { return compareLanes(a.lease.Lane, b.lease.Lane) })
	return taken, nil
}

// refresh asks for the targets and returns their names, sorted.
func (h *holding) refresh(ctx context.Context) ([]string, error) {
	targets, err := h.d.config.Targets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list destinations: %w", err)
	}
	names := make([]string, 0, len(targets))
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range targets {
		if err := t.Pace.Validate(); err != nil {
			return nil, fmt.Errorf("destination %q: %w", t.Name, err)
		}
		o := h.outlets[t.Name]
		if o == nil {
			o = new(outlet)
			h.outlets[t.Name] = o
		}
		o.set(t)
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// keep renews the leases until done closes.
func (h *holding) keep(done <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.work))
	defer cancel()
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		pause(ctx, h.d.config.LeaseTTL/3, done)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-done:
			return
		default:
		}
		if _, err := h.beat(ctx, true); err != nil && ctx.Err() == nil {
			h.d.config.Log.Warn("lanes cannot be renewed, trying again", slog.Any("error", err))
		}
	}
}

// listen wakes lanes when something was appended to them.
func (h *holding) listen(ctx context.Context) {
	for ctx.Err() == nil {
		lanes, err := h.d.config.Queue.Wait(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.d.config.Log.Warn("the queue cannot be watched, trying again", slog.Any("error", err))
			}
			pause(ctx, queuePause, nil)
		}
		h.wake(func(l Lane) bool { return len(lanes) == 0 || slices.Contains(lanes, l) })
	}
}

// wake wakes the workers of some lanes.
func (h *holding) wake(which func(Lane) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for lane, w := range h.workers {
		if which(lane) {
			w.nudge()
		}
	}
}

// sweep forgets workers that have ended.
func (h *holding) sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for lane, w := range h.workers {
		select {
		case <-w.done:
			delete(h.workers, lane)
		default:
		}
	}
}

// close ends what workers left running.
func (h *holding) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.workers {
		w.retire()
		w.certainty.end()
	}
}

func compareLanes(a, b Lane) int {
	return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Number, b.Number))
}
