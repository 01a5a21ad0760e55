package deliver

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/engine"
	"muster/event"
)

// bench is a queue with one destination "mp", a deliverer and a clock that stands
// still.
type bench struct {
	*testing.T
	clock *clock
	queue *memQueue
	shop  *shop
	d     *Deliverer
}

func newBench(t *testing.T, pace Pace) *bench {
	b := &bench{T: t, clock: newClock(), queue: newMemQueue(4, "mp"), shop: newShop(t)}
	b.d = b.deliverer("one", pace)
	return b
}

func (b *bench) deliverer(owner string, pace Pace) *Deliverer {
	b.Helper()
	d, err := New(Config{
		Queue: b.queue, Targets: targets(Target{Name: "mp", Destination: b.shop, Pace: pace}),
		Owner: owner, Now: b.clock.Now, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func (b *bench) add(carrier string, messages ...string) {
	for _, m := range messages {
		b.queue.append("mp", carrier, m, true, b.clock.Now())
	}
}

func (b *bench) drain() {
	b.Helper()
	if err := b.d.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) equal(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestDrainDeliversInOrderAndOnce(t *testing.T) {
	b := newBench(t, Pace{Batch: 3})
	var want []string
	for i := range 20 {
		m := fmt.Sprint("a", i)
		want = append(want, m)
		b.add("c1", m)
		b.add("c2", fmt.Sprint("b", i))
	}
	b.drain()
	b.equal("told to c1", b.shop.of("c1"), want)
	b.equal("open", b.queue.open("mp"), []int64(nil))
	if n := len(b.shop.messages()); n != 40 {
		t.Errorf("%d calls were applied, want 40", n)
	}
	sends := b.shop.sends
	b.drain()
	if b.shop.sends != sends {
		t.Errorf("a drain with nothing to do sent %d times", b.shop.sends-sends)
	}
	b.equal("counts", b.queue.counts["mp"], map[Count]int{{Verdict: engine.Delivered}: 40})
	if due := b.d.Due(); !due.IsZero() {
		t.Errorf("Due is %v with nothing queued", due)
	}
}

func TestRetryHoldsTheCarrierAndResendsOnlyWhatFailed(t *testing.T) {
	b := newBench(t, Pace{})
	b.add("c0", "m1", "m2", "m3")
	b.add("c4", "n1", "n2") // the same lane
	b.shop.set(answers(unavailable, "m2"))
	b.drain()
	b.equal("applied", b.shop.messages(), []string{"m1", "n1", "n2"})
	state := b.queue.lanes[Lane{"mp", 0}].state
	b.equal("state", state, State{Position: 1, Ahead: []int64{4, 5}, Retry: Retry{
		Seq: 2, Attempt: 1, Since: b.clock.Now(), Next: b.clock.Now().Add(time.Second), Code: "unavailable", Reason: "the server answered 503",
	}})
	b.equal("due", b.d.Due(), b.clock.Now().Add(time.Second))

	b.add("c4", "n3")
	b.drain()
	b.equal("applied before the delay is over", b.shop.messages(), []string{"m1", "n1", "n2"})

	b.shop.set(nil)
	b.clock.advance(time.Second)
	b.drain()
	b.equal("applied", b.shop.messages(), []string{"m1", "n1", "n2", "m2", "m3", "n3"})
	b.equal("state", b.queue.lanes[Lane{"mp", 0}].state, State{Position: 6})
}

func TestDelaysGrowAcrossProcesses(t *testing.T) {
	b := newBench(t, Pace{FirstDelay: 2 * time.Second, LongestDelay: 10 * time.Second})
	b.add("c0", "m1")
	b.shop.set(answers(unavailable))
	for i, want := range []time.Duration{1, 2, 4, 5, 5} {
		b.d = b.deliverer(fmt.Sprint("process ", i), Pace{FirstDelay: 2 * time.Second, LongestDelay: 10 * time.Second})
		b.drain()
		b.equal("delay", b.d.Due().Sub(b.clock.Now()), want*time.Second)
		b.clock.advance(want * time.Second)
	}
	b.equal("sends", b.shop.sends, 5)
}

func TestRetryAfterSilencesTheWholeDestination(t *testing.T) {
	b := newBench(t, Pace{Concurrency: 1})
	b.add("c0", "m1")
	b.add("c1", "m2")
	b.shop.set(answers(engine.Outcome{Verdict: engine.Retry, Code: "rate_limited", RetryAfter: time.Minute}))
	b.drain()
	b.equal("sends", b.shop.sends, 1)
	b.clock.advance(59 * time.Second)
	b.shop.set(nil)
	b.drain()
	b.clock.advance(3 * time.Second)
	b.drain()
	b.equal("applied", len(b.shop.messages()), 2)
}

func TestGivesUpOnlyAfterAgeAndAttempts(t *testing.T) {
	b := newBench(t, Pace{GiveUpAge: time.Hour, GiveUpAttempts: 3})
	b.add("c0", "m1", "m2")
	b.clock.advance(48 * time.Hour) // an old backlog is not given up for its age
	b.shop.set(answers(unavailable, "m1"))
	b.drain()
	b.clock.advance(2 * time.Hour)
	b.drain() // old enough, but the second attempt
	dead, _ := b.queue.letters("mp")
	b.equal("dead letters", len(dead), 0)

	b.clock.advance(time.Minute)
	b.drain()
	dead, _ = b.queue.letters("mp")
	if len(dead) != 1 {
		t.Fatalf("%d dead letters, want 1", len(dead))
	}
	b.equal("dead letter", dead[0], Letter{
		Entry: dead[0].Entry, Code: CodeGaveUp, Attempts: 3,
		Reason: "given up after 3 attempts in 2h1m0s; the last answer was: the server answered 503",
	})
	b.equal("message", dead[0].Entry.Call.MessageID, "m1")

	// m2 waited for m1 and has its own count, so it goes on.
	b.clock.advance(time.Minute)
	b.drain()
	b.equal("applied", b.shop.messages(), []string{"m2"})
}

func TestRejectedAndUncertainAreSetAsideAtOnce(t *testing.T) {
	b := newBench(t, Pace{})
	b.add("c0", "m1", "m2", "m3")
	b.queue.append("mp", "c0", "m4", false, b.clock.Now())
	b.shop.set(func(c *event.Call) engine.Outcome {
		switch c.MessageID {
		case "m2":
			return engine.Outcome{Verdict: engine.Rejected, Code: "invalid_time", Reason: "the time is invalid"}
		case "m4":
			return engine.Outcome{Verdict: engine.Uncertain, Code: "timeout", Reason: "no answer in 30 s"}
		}
		return engine.Outcome{}
	})
	b.drain()
	b.equal("applied", b.shop.messages(), []string{"m1", "m3"})
	b.equal("open", b.queue.open("mp"), []int64(nil))
	dead, uncertain := b.queue.letters("mp")
	b.equal("dead", dead, []Letter{{Entry: dead[0].Entry, Code: "invalid_time", Reason: "the time is invalid", Attempts: 1}})
	b.equal("uncertain", uncertain, []Letter{{Entry: uncertain[0].Entry, Code: "timeout", Reason: "no answer in 30 s", Attempts: 1}})
	b.equal("counts", b.queue.counts["mp"], map[Count]int{
		{Verdict: engine.Delivered}: 2, {Verdict: engine.Rejected, Code: "invalid_time"}: 1, {Verdict: engine.Uncertain, Code: "timeout"}: 1,
	})
}

func TestHaltKeepsTheQueueUntilResumed(t *testing.T) {
	b := newBench(t, Pace{Concurrency: 1})
	for i := range 8 {
		b.add(fmt.Sprint("c", i), fmt.Sprint("m", i))
	}
	b.shop.set(answers(engine.Outcome{Verdict: engine.Halt, Code: "unauthorized", Reason: "wrong credentials"}))
	b.drain()
	b.equal("sends", b.shop.sends, 1)
	b.equal("reason", b.queue.halted["mp"], "wrong credentials")
	b.equal("open", len(b.queue.open("mp")), 8)
	b.drain()
	b.equal("sends while halted", b.shop.sends, 1)

	b.shop.set(nil)
	b.queue.resume("mp")
	b.drain()
	b.equal("applied", len(b.shop.messages()), 8)
}

func TestPausedDestinationWaits(t *testing.T) {
	b := newBench(t, Pace{})
	b.add("c0", "m1")
	b.queue.set(func() { b.queue.paused["mp"] = true })
	b.drain()
	b.equal("applied", len(b.shop.messages()), 0)
	b.queue.resume("mp")
	b.drain()
	b.equal("applied", b.shop.messages(), []string{"m1"})
}

func TestMissingOutcomesLoseNothing(t *testing.T) {
	b := newBench(t, Pace{})
	b.add("c0", "m1")
	b.queue.append("mp", "c0", "m2", false, b.clock.Now())
	d, err := New(Config{
		Queue: b.queue, Targets: targets(Target{Name: "mp", Destination: silent{}}),
		Owner: "two", Now: b.clock.Now, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.equal("open", b.queue.open("mp"), []int64{1})
	_, uncertain := b.queue.letters("mp")
	b.equal("uncertain", len(uncertain), 1)
	b.equal("code", uncertain[0].Code, CodeNoAnswer)
}

func TestWindowBoundsWhatIsAhead(t *testing.T) {
	b := newBench(t, Pace{Batch: 2, Window: 5})
	b.add("c0", "stuck")
	for i := range 20 {
		b.add("c4", fmt.Sprint("m", i))
	}
	b.shop.set(answers(unavailable, "stuck"))
	for range 30 {
		b.drain()
		b.clock.advance(time.Minute)
		if n := len(b.queue.lanes[Lane{"mp", 0}].state.Ahead); n > 5 {
			t.Fatalf("%d entries are ahead, the window is 5", n)
		}
	}
	b.equal("applied", b.shop.messages(), []string{"m0", "m1", "m2", "m3"})
	b.shop.set(nil)
	b.drain()
	b.equal("applied", len(b.shop.messages()), 21)
}

// What was resolved before lies behind the position at the end, also if it was read after the last Send.
func TestPositionPassesWhatWasResolvedBefore(t *testing.T) {
	b := newBench(t, Pace{Batch: 2})
	b.add("c0", "m1", "m2")
	b.add("c4", "m3", "m4")
	lane := b.queue.lanes[Lane{"mp", 0}]
	lane.state.Ahead = []int64{3, 4} // another process has told them
	b.drain()
	b.equal("applied", b.shop.messages(), []string{"m1", "m2"})
	b.equal("state", lane.state, State{Position: 4})
}

func TestBarrierJoinsTwoLanes(t *testing.T) {
	for _, other := range []string{"c1", "c4"} { // in another lane than c0, and in the same
		b := newBench(t, Pace{Settle: 2 * time.Second})
		b.add("c0", "old-from")
		b.add(other, "old-to")
		b.queue.appendAlias("mp", "c0", other, "alias", b.clock.Now())
		b.add("c0", "new-from")
		b.add(other, "new-to")
		b.add("c8", "stranger") // in the lane of c0
		b.shop.set(answers(unavailable, "old-from"))
		b.drain()
		got := b.shop.messages()
		slices.Sort(got)
		b.equal("applied while an older call fails", got, []string{"old-to", "stranger"})

		b.shop.set(nil)
		b.clock.advance(time.Second)
		b.drain()
		b.equal("told to the new id", b.shop.of(other), []string{"old-to", "alias"})
		b.equal("told to the old id", b.shop.of("c0"), []string{"old-from", "alias"})
		b.equal("due", b.d.Due(), b.clock.Now().Add(2*time.Second))
		b.equal("the stranger is not held", b.shop.of("c8"), []string{"stranger"})

		b.clock.advance(2*time.Second - 1)
		b.drain()
		b.equal("told before it settled", b.shop.of("c0"), []string{"old-from", "alias"})
		b.clock.advance(1)
		b.drain()
		b.equal("told to the new id", b.shop.of(other), []string{"old-to", "alias", "new-to"})
		b.equal("told to the old id", b.shop.of("c0"), []string{"old-from", "alias", "new-from"})
		b.equal("open", b.queue.open("mp"), []int64(nil))
	}
}

func TestQuickBarrierNeedsNoTimeToSettle(t *testing.T) {
	b := newBench(t, Pace{Settle: time.Hour})
	b.add("c0", "old-from")
	b.queue.appendJoin("mp", "c0", "c1", "join", true, b.clock.Now())
	b.add("c0", "new-from")
	b.add("c1", "new-to")
	b.drain()
	b.equal("told to the new id", b.shop.of("c1"), []string{"join", "new-to"})
	b.equal("told to the old id", b.shop.of("c0"), []string{"old-from", "join", "new-from"})
	b.equal("open", b.queue.open("mp"), []int64(nil))
}

func TestBarrierThatIsRefusedLetsBothGoOn(t *testing.T) {
	b := newBench(t, Pace{Settle: -1})
	b.queue.appendAlias("mp", "c0", "c1", "alias", b.clock.Now())
	b.add("c0", "m1")
	b.add("c1", "m2")
	b.shop.set(answers(engine.Outcome{Verdict: engine.Rejected, Code: "simplified"}, "alias"))
	b.drain()
	got := b.shop.messages()
	slices.Sort(got)
	b.equal("applied", got, []string{"m1", "m2"})
	dead, _ := b.queue.letters("mp")
	b.equal("dead letters", len(dead), 1)
}

func TestSentBarrierIsNotSentAgainByTheNextProcess(t *testing.T) {
	b := newBench(t, Pace{})
	b.queue.appendAlias("mp", "c0", "c1", "alias", b.clock.Now())
	b.drain()
	b.d = b.deliverer("two", Pace{})
	b.drain()
	b.clock.advance(time.Second)
	b.drain()
	b.equal("applied", b.shop.messages(), []string{"alias"})
	b.equal("open", b.queue.open("mp"), []int64(nil))
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	_, err := New(Config{LeaseTTL: -1})
	want := "deliver: set Config.Queue\ndeliver: set Config.Targets\ndeliver: set Config.Owner\ndeliver: set Config.Now\n" +
		"deliver: set Config.Random\ndeliver: set Config.LeaseTTL (it is negative)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestInvalidPaceStopsOnlyItsDestination(t *testing.T) {
	clock, q, s := newClock(), newMemQueue(2, "good", "bad"), newShop(t)
	q.append("good", "c0", "m1", true, clock.Now())
	q.append("bad", "c0", "m2", true, clock.Now())
	d, err := New(Config{
		Queue: q, Owner: "one", Now: clock.Now, Random: func() float64 { return 0.5 },
		Targets: targets(Target{Name: "bad", Destination: s, Pace: Pace{Batch: -1}}, Target{Name: "good", Destination: s}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"m1"}, s.messages()); diff != "" {
		t.Error(diff)
	}
}

// heard remembers what the metrics were told.
type heard struct {
	mu     sync.Mutex
	counts map[string]int
	lags   map[Lane]time.Duration
}

func (h *heard) Counted(destination string, v engine.Verdict, code string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[fmt.Sprint(destination, " ", v, " ", code)] += n
}

func (h *heard) Lag(lane Lane, age time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lags[lane] = age
}

func TestMetrics(t *testing.T) {
	b := newBench(t, Pace{})
	h := &heard{counts: map[string]int{}, lags: map[Lane]time.Duration{}}
	b.d.config.Metrics = h
	b.add("c0", "m1", "m2")
	b.add("c1", "m3")
	b.clock.advance(time.Minute)
	b.shop.set(answers(unavailable, "m2"))
	b.drain()
	b.equal("counts", h.counts, map[string]int{
		fmt.Sprint("mp ", engine.Delivered, " "): 2, fmt.Sprint("mp ", engine.Retry, " unavailable"): 1,
	})
	b.equal("lags", h.lags, map[Lane]time.Duration{{"mp", 0}: time.Minute, {"mp", 1}: 0, {"mp", 2}: 0, {"mp", 3}: 0})
}
