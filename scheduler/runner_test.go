package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/scheduler"
)

// clock is the bubble's time, set back or forward.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())).Round(0) }

func (c *clock) set(offset time.Duration) { c.offset.Store(int64(offset)) }

// start runs a runner and returns what stops it and waits for it.
func start(t *testing.T, r *scheduler.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return func() { cancel(); <-ended }
}

// lasting is work that takes some time and is then committed.
func (m *memory) lasting(d func() time.Duration) func(context.Context, scheduler.Slot, int) error {
	return func(ctx context.Context, slot scheduler.Slot, attempt int) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d()):
		}
		return m.commit(slot, attempt)
	}
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// one runs a single job, from t0 on, and gives the bubble's start to the test.
func one(t *testing.T, text string, test func(t *testing.T, m *memory, began time.Time)) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t)
		began := time.Now() // midnight, 2000-01-01 UTC
		m.create("job", text, began)
		test(t, m, began)
	})
}

func TestNewestMissedSlotIsMadeUpFor(t *testing.T) {
	one(t, "@hourly", func(t *testing.T, m *memory, began time.Time) {
		runner := &scheduler.Runner{Slots: m.connect(), Work: m.lasting(always(time.Second)), Now: time.Now}
		stop := start(t, runner)
		time.Sleep(2*time.Hour + time.Minute)
		stop()
		time.Sleep(5*time.Hour + 30*time.Minute) // nothing runs from 02:01 to 07:31
		stop = start(t, runner)
		time.Sleep(2 * time.Second)
		stop()
		if got := m.of("job", began.Add(7*time.Hour)); got.effects != 1 || got.missed != 4 {
			t.Errorf("the slot of 07:00 was done %d times, for %d missed", got.effects, got.missed)
		}
		if n := m.done("job"); n != 3 {
			t.Errorf("%d slots were done, want 3", n)
		}
		m.check(began)
	})
}

func TestDeadRunnersSlotIsTakenOver(t *testing.T) {
	for _, locks := range []bool{false, true} {
		t.Run(fmt.Sprintf("locks=%t", locks), func(t *testing.T) {
			one(t, "@hourly", func(t *testing.T, m *memory, began time.Time) {
				m.locks = locks
				frozen, dead := make(chan struct{}), m.connect()
				late := make(chan error, 1)
				stopDead := start(t, &scheduler.Runner{Slots: dead, Now: time.Now, Work: func(_ context.Context, slot scheduler.Slot, attempt int) error {
					<-frozen // it does not even hear its context
					err := m.commit(slot, attempt)
					late <- err
					return err
				}})
				time.Sleep(time.Hour + time.Second)
				dead.die(errors.New("no route to host"))
				stop := start(t, &scheduler.Runner{Slots: m.connect(), Now: time.Now, Work: m.lasting(always(time.Second))})

				time.Sleep(80 * time.Second) // a lease and a poll, and the work
				slot := m.of("job", began.Add(time.Hour))
				if slot.effects != 1 || slot.attempt != 2 {
					t.Errorf("the slot was done %d times, in %d attempts: %v", slot.effects, slot.attempt, slot.history)
				}
				dead.die(nil)
				close(frozen)
				if err := <-late; !errors.Is(err, scheduler.ErrClaimLost) {
					t.Errorf("the runner that came back could write: %v", err)
				}
				stop()
				stopDead()
				m.check(began)
			})
		})
	}
}

// TestRunnerThatLosesItsClaimStops: the work's context ends when another has the slot,
// and when the claim could not be renewed in time.
func TestRunnerThatLosesItsClaimStops(t *testing.T) {
	for name, test := range map[string]struct {
		fault error
		after time.Duration // of the work, with a lease of 30 seconds
	}{
		"taken":       {scheduler.ErrClaimLost, 10 * time.Second},
		"unreachable": {errors.New("no route to host"), 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			one(t, "@daily", func(t *testing.T, m *memory, began time.Time) {
				p := m.connect()
				slot := began.Add(day)
				var ended time.Time
				stop := start(t, &scheduler.Runner{Slots: p, Now: time.Now, Lease: 30 * time.Second, Work: func(ctx context.Context, slot scheduler.Slot, attempt int) error {
					if attempt > 1 {
						return m.commit(slot, attempt)
					}
					<-ctx.Done()
					ended = time.Now()
					time.Sleep(10 * time.Second)
					return context.Cause(ctx)
				}})
				time.Sleep(day + 5*time.Second)
				p.die(test.fault)
				time.Sleep(30 * time.Second)
				p.die(nil)
				time.Sleep(time.Minute)
				stop()
				if got := ended.Sub(slot); got != test.after {
					t.Errorf("the work ended %v after it began, want %v", got, test.after)
				}
				// It does not count as a failure of the work, so there is no backoff.
				if s := m.of("job", slot); s.effects != 1 || s.reason != "" || s.attempt != 2 {
					t.Errorf("done %d times: %v, %s", s.effects, s.history, s.reason)
				}
			})
		})
	}
}

func TestClaimSurvivesRenewalsThatFailNowAndThen(t *testing.T) {
	one(t, "@daily", func(t *testing.T, m *memory, began time.Time) {
		p := m.connect()
		stop := start(t, &scheduler.Runner{Slots: p, Now: time.Now, Lease: 30 * time.Second, Work: m.lasting(always(5 * time.Minute))})
		time.Sleep(day + 5*time.Second)
		for range 6 { // two renewals fail, one does not
			p.die(errors.New("no route to host"))
			time.Sleep(20 * time.Second)
			p.die(nil)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(3 * time.Minute)
		stop()
		if s := m.of("job", began.Add(day)); s.effects != 1 || s.attempt != 1 {
			t.Errorf("done %d times: %v", s.effects, s.history)
		}
	})
}

// TestRunnerDoesNotRaceItself: when its clock is set forward its own leases seem to have
// ended, and it must not take them over.
func TestRunnerDoesNotRaceItself(t *testing.T) {
	one(t, "@hourly", func(t *testing.T, m *memory, began time.Time) {
		var c clock
		stop := start(t, &scheduler.Runner{Slots: m.connect(), Now: c.now, Work: m.lasting(always(5 * time.Minute))})
		time.Sleep(time.Hour + 2*time.Second)
		c.set(time.Hour)
		time.Sleep(6 * time.Minute)
		stop()
		if s := m.of("job", began.Add(time.Hour)); s.effects != 1 || s.attempt != 1 {
			t.Errorf("the slot that was being done was done %d times: %v", s.effects, s.history)
		}
	})
}

func TestFailedSlotIsTriedAgainLaterAndLater(t *testing.T) {
	one(t, "@hourly", func(t *testing.T, m *memory, began time.Time) {
		m.create("other", "@hourly", began)
		var attempts []time.Duration
		stop := start(t, &scheduler.Runner{Slots: m.connect(), Now: time.Now, Work: func(_ context.Context, slot scheduler.Slot, attempt int) error {
			if slot.Key == "other" {
				return m.commit(slot, attempt)
			}
			if !slot.At.Equal(began.Add(time.Hour)) {
				return m.commit(slot, attempt)
			}
			attempts = append(attempts, time.Since(slot.At))
			return fmt.Errorf("attempt %d: the disk is full", attempt)
		}})
		time.Sleep(2*time.Hour + time.Minute)
		stop()
		s := time.Second
		want := []time.Duration{0, 5 * s, 15 * s, 35 * s, 75 * s, 155 * s, 315 * s, 635 * s, 1235 * s, 1835 * s, 2435 * s, 3035 * s}
		if !slices.Equal(attempts, want) {
			t.Errorf("attempts after %v, want %v", attempts, want)
		}
		if slot := m.of("job", began.Add(time.Hour)); slot.ending != scheduler.Failed || slot.reason != "attempt 12: the disk is full" {
			t.Errorf("stored: %q because of %q", slot.ending, slot.reason)
		}
		// The newer slot came first, and stands in for it. The other job never waited.
		if slot := m.of("job", began.Add(2*time.Hour)); slot.effects != 1 || slot.missed != 1 {
			t.Errorf("the slot of 02:00 was done %d times, for %d missed", slot.effects, slot.missed)
		}
		if n := m.done("other"); n != 2 {
			t.Errorf("%d slots of the other job were done, want 2", n)
		}
	})
}

func TestBackoffEndsWhenTheClockIsSetBack(t *testing.T) {
	one(t, "@daily", func(t *testing.T, m *memory, began time.Time) {
		var c clock
		var healed atomic.Bool
		stop := start(t, &scheduler.Runner{Slots: m.connect(), Now: c.now, Work: func(_ context.Context, slot scheduler.Slot, attempt int) error {
			if !healed.Load() {
				return errors.New("not yet")
			}
			return m.commit(slot, attempt)
		}})
		time.Sleep(day + time.Minute)
		c.set(5 * time.Hour)
		time.Sleep(20 * time.Minute) // the next attempt is five hours away by the right clock
		c.set(0)
		healed.Store(true)
		time.Sleep(time.Minute)
		stop()
		if n := m.done("job"); n != 1 {
			t.Errorf("%d slots were done, want 1", n)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	one(t, "@hourly", func(t *testing.T, m *memory, began time.Time) {
		var log bytes.Buffer
		stop := start(t, &scheduler.Runner{
			Slots: m.connect(), Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Work: func(context.Context, scheduler.Slot, int) error { panic("index out of range") },
		})
		time.Sleep(time.Hour + time.Second)
		stop()
		if slot := m.of("job", began.Add(time.Hour)); slot.ending != scheduler.Failed || slot.reason != "panic: index out of range" {
			t.Errorf("stored: %q because of %q", slot.ending, slot.reason)
		}
		if !strings.Contains(log.String(), "TestPanicIsAFailure") {
			t.Errorf("the log does not show where: %s", &log)
		}
	})
}

func TestStoppedRunnerHandsItsSlotBack(t *testing.T) {
	one(t, "@hourly", func(t *testing.T, m *memory, began time.Time) {
		stop := start(t, &scheduler.Runner{Slots: m.connect(), Now: time.Now, Work: m.lasting(always(time.Hour))})
		time.Sleep(time.Hour + time.Second)
		stop()
		if slot := m.of("job", began.Add(time.Hour)); slot.ending != scheduler.Released || slot.reason != "" {
			t.Errorf("stored: %q because of %q", slot.ending, slot.reason)
		}
		stop = start(t, &scheduler.Runner{Slots: m.connect(), Now: time.Now, Work: m.lasting(always(time.Second))})
		time.Sleep(2 * time.Second)
		stop()
		if slot := m.of("job", began.Add(time.Hour)); slot.effects != 1 || slot.attempt != 2 {
			t.Errorf("done %d times, in %d attempts", slot.effects, slot.attempt)
		}
	})
}

// TestLongWorkIsNotStartedTwice: the next slot of a job waits for the one before, in all
// processes, and only the newest that passed meanwhile is done.
func TestLongWorkIsNotStartedTwice(t *testing.T) {
	one(t, "* * * * *", func(t *testing.T, m *memory, began time.Time) {
		var working, most atomic.Int32
		work := m.lasting(always(150 * time.Second))
		runner := func() *scheduler.Runner {
			return &scheduler.Runner{Slots: m.connect(), Now: time.Now, Work: func(ctx context.Context, slot scheduler.Slot, attempt int) error {
				most.Store(max(most.Load(), working.Add(1)))
				defer working.Add(-1)
				return work(ctx, slot, attempt)
			}}
		}
		stops := []func(){start(t, runner()), start(t, runner())}
		time.Sleep(time.Hour + 10*time.Second)
		for _, stop := range stops {
			stop()
		}
		if most.Load() != 1 {
			t.Errorf("%d at a time", most.Load())
		}
		if n := m.done("job"); n != 23 { // one in 150 seconds
			t.Errorf("%d slots were done", n)
		}
		m.check(began)
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t)
		began := time.Now()
		for i := range 10 {
			m.create(fmt.Sprint(i), "@hourly", began)
		}
		var working, most atomic.Int32
		work := m.lasting(always(time.Minute))
		stop := start(t, &scheduler.Runner{Slots: m.connect(), Now: time.Now, Concurrency: 3, Work: func(ctx context.Context, slot scheduler.Slot, attempt int) error {
			most.Store(max(most.Load(), working.Add(1)))
			defer working.Add(-1)
			return work(ctx, slot, attempt)
		}})
		time.Sleep(time.Hour + 4*time.Minute + time.Second) // 3, 3, 3 and 1
		stop()
		if most.Load() != 3 {
			t.Errorf("%d at a time, want 3", most.Load())
		}
		m.check(began)
		for i := range 10 {
			if m.done(fmt.Sprint(i)) != 1 {
				t.Errorf("job %d was not done", i)
			}
		}
	})
}

func TestWake(t *testing.T) {
	one(t, "0 12 * * *", func(t *testing.T, m *memory, began time.Time) {
		wake := make(chan struct{}, 1)
		stop := start(t, &scheduler.Runner{Slots: m.connect(), Now: time.Now, Wake: wake, Poll: 24 * time.Hour, Work: m.lasting(always(0))})
		time.Sleep(time.Minute)
		m.create("new", "*/5 * * * *", began.Add(-10*time.Minute))
		wake <- struct{}{}
		time.Sleep(time.Second)
		if slot := m.of("new", began); slot.effects != 1 || slot.missed != 1 {
			t.Errorf("the new job's slot was done %d times, for %d missed", slot.effects, slot.missed)
		}
		time.Sleep(10 * time.Minute)
		if n := m.done("new"); n != 3 {
			t.Errorf("%d slots were done, want 3", n)
		}
		close(wake) // must not keep the runner busy: the bubble's time would stand still
		time.Sleep(time.Hour)
		stop()
		if n := m.done("new"); n != 15 {
			t.Errorf("%d slots were done, want 15", n)
		}
	})
}

func TestStoreThatIsAwayForAWhile(t *testing.T) {
	one(t, "*/10 * * * *", func(t *testing.T, m *memory, began time.Time) {
		p := m.connect()
		stop := start(t, &scheduler.Runner{Slots: p, Now: time.Now, Work: m.lasting(always(time.Second))})
		time.Sleep(15 * time.Minute)
		p.die(errors.New("connection refused"))
		time.Sleep(30 * time.Minute)
		p.die(nil)
		time.Sleep(20 * time.Second)
		stop()
		if slot := m.of("job", began.Add(40*time.Minute)); slot.effects != 1 || slot.missed != 2 {
			t.Errorf("the slot of 00:40 was done %d times, for %d missed", slot.effects, slot.missed)
		}
		m.check(began)
	})
}

func TestSettle(t *testing.T) {
	one(t, "@hourly", func(t *testing.T, m *memory, began time.Time) {
		m.create("bad", "@hourly", began)
		m.create("later", "@daily", began)
		now := began.Add(3*time.Hour + time.Minute)
		runner := &scheduler.Runner{Slots: m.connect(), Now: func() time.Time { return now }, Work: func(_ context.Context, slot scheduler.Slot, attempt int) error {
			if slot.Key == "bad" {
				return errors.New("no such event")
			}
			return m.commit(slot, attempt)
		}}
		err := runner.Settle(t.Context())
		if want := `slot 2000-01-01T03:00:00Z of "bad": no such event`; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if err := runner.Settle(t.Context()); err != nil { // the failed one waits for its time
			t.Error(err)
		}
		if slot := m.of("job", began.Add(3*time.Hour)); slot.effects != 1 || slot.missed != 2 || m.done("later") != 0 {
			t.Errorf("the slot of 03:00 was done %d times, for %d missed", slot.effects, slot.missed)
		}
	})
}
