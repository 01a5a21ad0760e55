package deliver

import (
	"fmt"
	"time"

	"muster/engine"
	"muster/event"
)

// Codes of outcomes that no destination gave.
const (
	// CodeNoAnswer: the destination returned fewer outcomes than it got calls.
	CodeNoAnswer = "no_answer"
	// CodeInterrupted: the process ended between sending and storing the answer.
	CodeInterrupted = "interrupted"
)

// judgement is what the outcomes of one Send mean for its entries.
type judgement struct {
	resolved  []int64           // entries that are done with; barriers are not among them
	passed    []string          // barriers whose sending row is done with
	failing   map[int64]failure // entries to be tried again
	dead      []Letter
	uncertain []Letter

	halt       string        // the reason to halt, if any
	retry      bool          // at least one entry failed and is tried again
	retryAfter time.Duration // the longest that was asked for
	tally      tally
}

// judge decides what becomes of the entries of a batch. failures holds what is
// known of earlier tries; now is the time after the Send.
func judge(batch []Entry, outcomes []engine.Outcome, failures map[int64]failure, pace Pace, now time.Time) judgement {
	j := judgement{failing: make(map[int64]failure), tally: make(tally)}
	for i, e := range batch {
		o := outcomeOf(e, i, outcomes)
		tries := failures[e.Seq]
		j.tally.add(o.Verdict, o.Code)
		switch o.Verdict {
		case engine.Delivered:
			j.done(e)
		case engine.Rejected:
			j.dead = append(j.dead, Letter{Entry: e, Code: o.Code, Reason: o.Reason, Attempts: tries.attempts + 1})
			j.done(e)
		case engine.Uncertain:
			j.uncertain = append(j.uncertain, Letter{Entry: e, Code: o.Code, Reason: o.Reason, Attempts: tries.attempts + 1})
			j.done(e)
		case engine.Retry:
			if tries.attempts == 0 {
				tries.since = now
			}
			tries.attempts++
			tries.last = o
			if pace.givesUp(tries, now) {
				j.dead = append(j.dead, gaveUp(e, tries, now))
				j.done(e)
				continue
			}
			j.failing[e.Seq] = tries
			j.retry = true
			j.retryAfter = max(j.retryAfter, o.RetryAfter)
		case engine.Halt:
			if tries.attempts > 0 {
				j.failing[e.Seq] = tries
			}
			if j.halt == "" {
				j.halt = haltReason(o)
			}
		}
	}
	return j
}

func (j *judgement) done(e Entry) {
	switch {
	case e.Barrier == nil:
		j.resolved = append(j.resolved, e.Seq)
	case e.Barrier.Sends:
		j.passed = append(j.passed, e.Barrier.ID)
	}
}

// outcomeOf returns the outcome of the i-th entry. A destination that breaks its
// contract must not make an entry vanish or be applied twice.
func outcomeOf(e Entry, i int, outcomes []engine.Outcome) engine.Outcome {
	if i < len(outcomes) {
		switch o := outcomes[i]; o.Verdict {
		case engine.Delivered, engine.Retry, engine.Rejected, engine.Uncertain, engine.Halt:
			return o
		}
	}
	o := engine.Outcome{Verdict: engine.Retry, Code: CodeNoAnswer, Reason: "the destination gave no answer for this call"}
	if !e.Repeatable {
		o.Verdict = engine.Uncertain
	}
	return o
}

func gaveUp(e Entry, f failure, now time.Time) Letter {
	return Letter{
		Entry: e, Code: CodeGaveUp, Attempts: f.attempts,
		Reason: fmt.Sprintf("given up after %d attempts in %v; the last answer was: %s", f.attempts, now.Sub(f.since).Round(time.Second), f.last.Reason),
	}
}

func haltReason(o engine.Outcome) string {
	switch {
	case o.Reason != "":
		return o.Reason
	case o.Code != "":
		return o.Code
	}
	return "the destination refuses everything and gave no reason"
}

func calls(batch []Entry) []*event.Call {
	calls := make([]*event.Call, len(batch))
	for i, e := range batch {
		calls[i] = e.Call
	}
	return calls
}

// unrepeatable returns the Seqs of the entries that must not be applied twice.
func unrepeatable(batch []Entry) []int64 {
	var seqs []int64
	for _, e := range batch {
		if !e.Repeatable {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}
