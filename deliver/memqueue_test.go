package deliver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"muster/event"
)

// memQueue keeps the contract of Queue in memory: leases with tokens, positions,
// marks, letters and barriers.
type memQueue struct {
	mu        sync.Mutex
	lanes     map[Lane]*memLane
	barriers  map[string]BarrierState // by destination and id
	paused    map[string]bool
	halted    map[string]string
	dead      map[string]map[int64]Letter // by destination
	uncertain map[string]map[int64]Letter
	counts    map[string]map[Count]int
	seq       int64
	changed   chan struct{} // closed at an append
	poll      time.Duration
	share     int // lanes that one owner may hold; 0: all
	width     int // lanes of a destination
}

type memLane struct {
	rows     []Entry
	owner    string
	token    int64
	until    time.Time
	state    State
	inFlight []int64
}

func newMemQueue(width int, destinations ...string) *memQueue {
	q := &memQueue{
		lanes: map[Lane]*memLane{}, barriers: map[string]BarrierState{}, paused: map[string]bool{}, halted: map[string]string{},
		dead: map[string]map[int64]Letter{}, uncertain: map[string]map[int64]Letter{}, counts: map[string]map[Count]int{},
		changed: make(chan struct{}), poll: 5 * time.Second, width: width,
	}
	for _, d := range destinations {
		q.dead[d], q.uncertain[d], q.counts[d] = map[int64]Letter{}, map[int64]Letter{}, map[Count]int{}
		for n := range width {
			q.lanes[Lane{d, n}] = &memLane{}
		}
	}
	return q
}

// laneOf spreads carriers named c0, c1, ... over the lanes by their number.
func (q *memQueue) laneOf(destination, carrier string) Lane {
	n, err := strconv.Atoi(carrier[1:])
	if err != nil {
		panic(err)
	}
	return Lane{destination, n % q.width}
}

func (q *memQueue) append(destination, carrier, message string, repeatable bool, now time.Time) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	seq := q.add(destination, Entry{Carrier: carrier, Call: &event.Call{MessageID: message, UserID: carrier}, QueuedAt: now, Repeatable: repeatable})
	close(q.changed)
	q.changed = make(chan struct{})
	return seq
}

// appendAlias queues the two rows of a barrier and returns their Seqs.
func (q *memQueue) appendAlias(destination, from, to, message string, now time.Time) (waits, sends int64) {
	return q.appendJoin(destination, from, to, message, false, now)
}

func (q *memQueue) appendJoin(destination, from, to, message string, quick bool, now time.Time) (waits, sends int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	call := &event.Call{Type: event.Alias, MessageID: message, UserID: to, PreviousID: from}
	e := Entry{Carrier: from, Call: call, QueuedAt: now, Repeatable: true, Barrier: &Barrier{ID: message, Quick: quick}}
	waits = q.add(destination, e)
	e.Carrier, e.Barrier = to, &Barrier{ID: message, Sends: true, Quick: quick}
	sends = q.add(destination, e)
	close(q.changed)
	q.changed = make(chan struct{})
	return waits, sends
}

func (q *memQueue) add(destination string, e Entry) int64 {
	q.seq++
	e.Seq = q.seq
	l := q.lanes[q.laneOf(destination, e.Carrier)]
	l.rows = append(l.rows, e)
	return e.Seq
}

func (q *memQueue) Acquire(_ context.Context, c Claim) ([]Lease, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var leases []Lease
	for _, lane := range slices.SortedFunc(maps.Keys(q.lanes), compareLanes) {
		l := q.lanes[lane]
		switch {
		case !slices.Contains(c.Destinations, lane.Destination) || q.paused[lane.Destination] || q.halted[lane.Destination] != "":
			continue
		case q.share > 0 && len(leases) == q.share:
			continue
		case l.owner == c.Owner:
		case c.RenewOnly || l.owner != "" && c.Now.Before(l.until):
			continue
		default:
			l.owner = c.Owner
			l.token++
		}
		l.until = c.Now.Add(c.TTL)
		state := l.state
		state.Ahead = slices.Clone(state.Ahead)
		leases = append(leases, Lease{Lane: lane, Token: l.token, State: state, InFlight: slices.Clone(l.inFlight)})
	}
	return leases, nil
}

func (q *memQueue) Release(_ context.Context, leases []Lease) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lease := range leases {
		if l := q.lanes[lease.Lane]; l.token == lease.Token {
			l.owner = ""
		}
	}
	return nil
}

func (q *memQueue) Read(_ context.Context, lane Lane, after int64, limit int) ([]Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if limit < 1 {
		return nil, fmt.Errorf("limit is %d", limit)
	}
	rows := q.lanes[lane].rows
	i, _ := slices.BinarySearchFunc(rows, after+1, func(e Entry, seq int64) int { return int(e.Seq - seq) })
	return slices.Clone(rows[i:min(len(rows), i+limit)]), nil
}

func (q *memQueue) fenced(l Lease) (*memLane, error) {
	lane := q.lanes[l.Lane]
	if lane.token != l.Token || lane.owner == "" {
		return nil, fmt.Errorf("lane %v: %w", l.Lane, ErrLostLease)
	}
	return lane, nil
}

func (q *memQueue) MarkInFlight(_ context.Context, l Lease, seqs []int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	lane, err := q.fenced(l)
	if err != nil {
		return err
	}
	if !slices.IsSorted(seqs) || len(seqs) == 0 {
		return fmt.Errorf("marks are not ascending: %v", seqs)
	}
	lane.inFlight = slices.Clone(seqs)
	return nil
}

func (q *memQueue) Commit(_ context.Context, l Lease, p Progress) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	lane, err := q.fenced(l)
	if err != nil {
		return err
	}
	if err := p.State.check(lane.state.Position); err != nil {
		panic(err) // a fault of the deliverer that no retry can heal
	}
	lane.state = p.State
	lane.state.Ahead = slices.Clone(p.State.Ahead)
	lane.inFlight = nil
	for _, letter := range p.Dead {
		q.dead[l.Lane.Destination][letter.Entry.Seq] = letter
	}
	for _, letter := range p.Uncertain {
		q.uncertain[l.Lane.Destination][letter.Entry.Seq] = letter
	}
	for _, id := range p.Reached {
		s := q.barriers[l.Lane.Destination+"/"+id]
		s.Reached = true
		q.barriers[l.Lane.Destination+"/"+id] = s
	}
	for _, id := range p.Passed {
		q.barriers[l.Lane.Destination+"/"+id] = BarrierState{Reached: true, PassedAt: p.At}
	}
	if p.Halt != "" {
		q.halted[l.Lane.Destination] = p.Halt
	}
	for _, c := range p.Counts {
		q.counts[l.Lane.Destination][Count{Verdict: c.Verdict, Code: c.Code}] += c.N
	}
	return nil
}

// check holds a state to its own contract.
func (s State) check(before int64) error {
	if s.Position < before {
		return fmt.Errorf("the position goes back from %d to %d", before, s.Position)
	}
	if !slices.IsSorted(s.Ahead) || len(slices.Compact(slices.Clone(s.Ahead))) != len(s.Ahead) {
		return fmt.Errorf("ahead is not strictly ascending: %v", s.Ahead)
	}
	if len(s.Ahead) > 0 && s.Ahead[0] <= s.Position {
		return fmt.Errorf("ahead begins before the position %d: %v", s.Position, s.Ahead)
	}
	return nil
}

func (q *memQueue) Barriers(_ context.Context, destination string, ids []string) (map[string]BarrierState, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	states := map[string]BarrierState{}
	for _, id := range ids {
		if s, ok := q.barriers[destination+"/"+id]; ok {
			states[id] = s
		}
	}
	return states, nil
}

func (q *memQueue) Wait(ctx context.Context) ([]Lane, error) {
	q.mu.Lock()
	changed, poll := q.changed, q.poll
	q.mu.Unlock()
	pause(ctx, poll, changed)
	return nil, ctx.Err()
}

// set changes the queue as an operator does.
func (q *memQueue) set(change func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	change()
}

// resume lets a paused or halted destination go on.
func (q *memQueue) resume(destination string) {
	q.set(func() {
		delete(q.paused, destination)
		delete(q.halted, destination)
		for lane, l := range q.lanes {
			if lane.Destination == destination {
				l.state.Retry = Retry{}
			}
		}
	})
}

// open returns the Seqs that are not resolved.
func (q *memQueue) open(destination string) []int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	var seqs []int64
	for lane, l := range q.lanes {
		if lane.Destination != destination {
			continue
		}
		for _, e := range l.rows {
			if !l.state.resolved(e.Seq) {
				seqs = append(seqs, e.Seq)
			}
		}
	}
	slices.Sort(seqs)
	return seqs
}

func (q *memQueue) letters(destination string) (dead, uncertain []Letter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	bySeq := func(a, b Letter) int { return int(a.Entry.Seq - b.Entry.Seq) }
	dead = slices.SortedFunc(maps.Values(q.dead[destination]), bySeq)
	uncertain = slices.SortedFunc(maps.Values(q.uncertain[destination]), bySeq)
	return dead, uncertain
}
