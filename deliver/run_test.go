package deliver

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/engine"
	"muster/event"
)

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

// However many lanes are refused at once, that the destination has halted is said once, and
// once more when it halts again.
func TestHaltIsLoggedOncePerDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(16, "mp"), newShop(t)
		s.during = func(ctx context.Context, _ []*event.Call) { pause(ctx, time.Second, nil) }
		s.set(answers(engine.Outcome{Verdict: engine.Halt, Code: "unauthorized", Reason: "wrong credentials"}))
		for i := range 64 {
			q.append("mp", fmt.Sprint("c", i), fmt.Sprint("m", i), true, time.Now())
		}
		var log bytes.Buffer
		d, err := New(Config{
			Queue: q, Targets: targets(Target{Name: "mp", Destination: s, Pace: Pace{Concurrency: 16}}), Owner: "one",
			Now: time.Now, Random: func() float64 { return 0.5 }, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		sent := s.sends
		q.resume("mp")
		time.Sleep(time.Minute)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if sent < 2 || s.sends == sent {
			t.Fatalf("%d sends, and %d after it was resumed: too few to say anything", sent, s.sends-sent)
		}
		if n := strings.Count(log.String(), "destination halted"); n != 2 {
			t.Errorf("it is said %d times:\n%s", n, &log)
		}
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
