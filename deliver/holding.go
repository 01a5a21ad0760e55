package deliver

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// holding is the set of lanes that a Deliverer holds, with the destinations they
// lead to.
type holding struct {
	d    *Deliverer
	stop context.Context // nothing new is begun once it ends
	work context.Context // Sends end with it

	mu      sync.Mutex
	outlets map[string]*outlet
	workers map[Lane]*worker
}

func newHolding(d *Deliverer, stop, work context.Context) *holding {
	return &holding{d: d, stop: stop, work: work, outlets: make(map[string]*outlet), workers: make(map[Lane]*worker)}
}

// beat takes and renews lanes. It returns the workers of the lanes that were
// taken; the others are renewed, or told to end.
//
// It is bounded, but not cut off when stop ends: lanes that were taken unnoticed
// would be nobody's until their leases end.
func (h *holding) beat(renewOnly bool) ([]*worker, error) {
	c := h.d.config
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.stop), c.LeaseTTL/2)
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

// refresh asks for the targets and returns the names of those that can be served,
// sorted.
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
			h.d.config.Log.Error("destination is not served: its pace is not valid", slog.String("destination", t.Name), slog.Any("error", err))
			continue
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
	ticks := time.NewTicker(h.d.config.LeaseTTL / 3)
	defer ticks.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticks.C:
			if _, err := h.beat(true); err != nil {
				h.complain(err)
			}
		}
	}
}

func (h *holding) complain(err error) {
	h.d.config.Log.Warn("lanes cannot be renewed, trying again", slog.Any("error", err))
}

// listen wakes lanes when something was appended to them.
func (h *holding) listen() {
	for h.stop.Err() == nil {
		lanes, err := h.d.config.Queue.Wait(h.stop)
		if h.stop.Err() != nil {
			return
		}
		if err != nil {
			h.d.config.Log.Warn("the queue cannot be watched, trying again", slog.Any("error", err))
			pause(h.stop, queuePause, nil)
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
