// Package ingest takes Segment calls in: from the Tracking API over HTTP ([API]) and
// from files ([Import]). It knows requests, limits and answers, and hands decoded
// calls to a [Sink]; what becomes of them there, and how sources are kept, it does
// not know.
//
// Requests share transactions: a [Collector] gathers what arrives within a few
// milliseconds and gives it to the sink at once. The answer 200 is written after
// the sink has returned.
package ingest

import (
	"context"
	"errors"
	"time"

	"muster/event"
)

// Source is an origin of calls: a site, an app, a server.
type Source struct {
	ID   int64
	Name string
	// Rate is the number of requests taken per second, on average and in a burst;
	// 0 means APIConfig.DefaultRate.
	Rate float64
}

// Sources finds sources.
type Sources interface {
	// ByWriteKey returns the enabled source with the key, false if there is none.
	// It is called for every request, with whatever a client sends as a key. Its
	// time must not depend on how much of a key is right: look up a hash of the
	// key, or compare in constant time.
	ByWriteKey(ctx context.Context, key string) (Source, bool, error)
}

// Item is a call on its way to the sink.
type Item struct {
	SourceID int64
	Call     *event.Call
}

// Outcome says what became of a call.
type Outcome int

// The outcomes of a call.
const (
	Accepted   Outcome = iota // stored
	Duplicate                 // its message id has been stored before; nothing changed
	Suppressed                // its subject must not be tracked; nothing was stored
	Rejected                  // it cannot be stored; Result.Code says why
	Skipped                   // no profile has seen it, as it asked or as its size commands; Result.Code says why

	Outcomes = int(Skipped) + 1 // how many there are
)

// String is the name of the outcome as people and tables see it.
func (o Outcome) String() string {
	switch o {
	case Accepted:
		return "accepted"
	case Duplicate:
		return "duplicate"
	case Suppressed:
		return "suppressed"
	case Rejected:
		return "rejected"
	case Skipped:
		return "skipped"
	}
	return "unknown"
}

// Result is the outcome of one call.
type Result struct {
	Outcome Outcome
	Code    event.Code // only of a rejected or skipped call
}

// Sink stores calls durably and does all that follows from them.
type Sink interface {
	// Ingest stores items in one transaction, in their order, and returns one result
	// for each of them. On an error nothing is stored. An error that wraps
	// ErrUnstorable says that some call among them can never be stored; any other
	// means that the same items may be tried again later.
	Ingest(ctx context.Context, items []Item) ([]Result, error)
}

// ErrUnstorable is wrapped by a sink's error when the items themselves are its
// cause. The caller then stores them in smaller parts to find the one at fault, so
// that it does not harm its neighbours.
var ErrUnstorable = errors.New("a call cannot be stored")

// CodeUnstorable is the code of a call that the sink can never store.
const CodeUnstorable event.Code = "unstorable"

// Exchange is a request that was understood, and what became of its calls.
type Exchange struct {
	Source  Source
	At      time.Time // when it was received
	Calls   []*event.Call
	Results []Result         // one for each of Calls
	Refused []event.Refused  // messages that were no valid calls
	Whole   *event.Rejection // set when the whole body was refused; the others are empty then
}

// Recorder sees the exchanges, for a debugger. It is called before the request is
// answered, from many goroutines, and must return at once.
type Recorder interface {
	Record(Exchange)
}
