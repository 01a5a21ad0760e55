package deliver

import (
	"context"
	"errors"
	"time"

	"muster/engine"
	"muster/event"
)

// ErrLostLease says that the lane was released or now belongs to somebody else:
// the token of the lease is not the lane's token any more. Nothing of the call was
// applied.
var ErrLostLease = errors.New("the lane's lease has passed to another process")

// Queue is a log of calls, split into lanes. It is safe for concurrent use.
//
// Within a lane the order of Seq is the order of commits: who has read up to n
// never meets a smaller one later. If two barriers have rows in the same lanes,
// their order is the same in each of them.
//
// A call with a Lease is fenced: in the same transaction it checks that the
// lane's token is still the lease's and otherwise fails with ErrLostLease and
// changes nothing. Whether the lease has run out plays no part as long as
// nobody else took the lane.
type Queue interface {
	// Acquire takes or renews lanes for one process and returns all that it holds
	// until Claim.Now + Claim.TTL. Free are lanes that nobody ever held, that were
	// released, and whose lease has run out. Lanes of paused or halted
	// destinations are neither taken nor renewed. The queue may also withhold a
	// renewal so that other processes get their share: the holder then finishes
	// what is in flight and releases the lane.
	//
	// Taking raises the lane's token by one; renewing by the same owner keeps it.
	Acquire(ctx context.Context, c Claim) ([]Lease, error)

	// Release gives lanes back so that others need not wait for the end of the
	// lease; it loses the leases. Those that are lost already are ignored. Marks
	// made by MarkInFlight stay.
	Release(ctx context.Context, leases []Lease) error

	// Read returns up to limit entries of the lane with Seq > after, ascending.
	Read(ctx context.Context, lane Lane, after int64, limit int) ([]Entry, error)

	// MarkInFlight remembers, before they are sent, entries that must not be
	// applied twice. It replaces earlier marks of the lane; the next Commit
	// clears them. Marks that are left when the lane changes hands come back in
	// Lease.InFlight.
	MarkInFlight(ctx context.Context, l Lease, seqs []int64) error

	// Commit stores, in one transaction, what became of entries, and clears the
	// marks of MarkInFlight. It may be repeated with the same Progress when its
	// answer got lost: letters are kept once per destination, Seq and Letters list.
	Commit(ctx context.Context, l Lease, p Progress) error

	// Barriers returns the state of those of the ids that anything is recorded
	// for. A record must live at least as long as the barrier's rows in the queue.
	Barriers(ctx context.Context, destination string, ids []string) (map[string]BarrierState, error)

	// Wait blocks until something may have been appended or a poll interval has
	// passed, and returns the lanes concerned; nil means any lane.
	Wait(ctx context.Context) ([]Lane, error)
}

// Lane is the part of a destination's queue that one sender works on at a time.
// All entries of one carrier are in one lane.
type Lane struct {
	Destination string
	Number      int // from 0
}

// Claim is a process's wish for lanes.
type Claim struct {
	Owner        string   // unique per process and start
	Destinations []string // those that the process can send to
	Now          time.Time
	TTL          time.Duration
	RenewOnly    bool // keep what is held, take nothing new
}

// Lease is the right to work on a lane, with the lane's state when it was
// acquired.
type Lease struct {
	Lane  Lane
	Token int64 // rises each time the lane changes hands
	State State
	// InFlight are the marked entries whose fate the last holder never reported,
	// ascending. They may or may not have been applied.
	InFlight []int64
}

// State is how far a lane has come.
type State struct {
	// Position is the Seq of the last entry before which, itself included,
	// everything is resolved; 0 at the beginning.
	Position int64
	// Ahead are the resolved entries after Position, ascending. It is empty unless
	// something before them is waiting, and bounded by Pace.Window.
	Ahead []int64
	// Retry is the failure that the lane is waiting out, or its zero value. The
	// queue forgets it when the destination is resumed or its settings change, so
	// that it is tried again at once.
	Retry Retry
}

// Retry describes the oldest failing entry of a lane.
type Retry struct {
	Seq     int64     // 0 when nothing fails
	Attempt int       // failed tries of this entry
	Since   time.Time // its first failure
	Next    time.Time // nothing of the lane is sent before
	Code    string    // of the last failure, as in engine.Outcome
	Reason  string
}

// Entry is one queued call for one destination.
type Entry struct {
	Seq int64
	// Carrier is the id under which the destination files the call. Order holds
	// per carrier.
	Carrier  string
	Call     *event.Call
	QueuedAt time.Time
	// Repeatable says that applying the call twice does no harm.
	Repeatable bool
	// Barrier is set on the two rows of a call that joins two carriers.
	Barrier *Barrier
}

// Barrier marks a call that joins two carriers (alias). It is queued as two rows,
// appended in one transaction: one in the lane of each carrier (which may be the
// same lane) and with that carrier. The row of the new id sends. Everything
// older of both carriers is resolved before the call is sent, and everything
// newer of both waits until the call is resolved and has settled.
type Barrier struct {
	ID    string // the same on both rows, unique within the destination
	Sends bool   // true on the row that sends; the other only waits
	Quick bool   // nothing has to settle once the call is resolved
}

// BarrierState is what the lanes have recorded about a barrier.
type BarrierState struct {
	Reached  bool      // by the waiting row: everything before it is resolved
	PassedAt time.Time // when the sending row was resolved; zero before
}

// Progress is what a lane reports after a step.
type Progress struct {
	State State     // replaces the lane's state
	At    time.Time // of the step

	Dead      []Letter // refused for good, or given up
	Uncertain []Letter // perhaps applied, not to be repeated; an operator decides

	Reached []string // ids of barriers whose waiting row is reached
	Passed  []string // ids of barriers whose sending row is resolved, at At

	// Halt, if not empty, is the reason why the destination refuses everything:
	// it is stopped and its queue kept until it is resumed or its settings change.
	Halt string

	Counts []Count // sorted by verdict and code
}

// Letter is an entry that is set aside with the reason.
type Letter struct {
	Entry    Entry
	Code     string
	Reason   string
	Attempts int // tries in which the destination was asked, the last included
}

// Count says how many calls got an outcome.
type Count struct {
	Verdict engine.Verdict
	Code    string // "" when the outcome had none
	N       int
}

// Destination applies calls. It is safe for concurrent use; calls of one carrier
// are never in two Sends at once.
type Destination interface {
	// Send applies the calls and answers with one outcome for each, in their
	// order. It may batch and reorder calls of different carriers at will. For
	// calls of one carrier whose order matters it keeps their order: once it
	// answers Retry or Halt for one, it has applied none of the later ones and
	// answers Retry or Halt for them too. When ctx ends it still answers for
	// every call: Retry for what was not applied or may be repeated, Uncertain for
	// the rest.
	Send(ctx context.Context, calls []*event.Call, now time.Time) []engine.Outcome
}
