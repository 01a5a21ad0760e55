package scheduler

import (
	"context"
	"errors"
	"time"
)

// Job is something that is done at the slots of a schedule. A store may make one job of
// each computation, or one of all computations with the same schedule.
type Job struct {
	Key      string // names the job, in all processes
	Schedule Schedule

	// Last is the newest slot that is done, or, before any is, the instant from which
	// slots count: usually when the job was created.
	Last time.Time

	// Failed is the newest slot that was tried in vain, and RetryAt the instant before
	// which it is not to be tried again. Both are zero if there is none after Last.
	Failed  time.Time
	RetryAt time.Time
}

// Slot is one slot of a job.
type Slot struct {
	Key    string
	At     time.Time // in UTC, a whole minute
	After  time.Time // Job.Last when the slot was found to be due
	Missed int       // slots between After and At, which this one stands in for; they are not run
}

// Slots is the judge between runners, in whatever processes they are. It keeps one row
// for each slot of a job that was ever claimed, unique by (Key, At).
//
// There are two good ways to keep a claim, and a runner works with either. A lock that
// the database drops with the connection, such as an advisory lock, needs no clock and
// makes a crashed runner's slot free at once; Renew then makes sure that the connection
// is there. A lease ends a while after the last Renew.
//
// A runner whose process was frozen may go on working after it has lost its claim.
// Therefore whatever the work writes has to be written in a transaction that makes sure
// that the slot's row still is that of a running attempt of this number, best the
// transaction that marks the slot done.
type Slots interface {
	// Jobs is everything that has a schedule.
	Jobs(ctx context.Context) ([]Job, error)

	// Claim takes a slot, for at least the lease unless it is renewed, and notes a new
	// attempt. It returns nil without an error if the slot is not to be had: because it, or
	// any slot behind Slot.After, is done by now, or any slot of the job is claimed by
	// somebody who is alive. Claims on slots of the job whose holders are not alive are
	// void from then on, that of an older slot no less than one of the same: the row of
	// an older slot is closed as failed.
	Claim(ctx context.Context, slot Slot, now time.Time, lease time.Duration) (Claim, error)
}

// Claim is a runner's hold on a slot.
type Claim interface {
	// Attempt is 1 for the first attempt at the slot, and greater for each later one.
	Attempt() int

	// Renew keeps the claim for another lease from now. It returns ErrClaimLost if
	// somebody else has it, or had it.
	Renew(ctx context.Context, now time.Time) error

	// Finish notes how the attempt ended and gives the claim up, whatever it returns.
	// It returns ErrClaimLost, and notes nothing, if somebody else has or had the claim.
	// If the work itself marked the slot done, a Done outcome changes nothing.
	Finish(ctx context.Context, outcome Outcome) error
}

// ErrClaimLost says that a slot is another runner's now.
var ErrClaimLost = errors.New("the slot was taken over by another runner")

// Outcome is how an attempt at a slot ended.
type Outcome struct {
	Ending  Ending
	At      time.Time // when it ended
	Reason  string    // why it failed, for people; else empty
	RetryAt time.Time // when a failed slot may be tried again; else zero
}

// Ending names the way in which an attempt ended.
type Ending string

// The endings.
const (
	Done     Ending = "done"
	Failed   Ending = "failed"   // it will be tried again, unless a newer slot comes first
	Released Ending = "released" // the runner was stopped; the slot is free for anybody
)

// maxBackoff is the greatest time between two attempts at a slot.
const maxBackoff = 10 * time.Minute

// Backoff is the time between a failed attempt and the next: 5 seconds after the first,
// twice as long after each other, at most 10 minutes.
func Backoff(attempt int) time.Duration {
	doublings := min(max(attempt-1, 0), 8)
	return min(5*time.Second<<doublings, maxBackoff)
}
