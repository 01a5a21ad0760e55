package deliver

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"muster/event"
)

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

// Whether the queue or the destination knows that a call must not be repeated makes no difference.
func TestCrashWhileSendingParksWhatMustNotBeRepeated(t *testing.T) {
	t.Run("the queue knows", func(t *testing.T) { crashWhileSending(t, false, nil) })
	t.Run("the destination knows", func(t *testing.T) {
		crashWhileSending(t, true, func(c *event.Call) bool { return c.MessageID != "once" })
	})
	t.Run("either may know", func(t *testing.T) {
		crashWhileSending(t, false, func(*event.Call) bool { return true })
	})
}

func crashWhileSending(t *testing.T, repeatable bool, knows func(*event.Call) bool) {
	synctest.Test(t, func(t *testing.T) {
		q, s := newMemQueue(4, "mp"), newShop(t)
		target := Target{Name: "mp", Destination: s, Repeatable: knows}
		dying := &link{memQueue: q}
		s.during = func(context.Context, []*event.Call) { dying.dead.Store(true) } // then it is applied
		q.append("mp", "c1", "once", repeatable, time.Now())
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
