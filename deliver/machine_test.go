package deliver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"muster/engine"
	"muster/event"
)

// TestAnyHistoryIsToldInOrder lets rapid choose appends, faults of the queue and
// of the destination, crashes, stops and starts of up to two processes, and
// checks with every call that the destination applies that the order holds, and at
// rest that nothing is lost, doubled or set aside without reason.
func TestAnyHistoryIsToldInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func(t *testing.T) {
			w := newWorld(rt, t)
			defer w.close()
			rt.Repeat(map[string]func(*rapid.T){
				"append":  w.append,
				"burst":   w.burst,
				"alias":   w.alias,
				"time":    w.time,
				"process": w.start,
				"crash":   w.crash,
				"stop":    w.stop,
				"mood":    w.mood,
				"network": w.network,
				"pause":   w.pause,
				"resume":  w.resume,
				"":        w.check,
			})
			w.settle()
		})
	})
}

// inBubble runs f in a synctest bubble of its own, and hands rapid's panics on to
// the goroutine in which rapid waits for them.
func inBubble(t *testing.T, f func(*testing.T)) {
	var thrown any
	synctest.Test(t, func(t *testing.T) {
		defer func() { thrown = recover() }()
		f(t)
	})
	if thrown != nil {
		panic(thrown)
	}
}

const (
	carriers    = 6
	worldSettle = 3 * time.Second
)

var worldPace = Pace{
	Batch: 3, Window: 7, Concurrency: 2, Settle: worldSettle, LongestDelay: 20 * time.Second,
	GiveUpAge: 10 * time.Minute, GiveUpAttempts: 4,
}

// world is a queue, a destination "mp" that judges the order of what it hears,
// and the processes between them.
type world struct {
	rt    *rapid.T
	t     *testing.T
	queue *memQueue
	live  []*process
	names int

	mu      sync.Mutex
	rand    *rand.Rand // for what happens inside processes
	faults  []string
	rows    map[string][]row // by carrier, in order
	entries map[int64]row
	clock   int // counts answers

	answered map[int64]int    // by Seq: clock of the last final answer
	applied  map[string]int   // by message: how often
	aliased  map[string]alias // by carrier: the last alias applied
	refused  map[string]int   // by message: answers Retry
	odds     map[string]int   // percent of calls that get a verdict
	delay    time.Duration    // of a Send, before and after applying
	trouble  int              // percent of queue calls that fail
	deadly   int              // percent of queue calls in which the process dies
}

type row struct {
	seq     int64
	message string
	barrier *Barrier
}

type alias struct {
	seq int64
	at  time.Time
}

func newWorld(rt *rapid.T, t *testing.T) *world {
	seed := rapid.Uint64().Draw(rt, "seed")
	w := &world{
		rt: rt, t: t, queue: newMemQueue(4, "mp"), rand: rand.New(rand.NewPCG(seed, 1)),
		rows: map[string][]row{}, entries: map[int64]row{}, answered: map[int64]int{}, applied: map[string]int{},
		aliased: map[string]alias{}, refused: map[string]int{}, odds: map[string]int{},
	}
	if rapid.Bool().Draw(rt, "shared") {
		w.queue.share = 2
	}
	return w
}

func (w *world) chance(percent int) bool { return w.rand.IntN(100) < percent }

// Actions.

func (w *world) append(rt *rapid.T) {
	kind := rapid.SampledFrom([]string{"often", "often", "once", "bad"}).Draw(rt, "kind")
	carrier := fmt.Sprint("c", rapid.IntRange(0, carriers-1).Draw(rt, "carrier"))
	w.put(carrier, kind)
}

func (w *world) burst(rt *rapid.T) {
	for range 10 {
		w.append(rt)
	}
}

func (w *world) put(carrier, kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	message := fmt.Sprint(kind, len(w.entries))
	r := row{seq: w.queue.append("mp", carrier, message, kind == "often", time.Now()), message: message}
	w.rows[carrier] = append(w.rows[carrier], r)
	w.entries[r.seq] = r
}

func (w *world) alias(rt *rapid.T) {
	from := rapid.IntRange(0, carriers-1).Draw(rt, "from")
	to := (from + rapid.IntRange(1, carriers-1).Draw(rt, "to")) % carriers
	w.mu.Lock()
	defer w.mu.Unlock()
	message := fmt.Sprint("alias", len(w.entries))
	waits, sends := w.queue.appendAlias("mp", fmt.Sprint("c", from), fmt.Sprint("c", to), message, time.Now())
	for carrier, r := range map[string]row{
		fmt.Sprint("c", from): {waits, message, &Barrier{ID: message}},
		fmt.Sprint("c", to):   {sends, message, &Barrier{ID: message, Sends: true}},
	} {
		w.rows[carrier] = append(w.rows[carrier], r)
		w.entries[r.seq] = r
	}
}

func (w *world) time(rt *rapid.T) {
	time.Sleep(time.Duration(rapid.SampledFrom([]int{0, 50, 1000, 3000, 12000, 120000}).Draw(rt, "ms")) * time.Millisecond)
}

func (w *world) start(rt *rapid.T) {
	if len(w.live) == 2 {
		rt.Skip("two are enough")
	}
	w.launch()
}

func (w *world) launch() {
	w.names++
	l := &link{memQueue: w.queue}
	l.fault = func(string) (before, after error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case w.chance(w.deadly):
			l.dead.Store(true)
			if w.chance(50) {
				return errCut, nil
			}
			return nil, errCut
		case !w.chance(w.trouble):
			return nil, nil
		case w.chance(50):
			return errors.New("connection refused"), nil
		}
		return nil, errors.New("connection reset")
	}
	p := startOn(w.t, l, fmt.Sprint("process ", w.names), Target{Name: "mp", Destination: &counter{w: w, link: l}, Pace: worldPace})
	w.live = append(w.live, p)
}

func (w *world) crash(rt *rapid.T) { w.pick(rt).crash() }
func (w *world) stop(rt *rapid.T)  { w.pick(rt).end() }

// pick takes a process out of the live ones.
func (w *world) pick(rt *rapid.T) *process {
	if len(w.live) == 0 {
		rt.Skip("none is running")
	}
	i := rapid.IntRange(0, len(w.live)-1).Draw(rt, "process")
	p := w.live[i]
	w.live = slices.Delete(w.live, i, i+1)
	return p
}

func (w *world) mood(rt *rapid.T) {
	mood := rapid.SampledFrom([]string{"well", "well", "flaky", "ambiguous", "down", "halting", "limiting"}).Draw(rt, "mood")
	delay := time.Duration(rapid.SampledFrom([]int{0, 0, 10, 1500, 8000}).Draw(rt, "delay")) * time.Millisecond
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = delay
	w.odds = map[string]map[string]int{
		"well":      {},
		"flaky":     {"retry": 30},
		"ambiguous": {"retry": 10, "ambiguous": 30},
		"down":      {"retry": 100},
		"halting":   {"halt": 20},
		"limiting":  {"limit": 20},
	}[mood]
}

func (w *world) network(rt *rapid.T) {
	trouble := rapid.SampledFrom([]int{0, 0, 5, 40, 100}).Draw(rt, "trouble")
	deadly := rapid.SampledFrom([]int{0, 0, 1, 10}).Draw(rt, "deadly")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble, w.deadly = trouble, deadly
}

func (w *world) pause(*rapid.T)  { w.queue.set(func() { w.queue.paused["mp"] = true }) }
func (w *world) resume(*rapid.T) { w.queue.resume("mp") }

// counter is the destination as one process reaches it.
type counter struct {
	w    *world
	link *link
}

// Send applies calls one after the other. A process that died meanwhile gets no
// answer, and nothing more of its calls is applied.
func (c *counter) Send(ctx context.Context, calls []*event.Call, _ time.Time) []engine.Outcome {
	w := c.w
	w.mu.Lock()
	delay := w.delay
	w.mu.Unlock()
	pause(ctx, delay, nil)
	outcomes := c.apply(ctx, calls)
	pause(ctx, delay, nil)
	return outcomes
}

func (c *counter) apply(ctx context.Context, calls []*event.Call) []engine.Outcome {
	w := c.w
	w.mu.Lock()
	defer w.mu.Unlock()
	outcomes := make([]engine.Outcome, len(calls))
	blocked := map[string]engine.Outcome{}
	for i, call := range calls {
		o, stop := blocked[call.UserID]
		if !stop {
			o = w.outcome(call, ctx.Err() != nil || c.link.dead.Load())
		}
		outcomes[i] = o
		switch o.Verdict {
		case engine.Retry, engine.Halt:
			w.refused[call.MessageID]++
			blocked[call.UserID] = o
		case engine.Delivered, engine.Rejected, engine.Uncertain:
			w.clock++
			for _, carrier := range []string{call.UserID, call.PreviousID} {
				for _, r := range w.rows[carrier] {
					if r.message == call.MessageID {
						w.answered[r.seq] = w.clock
					}
				}
			}
		}
	}
	return outcomes
}

// outcome decides on a call and applies it.
func (w *world) outcome(call *event.Call, cut bool) engine.Outcome {
	once := strings.HasPrefix(call.MessageID, "once")
	switch {
	case cut:
		return engine.Outcome{Verdict: engine.Retry, Code: "cut"}
	case w.chance(w.odds["halt"]):
		return engine.Outcome{Verdict: engine.Halt, Reason: "wrong credentials"}
	case w.chance(w.odds["limit"]):
		return engine.Outcome{Verdict: engine.Retry, Code: "limit", RetryAfter: 30 * time.Second}
	case w.chance(w.odds["retry"]):
		return unavailable
	case strings.HasPrefix(call.MessageID, "bad"):
		return engine.Outcome{Verdict: engine.Rejected, Code: "invalid"}
	case w.chance(w.odds["ambiguous"]):
		if w.chance(50) {
			w.hear(call)
		}
		if once {
			return engine.Outcome{Verdict: engine.Uncertain, Code: "timeout"}
		}
		return unavailable
	}
	w.hear(call)
	return engine.Outcome{}
}

// hear applies a call, and judges whether it may come now.
func (w *world) hear(call *event.Call) {
	w.applied[call.MessageID]++
	if n := w.applied[call.MessageID]; n > 1 && strings.HasPrefix(call.MessageID, "once") {
		w.fault("%s is applied %d times", call.MessageID, n)
	}
	for _, carrier := range []string{call.UserID, call.PreviousID} {
		if carrier == "" {
			continue
		}
		latest := 0
		for _, r := range w.rows[carrier] {
			if r.message == call.MessageID {
				if a, ok := w.aliased[carrier]; ok && a.seq < r.seq && time.Since(a.at) < worldSettle {
					w.fault("%s comes %v after an alias of %s", call.MessageID, time.Since(a.at), carrier)
				}
				if r.barrier != nil {
					w.aliased[carrier] = alias{r.seq, time.Now()}
				}
				break
			}
			if w.settled(carrier, r) {
				continue
			}
			// Not stored as resolved: then it was answered, and after its elders.
			if w.answered[r.seq] <= latest {
				w.fault("%s (%s) comes before its elder %s (row %d, answered %d, elders %d)", call.MessageID, carrier, r.message, r.seq, w.answered[r.seq], latest)
			}
			latest = w.answered[r.seq]
		}
	}
}

// settled says whether the queue knows that the row is done with.
func (w *world) settled(carrier string, r row) bool {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	if r.barrier != nil && !w.queue.barriers["mp/"+r.barrier.ID].PassedAt.IsZero() {
		return true
	}
	state := w.queue.lanes[w.queue.laneOf("mp", carrier)].state
	return state.resolved(r.seq)
}

func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// check reports what the destination found, and buries the dead.
func (w *world) check(rt *rapid.T) {
	w.live = slices.DeleteFunc(w.live, func(p *process) bool {
		if p.link.dead.Load() {
			p.crash()
			return true
		}
		return false
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) > 0 {
		rt.Fatalf("%s", strings.Join(w.faults, "\n"))
	}
}

// settle heals everything, waits until all is delivered, and compares.
func (w *world) settle() {
	w.mu.Lock()
	w.odds, w.delay, w.trouble, w.deadly = nil, 0, 0, 0
	w.mu.Unlock()
	w.check(w.rt)
	w.queue.resume("mp")
	w.queue.set(func() { w.queue.share = 0 })
	if len(w.live) == 0 {
		w.launch()
	}
	for deadline := time.Now().Add(time.Hour); len(w.queue.open("mp")) > 0; time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			w.rt.Fatalf("still open: %v", w.queue.open("mp"))
		}
	}
	w.check(w.rt)
	w.close()

	dead, uncertain := w.queue.letters("mp")
	letters := map[int64]string{}
	for _, l := range append(dead, uncertain...) {
		if code, twice := letters[l.Entry.Seq]; twice {
			w.rt.Errorf("%s is set aside twice, as %s and %s", l.Entry.Call.MessageID, code, l.Code)
		}
		letters[l.Entry.Seq] = l.Code
		if l.Code == CodeGaveUp && l.Attempts < worldPace.GiveUpAttempts {
			w.rt.Errorf("%s is given up after %d attempts", l.Entry.Call.MessageID, l.Attempts)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for seq, r := range w.entries {
		code, aside := letters[seq]
		times := w.applied[r.message]
		if r.barrier != nil && !r.barrier.Sends {
			if aside {
				w.rt.Errorf("the waiting row of %s is set aside", r.message)
			}
			continue
		}
		switch {
		case code == "":
			if times == 0 {
				w.rt.Errorf("%s is lost", r.message)
			}
		case code == "invalid":
			if !strings.HasPrefix(r.message, "bad") {
				w.rt.Errorf("%s is dead as %s", r.message, code)
			}
		case code == CodeGaveUp:
			if strings.HasPrefix(r.message, "once") && times > 0 {
				w.rt.Errorf("%s was applied and is given up", r.message)
			}
		case code == CodeInterrupted, code == "timeout":
			if strings.HasPrefix(r.message, "often") || strings.HasPrefix(r.message, "alias") {
				w.rt.Errorf("%s could have been repeated and is %s", r.message, code)
			}
		default:
			w.rt.Errorf("%s is set aside as %s", r.message, code)
		}
	}
}

func (w *world) close() {
	for _, p := range w.live {
		p.end()
	}
	w.live = nil
}
