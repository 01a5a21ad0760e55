package deliver

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"
)

const (
	// barrierPoll is how often a lane looks for what other processes have recorded
	// about a barrier; lanes of the same process wake each other.
	barrierPoll = time.Second
	// forever: until woken.
	forever time.Duration = math.MaxInt64
)

// worker runs the steps of one lane.
type worker struct {
	*sender
	certainty *certainty
	all       context.Context // ends when all lanes are to be given back
	stop      context.Context // ends when this lane is to be given back
	retire    context.CancelFunc
	woken     chan struct{}
	done      chan struct{} // closed when the lane has been given back
}

func newWorker(h *holding, l Lease, o *outlet, certain time.Duration) *worker {
	w := &worker{certainty: newCertainty(h.work, certain), all: h.stop, woken: make(chan struct{}, 1), done: make(chan struct{})}
	w.stop, w.retire = context.WithCancel(h.stop)
	w.sender = newSender(h.d, l, o, func() {
		h.wake(func(other Lane) bool { return other.Destination == l.Lane.Destination && other != l.Lane })
	})
	return w
}

func (w *worker) nudge() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// run delivers the lane until the worker is to stop, the lease is lost or the
// destination halted.
func (w *worker) run() {
	defer w.leave()
	for w.stop.Err() == nil {
		r, err := w.step(w.stop, w.certainty.context())
		switch {
		case errors.Is(err, ErrLostLease):
			w.lost = true
			return
		case w.stop.Err() != nil:
			return
		case err != nil:
			w.d.config.Log.Warn("a lane cannot go on, trying again",
				slog.String("destination", w.lease.Lane.Destination), slog.Int("lane", w.lease.Lane.Number), slog.Any("error", err))
			pause(w.stop, queuePause, nil)
		case r.halted:
			return
		case r.again:
		default:
			w.await(r)
		}
	}
}

// await waits until the lane may have something to do.
func (w *worker) await(r rest) {
	wait := r.due.Sub(w.d.config.Now())
	switch {
	case r.due.IsZero() && !r.shared:
		wait = forever
	case r.due.IsZero(), r.shared && barrierPoll < wait:
		wait = barrierPoll
	}
	pause(w.stop, wait, w.woken)
}

// pass steps until the lane has to wait. The rest it returns has moved if any
// step has.
func (w *worker) pass() (rest, error) {
	var moved bool
	for !w.lost {
		r, err := w.step(w.stop, w.certainty.context())
		switch {
		case errors.Is(err, ErrLostLease):
			w.lost = true
		case err != nil && w.stop.Err() != nil && w.all.Err() == nil:
			return rest{moved: moved}, nil // only this lane: it may not be worked on any more
		case err != nil:
			return rest{}, err
		case !r.again || r.halted:
			r.moved = r.moved || moved
			return r, nil
		}
		moved = moved || r.moved
	}
	return rest{moved: moved}, nil
}

// leave stores what is left to store and gives the lane back.
func (w *worker) leave() {
	defer close(w.done)
	defer w.retire()
	defer w.certainty.end()
	if w.lost {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.certainty.context()), 2*saveTimeout)
	defer cancel()
	err := w.finish(ctx)
	if err == nil {
		err = w.d.config.Queue.Release(ctx, []Lease{w.lease})
	}
	if err != nil && !errors.Is(err, ErrLostLease) {
		w.d.config.Log.Warn("a lane is left to the end of its lease",
			slog.String("destination", w.lease.Lane.Destination), slog.Int("lane", w.lease.Lane.Number), slog.Any("error", err))
	}
}
