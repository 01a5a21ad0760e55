package engine

import "time"

// Verdict says what became of a call that was handed to a destination.
type Verdict int

const (
	// Delivered: the destination acknowledged it, or the mapping says that nothing is to be sent.
	Delivered Verdict = iota
	// Retry: nothing was applied, or applying it again does no harm; try later.
	Retry
	// Rejected: refused for good; it goes to the dead letters with its reason.
	Rejected
	// Uncertain: it may have been applied and must not be repeated blindly; an operator decides.
	Uncertain
	// Halt: the destination refuses everything (wrong credentials); stop it and keep the queue.
	Halt
)

// Outcome is a destination's answer for one call.
type Outcome struct {
	Verdict Verdict
	// Reason is a sentence for people, free of secrets; empty when Delivered.
	Reason string
	// Code is a short stable name of the reason, for counting ("rate_limited", "invalid_time").
	Code string
	// RetryAfter is how long the destination asked to wait; 0 when it did not say.
	RetryAfter time.Duration
}
