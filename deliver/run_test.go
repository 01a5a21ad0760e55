package deliver

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/engine"
	"muster/event"
)

// process is a running Deliverer in a test. Its link to the queue can be cut, as
// by a crash.
type process struct {
	link *link
	stop context.CancelFunc
	done chan struct{}
}

// start runs a deliverer inside a synctest bubble.
func start(t testing.TB, q *memQueue, owner string, ts ...Target) *process {
	t.Helper()
	return startOn(t, &link{memQueue: q}, owner, ts...)
}

// startOn is start with a link that a test has prepared.
func startOn(t testing.TB, l *link, owner string, ts ...Target) *process {
	t.Helper()
	p := &process{link: l, done: make(chan struct{})}
	d, err := New(Config{
		Queue: p.link, Targets: targets(ts...), Owner: owner, Now: time.Now, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.done)
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return p
}

func (p *process) end() {
	p.stop()
	<-p.done
}

// crash cuts the process off: nothing that it still does reaches the queue.
func (p *process) crash() {
	p.link.dead.Store(true)
	p.end()
}

var errCut = errors.New("the process is dead")

// link is a process's connection to the queue.
type link struct {
	*memQueue
	dead atomic.Bool
	// fault may make a call fail, before it is applied or, with its answer lost,
	// after; nil: never.
	fault func(op string) (before, after error)
}

func (l *link) try(op string, do func() error) error {
	if l.dead.Load() {
		return errCut
	}
	var before, after error
	if l.fault != nil {
		before, after = l.fault(op)
	}
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

func (l *link) Acquire(ctx context.Context, c Claim) (leases []Lease, err error) {
	err = l.try("acquire", func() error { leases, err = l.memQueue.Acquire(ctx, c); return err })
	if err != nil {
		return nil, err
	}
	return leases, nil
}

func (l *link) Release(ctx context.Context, leases []Lease) error {
	return l.try("release", func() error { return l.memQueue.Release(ctx, leases) })
}

func (l *link) Read(ctx context.Context, lane Lane, after int64, limit int) (entries []Entry, err error) {
	err = l.try("read", func() error { entries, err = l.memQueue.Read(ctx, lane, after, limit); return err })
	if err != nil {
		return nil, err
	}
	return entries, nil
}

func (l *link) MarkInFlight(ctx context.Context, lease Lease, seqs []int64) error {
	return l.try("mark", func() error { return l.memQueue.MarkInFlight(ctx, lease, seqs) })
}

func (l *link) Commit(ctx context.Context, lease Lease, p Progress) error {
	return l.try("commit", func() error { return l.memQueue.Commit(ctx, lease, p) })
}

func (l *link) Barriers(ctx context.Context, destination string, ids []string) (states map[string]BarrierState, err error) {
	err = l.try("barriers", func() error { states, err = l.memQueue.Barriers(ctx, destination, ids); return err })
	if err != nil {
		return nil, err
	}
	return states, nil
}

func (l *link) Wait(ctx context.Context) (lanes []Lane, err error) {
	err = l.try("wait", func() error { lanes, err = l.memQueue.Wait(ctx); return err })
	if err != nil {
		return nil, err
	}
	return lanes, nil
}

func TestRunDeliversWhatIsAppended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		p := start(t, q, "one", Target{Name: "mp", Destination: s})
		for i := range 10 {
			q.append("mp", "c1", fmt.Sprint("m", i), true, time.Now())
			synctest.Wait() // delivered without time passing
			if n := len(s.messages()); n != i+1 {
				t.Fatalf("%d calls are delivered after %d were appended", n, i+1)
			}
		}
		p.end()
		if open := q.open("mp"); len(open) > 0 {
			t.Errorf("open: %v", open)
		}
	})
}

func TestSlowDestinationDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue(4, "quick", "slow", "dead")
		quick, slow, dead := newShop(t), newShop(t), newShop(t)
		slow.during = func(ctx context.Context, _ []*event.Call) { pause(ctx, time.Minute, nil) }
		dead.set(answers(engine.Outcome{Verdict: engine.Retry, Code: "rate_limited", RetryAfter: 10 * time.Minute}))
		p := start(t, q, "one",
			Target{Name: "quick", Destination: quick}, Target{Name: "slow", Destination: slow, Pace: Pace{Concurrency: 1}}, Target{Name: "dead", Destination: dead})
		for i := range 100 {
			for _, d := range []string{"quick", "slow", "dead"} {
				q.append(d, fmt.Sprint("c", i%4), fmt.Sprint("m", i), true, time.Now())
			}
			synctest.Wait()
			if n := len(quick.messages()); n != i+1 {
				t.Fatalf("the quick destination lags: %d of %d", n, i+1)
			}
			time.Sleep(time.Second)
		}
		p.end()
	})
}

func TestConcurrencyIsPerDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(8, "mp"), newShop(t)
		var at, most atomic.Int64
		s.during = func(context.Context, []*event.Call) {
			most.Store(max(most.Load(), at.Add(1)))
			time.Sleep(time.Second)
			at.Add(-1)
		}
		for i := range 8 {
			q.append("mp", fmt.Sprint("c", i), fmt.Sprint("m", i), true, time.Now())
		}
		begin := time.Now()
		p := start(t, q, "one", Target{Name: "mp", Destination: s, Pace: Pace{Concurrency: 2}})
		for len(q.open("mp")) > 0 {
			time.Sleep(100 * time.Millisecond)
		}
		if got := time.Since(begin).Round(time.Second); got != 4*time.Second || most.Load() != 2 {
			t.Errorf("8 lanes by 2 took %v with %d at once, want 4s with 2", got, most.Load())
		}
		p.end()
	})
}

func TestDeadProcessIsReplacedWithinItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		target := Target{Name: "mp", Destination: s}
		first := start(t, q, "first", target)
		synctest.Wait()
		second := start(t, q, "second", target)
		first.crash()
		died := time.Now()
		q.append("mp", "c1", "m1", true, time.Now())
		for len(s.messages()) == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		if got := time.Since(died); got > DefaultLeaseTTL+DefaultLeaseTTL/3+100*time.Millisecond {
			t.Errorf("the dead process's lanes were taken over after %v", got)
		}
		second.end()
	})
}

func TestStoppedProcessGivesItsLanesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		target := Target{Name: "mp", Destination: s}
		first := start(t, q, "first", target)
		synctest.Wait()
		first.end()
		second := start(t, q, "second", target)
		q.append("mp", "c1", "m1", true, time.Now())
		synctest.Wait()
		if n := len(s.messages()); n != 1 {
			t.Error("the second process had to wait for the first one's lease")
		}
		second.end()
	})
}

func TestShareOfLanesMovesToANewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		target := Target{Name: "mp", Destination: s}
		first := start(t, q, "first", target)
		synctest.Wait()
		q.set(func() { q.share = 2 })
		second := start(t, q, "second", target)
		time.Sleep(DefaultLeaseTTL)
		q.mu.Lock()
		owners := map[string]int{}
		for _, l := range q.lanes {
			owners[l.owner]++
		}
		q.mu.Unlock()
		if owners["first"] != 2 || owners["second"] != 2 {
			t.Errorf("lanes are held by %v", owners)
		}
		first.end()
		second.end()
	})
}

func TestStopWaitsForSendsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		s.during = func(ctx context.Context, _ []*event.Call) { pause(ctx, 5*time.Second, nil) }
		q.append("mp", "c1", "m1", false, time.Now())
		p := start(t, q, "one", Target{Name: "mp", Destination: s})
		time.Sleep(time.Second)
		q.append("mp", "c1", "m2", false, time.Now())
		begin := time.Now()
		p.end()
		if got := time.Since(begin); got != 4*time.Second {
			t.Errorf("stopping took %v, the Send had 4s to go", got)
		}
		if open := q.open("mp"); len(open) != 1 {
			t.Errorf("open: %v, want only the second", open)
		}
		if l := q.lanes[Lane{"mp", 1}]; l.inFlight != nil || l.owner != "" {
			t.Errorf("left behind: marks %v, owner %q", l.inFlight, l.owner)
		}
	})
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		s.during = func(ctx context.Context, _ []*event.Call) { <-ctx.Done() } // hangs as long as it may
		q.append("mp", "c1", "m1", true, time.Now())
		p := start(t, q, "one", Target{Name: "mp", Destination: s})
		time.Sleep(time.Minute) // renewed all the while
		begin := time.Now()
		p.end()
		if got := time.Since(begin); got != DefaultGrace {
			t.Errorf("stopping took %v, the grace is %v", got, DefaultGrace)
		}
		if s.sends != 1 {
			t.Errorf("%d sends, want the one that hung", s.sends)
		}
	})
}

func TestCrashWhileSendingParksWhatMustNotBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		target := Target{Name: "mp", Destination: s}
		dying := &link{memQueue: q}
		s.during = func(context.Context, []*event.Call) { dying.dead.Store(true) } // then it is applied
		q.append("mp", "c1", "once", false, time.Now())
		q.append("mp", "c1", "often", true, time.Now())
		p := startOn(t, dying, "first", target)
		synctest.Wait()
		p.end()
		if got := s.messages(); len(got) != 2 {
			t.Fatalf("applied: %v", got)
		}
		s.during = nil
		p = start(t, q, "second", target)
		time.Sleep(2 * DefaultLeaseTTL)
		p.end()
		_, uncertain := q.letters("mp")
		if len(uncertain) != 1 || uncertain[0].Entry.Call.MessageID != "once" || uncertain[0].Code != CodeInterrupted {
			t.Errorf("uncertain: %+v", uncertain)
		}
		if got := fmt.Sprint(s.messages()); got != "[once often often]" {
			t.Errorf("applied: %v", got)
		}
		if open := q.open("mp"); len(open) > 0 {
			t.Errorf("open: %v", open)
		}
	})
}

func TestLostAnswerOfACommitSendsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		var failures atomic.Int64
		unsteady := &link{memQueue: q, fault: func(op string) (before, after error) {
			if op != "commit" {
				return nil, nil
			}
			switch failures.Add(1) {
			case 1:
				return errors.New("connection refused"), nil
			case 2:
				return nil, errors.New("connection reset")
			}
			return nil, nil
		}}
		p := startOn(t, unsteady, "one", Target{Name: "mp", Destination: s})
		q.append("mp", "c1", "m1", false, time.Now())
		time.Sleep(time.Minute)
		p.end()
		if got := fmt.Sprint(s.messages()); got != "[m1]" {
			t.Errorf("applied: %v", got)
		}
		if _, uncertain := q.letters("mp"); len(uncertain) > 0 {
			t.Errorf("uncertain: %v", uncertain)
		}
		if open := q.open("mp"); len(open) > 0 {
			t.Errorf("open: %v", open)
		}
	})
}

// A process that was suspended for longer than its lease wakes up in the belief
// that it still holds the lane.
func TestSuspendedProcessIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(1, "mp"), newShop(t)
		target := Target{Name: "mp", Destination: s}
		var asleep atomic.Bool
		first := startOn(t, &link{memQueue: q, fault: func(string) (before, after error) {
			for asleep.Load() {
				time.Sleep(time.Second)
			}
			return nil, nil
		}}, "first", target)
		synctest.Wait()
		asleep.Store(true)
		for i := range 5 {
			q.append("mp", "c0", fmt.Sprint("m", i), false, time.Now())
		}
		second := start(t, q, "second", target)
		time.Sleep(2 * DefaultLeaseTTL)
		second.end()
		asleep.Store(false)
		time.Sleep(2 * DefaultLeaseTTL)
		first.end()
		if got := fmt.Sprint(s.messages()); got != "[m0 m1 m2 m3 m4]" {
			t.Errorf("applied: %v", got)
		}
	})
}

func TestHaltedDestinationIsProbedWhenResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		s.set(answers(engine.Outcome{Verdict: engine.Halt, Code: "unauthorized", Reason: "wrong credentials"}))
		p := start(t, q, "one", Target{Name: "mp", Destination: s})
		q.append("mp", "c1", "m1", true, time.Now())
		time.Sleep(time.Hour)
		synctest.Wait()
		if sends := s.sends; sends != 1 {
			t.Errorf("%d sends to a destination that refuses everything, want 1", sends)
		}
		s.set(nil)
		q.resume("mp")
		time.Sleep(DefaultLeaseTTL)
		if len(s.messages()) != 1 {
			t.Error("not delivered after it was resumed")
		}
		p.end()
	})
}

func TestBarrierAcrossProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(2, "mp"), newShop(t)
		q.share = 1
		target := Target{Name: "mp", Destination: s}
		first, second := start(t, q, "first", target), start(t, q, "second", target)
		synctest.Wait()
		q.append("mp", "c0", "a", true, time.Now())
		q.append("mp", "c1", "b", true, time.Now())
		q.appendAlias("mp", "c0", "c1", "alias", time.Now())
		q.append("mp", "c0", "c", true, time.Now())
		q.append("mp", "c1", "d", true, time.Now())
		begin := time.Now()
		for len(q.open("mp")) > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if got := time.Since(begin); got > DefaultSettle+3*barrierPoll {
			t.Errorf("the barrier took %v", got)
		}
		if got := fmt.Sprint(s.of("c0"), s.of("c1")); got != "[a alias c] [b alias d]" {
			t.Errorf("applied: %v", got)
		}
		first.end()
		second.end()
	})
}

// A process that is cut off from the queue must not go on sending what another
// process may be sending by now.
func TestSendEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		var cut atomic.Bool
		var ended time.Time
		s.during = func(ctx context.Context, _ []*event.Call) {
			if ended.IsZero() {
				<-ctx.Done()
				ended = time.Now()
			}
		}
		p := startOn(t, &link{memQueue: q, fault: func(string) (before, after error) {
			if cut.Load() {
				return errors.New("connection refused"), nil
			}
			return nil, nil
		}}, "one", Target{Name: "mp", Destination: s})
		q.append("mp", "c1", "m1", true, time.Now())
		time.Sleep(time.Minute)
		cut.Store(true)
		begin := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := ended.Sub(begin); got <= 0 || got > DefaultLeaseTTL {
			t.Errorf("the Send ended %v after the last renewal could fail, want at most %v", got, DefaultLeaseTTL)
		}
		cut.Store(false)
		time.Sleep(time.Minute)
		if got := fmt.Sprint(s.messages()); got != "[m1]" {
			t.Errorf("applied when the queue came back: %v", got)
		}
		p.end()
	})
}

// A mark whose answer got lost must not outlive an orderly stop: the next process
// would park a call that was never sent.
func TestStopBetweenMarkAndSendLeavesNoMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		marked := make(chan struct{}, 1)
		p := startOn(t, &link{memQueue: q, fault: func(op string) (before, after error) {
			if op == "mark" {
				marked <- struct{}{}
				return nil, errors.New("connection reset")
			}
			return nil, nil
		}}, "one", Target{Name: "mp", Destination: s})
		q.append("mp", "c1", "m1", false, time.Now())
		<-marked
		p.end()
		p = start(t, q, "two", Target{Name: "mp", Destination: s})
		synctest.Wait()
		p.end()
		if _, uncertain := q.letters("mp"); len(uncertain) > 0 {
			t.Errorf("uncertain: %v", uncertain)
		}
		if got := fmt.Sprint(s.messages()); got != "[m1]" {
			t.Errorf("applied: %v", got)
		}
	})
}

func TestBarrierWithinAProcessWaitsOnlyToSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(2, "mp"), newShop(t)
		p := start(t, q, "one", Target{Name: "mp", Destination: s, Pace: Pace{Settle: 300 * time.Millisecond}})
		synctest.Wait()
		q.appendAlias("mp", "c0", "c1", "alias", time.Now())
		q.append("mp", "c0", "a", true, time.Now())
		q.append("mp", "c1", "b", true, time.Now())
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if got := fmt.Sprint(s.of("c0"), s.of("c1")); got != "[alias a] [alias b]" {
			t.Errorf("applied: %v", got)
		}
		p.end()
	})
}

func TestPauseEndsDeliveryAndResumeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		p := start(t, q, "one", Target{Name: "mp", Destination: s})
		synctest.Wait()
		q.set(func() { q.paused["mp"] = true })
		time.Sleep(DefaultLeaseTTL) // at the next renewal it stops
		q.append("mp", "c1", "m1", true, time.Now())
		time.Sleep(time.Hour)
		if n := len(s.messages()); n > 0 {
			t.Errorf("%d calls were delivered to a paused destination", n)
		}
		q.resume("mp")
		time.Sleep(DefaultLeaseTTL)
		if n := len(s.messages()); n != 1 {
			t.Error("not delivered after the pause")
		}
		p.end()
	})
}
