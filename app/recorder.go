package app

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"muster/event"
	"muster/identity"
	"muster/ingest"
	"muster/store"
)

// recordEvery is how often what came in is written to the debugger.
const recordEvery = time.Second

// maxPending is how many exchanges of a source wait to be written down. Each holds the body
// of its request in memory, half a megabyte at most.
const maxPending = 16

// Recorder keeps the debugger's latest calls of each source. It gathers them in memory and
// writes them in bulk; of more than store.RecentPerSource calls of a source in between,
// only the last are kept, as only these would remain. Where nothing is written, because
// the database fails, they are dropped: watching must never hold up the watched.
type Recorder struct {
	app     *App
	dropped atomic.Int64

	mu      sync.Mutex
	sources map[int64]*stream
}

var _ ingest.Recorder = (*Recorder)(nil)

// Recorder makes a recorder, which writes while its Run does.
func (a *App) Recorder() *Recorder { return &Recorder{app: a, sources: make(map[int64]*stream)} }

// note is a call as it will be shown.
type note struct {
	store.RecentCall
	ids []identity.ID // of whom it is, who may be suppressed before it is shown
}

// stream is what came last from a source. Calls are not written down at once: under load
// most of them are overtaken by others, and cost nothing.
type stream struct {
	notes   []note            // a ring buffer
	next    int               // place of the next note, once the ring is full
	pending []ingest.Exchange // later than the notes
	calls   int               // of the pending exchanges
}

// drop counts calls that are not shown.
func (r *Recorder) drop(n int) {
	r.dropped.Add(int64(n))
	if r.app.metrics != nil && n > 0 {
		r.app.metrics.NotShown(n)
	}
}

// count adds the calls of an exchange to the metrics.
func (r *Recorder) count(x ingest.Exchange) {
	if r.app.metrics == nil {
		return
	}
	var by [ingest.Outcomes]int
	for _, result := range x.Results {
		by[result.Outcome]++
	}
	by[ingest.Rejected] += len(x.Refused)
	if x.Whole != nil {
		by[ingest.Rejected]++
	}
	for outcome, n := range by {
		if n > 0 {
			r.app.metrics.Received(x.Source.Name, ingest.Outcome(outcome).String(), n)
		}
	}
}

// Record implements ingest.Recorder.
func (r *Recorder) Record(x ingest.Exchange) {
	r.count(x)
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.sources[x.Source.ID]
	if l == nil {
		l = &stream{}
		r.sources[x.Source.ID] = l
	}
	l.pending = append(l.pending, x)
	l.calls += calls(x)
	for l.calls-calls(l.pending[0]) >= store.RecentPerSource { // all of it is overtaken
		r.drop(calls(l.pending[0]))
		l.shift()
	}
	if len(l.pending) > maxPending {
		r.writeDown(l)
	}
}

// calls is the number of calls that an exchange is shown as.
func calls(x ingest.Exchange) int {
	if x.Whole != nil {
		return 1
	}
	return len(x.Calls) + len(x.Refused)
}

// shift takes the oldest pending exchange off.
func (l *stream) shift() ingest.Exchange {
	x := l.pending[0]
	l.calls -= calls(x)
	l.pending = slices.Delete(l.pending, 0, 1) // clears its place, and lets go of the body
	return x
}

// writeDown makes notes of the oldest pending exchange.
func (r *Recorder) writeDown(l *stream) {
	for _, n := range r.notes(l.shift()) {
		if len(l.notes) < store.RecentPerSource {
			l.notes = append(l.notes, n)
			continue
		}
		l.notes[l.next] = n
		l.next = (l.next + 1) % len(l.notes)
		r.drop(1)
	}
}

// Dropped is the number of calls so far that were not shown, because too many came at a
// time or they could not be written.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

// notes writes an exchange down, of a large one only what can remain.
func (r *Recorder) notes(x ingest.Exchange) []note {
	if x.Whole != nil {
		return []note{r.note(x, ingest.Rejected, x.Whole.Code, faultInWords(x.Whole))}
	}
	skip := max(calls(x)-store.RecentPerSource, 0)
	r.drop(skip)
	notes := make([]note, 0, calls(x)-skip)
	for i := min(skip, len(x.Calls)); i < len(x.Calls); i++ {
		notes = append(notes, r.taken(x, x.Calls[i], x.Results[i]))
	}
	for i := max(skip-len(x.Calls), 0); i < len(x.Refused); i++ {
		notes = append(notes, r.refused(x, x.Refused[i]))
	}
	return notes
}

func (r *Recorder) note(x ingest.Exchange, outcome ingest.Outcome, code event.Code, reason string) note {
	return note{RecentCall: store.RecentCall{
		SourceID: x.Source.ID, ReceivedAt: x.At, Outcome: outcome.String(), Code: string(code), Reason: reason,
	}}
}

// taken notes a valid call. Of a suppressed one nothing is kept but that it came.
func (r *Recorder) taken(x ingest.Exchange, c *event.Call, result ingest.Result) note {
	if result.Outcome == ingest.Suppressed {
		n := r.note(x, ingest.Suppressed, event.CodeSuppressed, reasons[event.CodeSuppressed])
		n.Type = string(c.Type)
		return n
	}
	n := r.note(x, result.Outcome, result.Code, reasons[result.Code])
	switch {
	case result.Outcome == ingest.Duplicate:
		n.Reason = "its message id was seen before"
	case result.Outcome == ingest.Accepted && len(c.Warnings) > 0:
		n.Code, n.Reason = string(c.Warnings[0].Code), doubtsInWords(c.Warnings)
	}
	n.Type, n.MessageID, n.Name, n.Call = string(c.Type), c.MessageID, c.Event, beginning(c)
	if n.Name == "" {
		n.Name = c.Name
	}
	n.ids = r.app.rules.Extract(c).Lookup(nil)
	return n
}

// refused notes a message that was no valid call, and whose it may be.
func (r *Recorder) refused(x ingest.Exchange, f event.Refused) note {
	n := r.note(x, ingest.Rejected, f.Code, faultInWords(f.Rejection))
	n.Type, n.MessageID, n.Call = f.Type, f.MessageID, beginningOfRaw(f.Raw)
	if c := lenientCall(f.Raw); c != nil {
		n.ids = r.app.rules.Extract(c).Lookup(nil)
	}
	return n
}

// hide leaves of the note only that a suppressed person's call came.
func (n *note) hide() {
	n.Outcome, n.Code, n.Reason = ingest.Suppressed.String(), string(event.CodeSuppressed), reasons[event.CodeSuppressed]
	n.MessageID, n.Name, n.Call, n.ids = "", "", "", nil
}

// Run writes what is recorded, once a second, until the context ends, and then the rest.
// End it after the last request has been answered.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := r.Flush(last); err != nil {
				r.app.log.Warn("the last calls are missing from the debugger", "error", err)
			}
			return nil
		case <-tick.C:
		}
		err := r.Flush(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			r.app.log.Warn("calls are missing from the debugger", "dropped", r.Dropped(), "error", err)
		}
		failing = err != nil
	}
}

// Flush writes what is recorded. After an error it is dropped.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	sources := r.sources
	r.sources = make(map[int64]*stream, len(sources))
	r.mu.Unlock()
	var notes []note
	for _, l := range sources {
		for len(l.pending) > 0 {
			r.writeDown(l)
		}
		notes = append(append(notes, l.notes[l.next:]...), l.notes[:l.next]...)
	}
	if len(notes) == 0 {
		return nil
	}
	slices.SortStableFunc(notes, func(a, b note) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	err := r.write(ctx, notes)
	if err != nil {
		r.drop(len(notes))
	}
	return err
}

func (r *Recorder) write(ctx context.Context, notes []note) error {
	ids := make([][]identity.ID, len(notes))
	for i, n := range notes {
		ids[i] = n.ids
	}
	suppressed, err := r.app.Store.Suppressed(ctx, ids, r.app.now())
	if err != nil {
		return err
	}
	calls := make([]store.RecentCall, len(notes))
	for i := range notes {
		if suppressed[i] {
			notes[i].hide()
		}
		for _, id := range notes[i].ids {
			notes[i].IDs = append(notes[i].IDs, id.String())
		}
		calls[i] = notes[i].RecentCall
	}
	return r.app.Store.RecordCalls(ctx, calls)
}

// reasons are the words for what becomes of valid calls.
var reasons = map[event.Code]string{
	event.CodeSuppressed:        "its subject is on the suppression list",
	event.CodePersonasDisabled:  "it says that no profile may see it",
	event.CodeTooManyProperties: "it has more properties than profiles read",
	event.CodeTooManyTraits:     "it has more traits than profiles read",
	codeNoMatchingID:            "all of its ids are blocked or malformed, so it is nobody's",
	ingest.CodeUnstorable:       "the database refuses it",
}

func faultInWords(r *event.Rejection) string {
	if r.Field == "" {
		return r.Message
	}
	return r.Message + " (at " + r.Field + ")"
}

func doubtsInWords(warnings []event.Warning) string {
	words := make([]string, len(warnings))
	for i, w := range warnings {
		words[i] = string(w.Code) + " at " + w.Field
	}
	return strings.Join(words, "; ") + ": put right"
}
