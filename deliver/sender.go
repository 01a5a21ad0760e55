package deliver

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"muster/engine"
)

// saveTimeout bounds the storing of an answer, which goes on after everything
// else was told to stop.
const saveTimeout = 5 * time.Second

// sender works on one lane, step by step. It is used by one goroutine at a time.
type sender struct {
	d      *Deliverer
	lease  Lease
	outlet *outlet
	wake   func() // the lanes that may wait for this one's barriers

	state State
	open  []Entry // read and not resolved, ascending
	read  int64   // the last Seq that was read
	more  bool    // the queue may hold more after read

	failures map[int64]failure       // by Seq
	barriers map[string]BarrierState // by id, of open entries

	adopted bool      // the last holder's marks are dealt with
	marked  bool      // this holder's marks may be in the queue
	lost    bool      // the lane belongs to somebody else
	unsaved *Progress // reported to nobody yet
}

func newSender(d *Deliverer, l Lease, o *outlet, wake func()) *sender {
	s := &sender{
		d: d, lease: l, outlet: o, wake: wake, state: l.State, read: l.State.Position,
		failures: make(map[int64]failure), barriers: make(map[string]BarrierState),
	}
	if r := l.State.Retry; r.Seq != 0 {
		f := failure{attempts: r.Attempt, since: r.Since}
		f.last.Code, f.last.Reason = r.Code, r.Reason
		s.failures[r.Seq] = f
	}
	return s
}

// rest says when a sender has something to do again.
type rest struct {
	again  bool      // at once
	due    time.Time // then, if not zero
	shared bool      // or when another lane records that it got on with a barrier
	halted bool      // never: the destination is halted
	moved  bool      // the step itself sent or recorded something
}

// step does what can be done now, at most one Send, and reports it to the queue.
// Once stop ends nothing new is begun; certain ends when the lease may have been
// lost, and with it a Send under way.
func (s *sender) step(stop, certain context.Context) (rest, error) {
	if err := s.save(certain); err != nil {
		return rest{}, err
	}
	if !s.adopted {
		if err := s.adopt(stop, certain); err != nil {
			return rest{}, err
		}
	}
	target, leave, err := s.outlet.enter(stop)
	if err != nil {
		return rest{}, err
	}
	defer leave()

	now := s.d.config.Now()
	quiet, halted := s.outlet.quietUntil()
	if halted {
		return rest{halted: true}, nil
	}
	if quiet = later(quiet, s.state.Retry.Next); now.Before(quiet) {
		return rest{due: quiet}, nil
	}
	v, err := s.fill(stop, &target, now)
	if err != nil {
		return rest{}, err
	}
	if len(v.over) > 0 || len(v.reached) > 0 {
		return rest{again: true, moved: true}, s.record(certain, v, now)
	}
	if len(v.ready) == 0 {
		// What was just read may all have been resolved before.
		if s.state.advance(s.open, s.read) {
			return rest{again: true, moved: true}, s.report(certain, Progress{At: now})
		}
		s.lag(now)
		return rest{due: v.opens, shared: len(v.ask) > 0}, nil
	}
	return s.send(stop, certain, target, v.ready)
}

// adopt parks the entries whose fate the last holder never reported.
func (s *sender) adopt(stop, certain context.Context) error {
	marks := s.lease.InFlight
	if len(marks) == 0 {
		s.adopted = true
		return nil
	}
	p := Progress{At: s.d.config.Now()}
	t := make(tally)
	var resolved []int64
	for after := s.state.Position; after < marks[len(marks)-1]; {
		entries, err := s.d.config.Queue.Read(stop, s.lease.Lane, after, DefaultBatch)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			after = e.Seq
			if _, marked := slices.BinarySearch(marks, e.Seq); !marked || s.state.resolved(e.Seq) {
				continue
			}
			p.Uncertain = append(p.Uncertain, Letter{
				Entry: e, Code: CodeInterrupted, Attempts: s.failures[e.Seq].attempts + 1,
				Reason: "the process ended between sending this call and storing the answer, so it may have been applied",
			})
			t.add(engine.Uncertain, CodeInterrupted)
			if e.Barrier != nil {
				p.Passed = append(p.Passed, e.Barrier.ID)
				continue
			}
			resolved = append(resolved, e.Seq)
		}
	}
	s.adopted = true
	s.state.resolve(resolved)
	for _, l := range p.Uncertain {
		delete(s.failures, l.Entry.Seq)
	}
	if len(s.failures) == 0 {
		s.state.Retry = Retry{}
	}
	p.Counts = t.counts()
	return s.report(certain, p)
}

// fill reads entries until a batch is ready, the window is full or the queue has
// no more, and looks at what there is to do.
func (s *sender) fill(ctx context.Context, target *Target, now time.Time) (view, error) {
	pace := target.Pace
	s.more = true
	for {
		v := look(s.open, s.barriers, pace.Settle, pace.Batch, now)
		room := min(pace.Batch, pace.Window-len(s.open)-len(s.state.Ahead))
		if len(v.ready) == pace.Batch || !s.more || room <= 0 {
			return s.ask(ctx, v, pace, now)
		}
		entries, err := s.d.config.Queue.Read(ctx, s.lease.Lane, s.read, room)
		if err != nil {
			return view{}, err
		}
		s.more = len(entries) == room
		for _, e := range entries {
			s.read = e.Seq
			if !s.state.resolved(e.Seq) {
				e.Repeatable = target.repeats(&e)
				s.open = append(s.open, e)
			}
		}
	}
}

// ask looks again with what other lanes have recorded about barriers.
func (s *sender) ask(ctx context.Context, v view, pace Pace, now time.Time) (view, error) {
	if len(v.ask) == 0 {
		return v, nil
	}
	states, err := s.d.config.Queue.Barriers(ctx, s.lease.Lane.Destination, v.ask)
	if err != nil {
		return view{}, err
	}
	maps.Copy(s.barriers, states)
	return look(s.open, s.barriers, pace.Settle, pace.Batch, now), nil
}

// record tells the queue which barriers are reached and which are over.
func (s *sender) record(certain context.Context, v view, now time.Time) error {
	over := make([]int64, len(v.over))
	for i, e := range v.over {
		over[i] = e.Seq
		delete(s.barriers, e.Barrier.ID)
	}
	for _, id := range v.reached {
		state := s.barriers[id]
		state.Reached = true
		s.barriers[id] = state
	}
	s.close(over)
	return s.report(certain, Progress{At: now, Reached: v.reached})
}

// send sends a batch and reports what became of it.
func (s *sender) send(stop, certain context.Context, target Target, batch []Entry) (rest, error) {
	if seqs := unrepeatable(batch); len(seqs) > 0 {
		s.marked = true
		if err := s.d.config.Queue.MarkInFlight(stop, s.lease, seqs); err != nil {
			return rest{}, err
		}
	}
	if err := certain.Err(); err != nil {
		return rest{}, err
	}
	outcomes := target.Destination.Send(certain, calls(batch), s.d.config.Now())

	now := s.d.config.Now()
	j := judge(batch, outcomes, s.failures, target.Pace, now)
	for _, e := range batch {
		delete(s.failures, e.Seq)
	}
	maps.Copy(s.failures, j.failing)
	for _, id := range j.passed {
		s.barriers[id] = BarrierState{Reached: true, PassedAt: now}
	}
	s.close(j.resolved)

	r := rest{again: s.more || len(s.open) > 0, halted: j.halt != "", moved: true}
	s.state.Retry = s.retry(target.Pace, j, now)
	if j.retry {
		r.again, r.due = false, s.state.Retry.Next
		if j.retryAfter > 0 {
			s.outlet.hush(now.Add(min(j.retryAfter, longestRetryAfter)))
		}
	}
	if r.halted && s.outlet.halt() {
		s.d.config.Log.Error("destination halted", slog.String("destination", s.lease.Lane.Destination), slog.String("reason", j.halt))
	}
	s.tell(j)
	err := s.report(certain, Progress{
		At: now, Dead: j.dead, Uncertain: j.uncertain, Passed: j.passed, Halt: j.halt, Counts: j.tally.counts(),
	})
	if j.retry {
		s.forget()
	}
	return r, err
}

// close takes resolved entries, ascending, out of the open ones.
func (s *sender) close(seqs []int64) {
	if len(seqs) == 0 {
		return
	}
	var open []Entry // a new one: a batch may share the old one's memory
	for _, e := range s.open {
		if _, closed := slices.BinarySearch(seqs, e.Seq); !closed {
			open = append(open, e)
		}
	}
	s.open = open
	s.state.resolve(seqs)
}

// retry is the failure that the lane waits out after a judgement.
func (s *sender) retry(pace Pace, j judgement, now time.Time) Retry {
	if len(s.failures) == 0 {
		return Retry{}
	}
	oldest := slices.Min(slices.Collect(maps.Keys(s.failures)))
	f := s.failures[oldest]
	r := Retry{
		Seq: oldest, Attempt: f.attempts, Since: f.since, Next: s.state.Retry.Next,
		Code: f.last.Code, Reason: f.last.Reason,
	}
	if j.retry {
		r.Next = now.Add(pace.delay(f.attempts, j.retryAfter, s.d.config.Random()))
	}
	return r
}

// report moves the position, completes the progress with the state and stores it.
func (s *sender) report(certain context.Context, p Progress) error {
	s.state.advance(s.open, s.read)
	p.State = s.state
	s.unsaved = &p
	return s.save(certain)
}

// save stores what is not stored yet. While it fails, the lane does nothing else.
func (s *sender) save(certain context.Context) error {
	if s.unsaved == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(certain), saveTimeout)
	defer cancel()
	if err := s.d.config.Queue.Commit(ctx, s.lease, *s.unsaved); err != nil {
		return err
	}
	p := s.unsaved
	s.unsaved, s.marked = nil, false
	for _, c := range p.Counts {
		s.d.config.Metrics.Counted(s.lease.Lane.Destination, c.Verdict, c.Code, c.N)
	}
	s.lag(p.At)
	if len(p.Reached) > 0 || len(p.Passed) > 0 {
		s.wake()
	}
	return nil
}

// finish stores what is left to store when the lane is given up in good order: a
// mark that stayed would make the next holder park calls that were never sent.
func (s *sender) finish(ctx context.Context) error {
	if s.marked && s.unsaved == nil {
		return s.report(ctx, Progress{At: s.d.config.Now()})
	}
	return s.save(ctx)
}

// forget lets go of the open entries while the lane waits, so that the memory of
// a destination that stands still is bounded by its concurrency.
func (s *sender) forget() {
	s.open, s.read = nil, s.state.Position
}

// lag reports the age of the oldest open entry that the lane knows of.
func (s *sender) lag(now time.Time) {
	var age time.Duration
	if len(s.open) > 0 {
		age = max(now.Sub(s.open[0].QueuedAt), 0)
	}
	s.d.config.Metrics.Lag(s.lease.Lane, age)
}

// tell logs what an operator should know, ids instead of payloads.
func (s *sender) tell(j judgement) {
	log := s.d.config.Log.With(slog.String("destination", s.lease.Lane.Destination), slog.Int("lane", s.lease.Lane.Number))
	if n := len(j.dead); n > 0 {
		log.Warn("calls set aside as dead letters", slog.Int("calls", n), letterAttr(j.dead[0]))
	}
	if n := len(j.uncertain); n > 0 {
		log.Warn("calls set aside as uncertain", slog.Int("calls", n), letterAttr(j.uncertain[0]))
	}
	if r := s.state.Retry; j.retry && r.Attempt == 1 {
		log.Warn("delivery fails and is tried again", slog.Time("next", r.Next), slog.String("code", r.Code), slog.String("reason", r.Reason))
	}
}

func letterAttr(l Letter) slog.Attr {
	return slog.Group("first", slog.String("message_id", l.Entry.Call.MessageID), slog.String("code", l.Code), slog.String("reason", l.Reason))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
