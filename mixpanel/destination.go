package mixpanel

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"muster/engine"
	"muster/event"
)

// Destination delivers calls to one Mixpanel project. It is safe for concurrent use, but
// order is kept within one [Destination.Send] only: who calls it concurrently must not
// do so with calls of the same profile.
type Destination struct {
	mapper   *Mapper
	client   *Client
	settle   time.Duration
	idMerge  string
	links    links    // pairs that Mixpanel has acknowledged
	queued   links    // pairs whose identity events wait in a queue, or have
	settings Settings // as they were given
	warn     func(name string)
}

// NewDestination prepares a destination; the error is that of [Settings.Validate]. For
// client see [NewClient].
func NewDestination(s Settings, client *http.Client) (*Destination, error) {
	mapper, err := NewMapper(s)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(s, client)
	if err != nil {
		return nil, err
	}
	return &Destination{mapper: mapper, client: c, settle: s.settle(), idMerge: mapper.idMerge, settings: s, warn: func(string) {}}, nil
}

// OnWarning has f told the name of each warning of each message (see [Warnings.Names]); those of a
// call that is sent again, again. f is called from many goroutines. OnWarning must not be
// called while Send works.
func (d *Destination) OnWarning(f func(name string)) { d.warn = f }

func (d *Destination) tellWarnings(messages []Message) {
	for i := range messages {
		if w := messages[i].Warnings; w != 0 {
			for _, name := range w.Names() {
				d.warn(name)
			}
		}
	}
}

// Repeatable tells whether sending c twice leaves Mixpanel as sending it once does. It does
// not if c counts something on a profile. Who does not know whether a call that is not
// repeatable was applied must not send it again by itself.
func (d *Destination) Repeatable(c *event.Call) bool { return !d.mapper.counts(c) }

// Send maps calls, sends their messages in few requests and returns one outcome per call.
// now is the instant of mapping, see [Mapper.Map].
//
// Order: what goes to one profile keeps the order of the calls. Events come first, as their order
// does not matter to Mixpanel; then profile records, the idempotent ones of a call before its
// increments, which travel in requests of their own; identity events travel alone, with everything
// before them acknowledged. After an alias, Send goes on with its two ids, and returns, only when
// the settle time has passed.
//
// A call becomes several messages; its outcome is the worst of theirs. A call that maps to nothing
// is Delivered. Once a message of a call has failed, the rest of the call is not sent. After an answer
// that is not about single records nothing more is sent at all: what is left is Retry, or
// Halt. So Retry and Halt always mean that sending all messages of the call again does no harm. Where
// it would, because an increment of the call was applied, the outcome is Uncertain.
//
// A context that ends while increments are under way makes them Uncertain: give it time to
// finish rather than cancelling it.
func (d *Destination) Send(ctx context.Context, calls []*event.Call, now time.Time) []engine.Outcome {
	s := &sending{Destination: d, progress: make([]progress, len(calls))}
	var group []parcel
	for i, c := range calls {
		messages, err := d.mapper.Map(c, now)
		if err != nil {
			s.progress[i].worst = rejection(err)
			continue
		}
		d.tellWarnings(messages)
		s.progress[i].open = len(messages)
		for _, m := range messages {
			if m.Class == ClassIdentity {
				s.flush(ctx, group)
				group = group[:0]
				s.identity(ctx, parcel{i, m}, c)
			}
		}
		for _, increments := range [...]bool{false, true} {
			for _, m := range messages {
				if m.Class != ClassIdentity && (m.Class == ClassIncrement) == increments {
					group = append(group, parcel{i, m})
				}
			}
		}
	}
	s.flush(ctx, group)
	s.rest(ctx)
	return s.outcomes()
}

func rejection(err error) engine.Outcome {
	o := engine.Outcome{Verdict: engine.Rejected, Reason: err.Error(), Code: codeRefused}
	if r, ok := errors.AsType[*Rejection](err); ok {
		o.Code = string(r.Code)
	}
	return o
}

// parcel is a message and the place of its call.
type parcel struct {
	call    int
	message Message
}

// progress is how far a call has come.
type progress struct {
	worst   engine.Outcome
	open    int  // messages without an answer
	counted bool // an increment was applied
}

// sending is one Send under way.
type sending struct {
	*Destination
	progress []progress
	stop     *engine.Outcome // why nothing more is sent
	fresh    []string        // ids of aliases that have not settled yet
}

// flush sends messages that may share requests.
func (s *sending) flush(ctx context.Context, group []parcel) {
	if slices.ContainsFunc(group, func(p parcel) bool { return slices.Contains(s.fresh, p.message.DistinctID) }) {
		s.rest(ctx)
	}
	for _, e := range [...]Endpoint{Import, Track} {
		s.post(ctx, only(group, e))
	}
	for _, wave := range waves(group) {
		for _, e := range [...]Endpoint{Engage, Groups} {
			s.post(ctx, only(wave, e))
		}
	}
}

// only are the parcels for one endpoint.
func only(group []parcel, e Endpoint) []parcel {
	var some []parcel
	for _, p := range group {
		if p.message.Endpoint == e {
			some = append(some, p)
		}
	}
	return some
}

// waves arranges profile records so that all of one wave may share requests and waves sent
// one after the other keep every profile's order: even waves are idempotent, odd ones count.
func waves(group []parcel) [][]parcel {
	type profile struct {
		endpoint Endpoint
		id       string
	}
	var arranged [][]parcel
	reached := map[profile]int{}
	for _, p := range group {
		m := &p.message
		var odd int
		switch m.Class {
		case ClassProfile:
		case ClassIncrement:
			odd = 1
		case ClassEvent, ClassIdentity:
			continue
		}
		key := profile{m.Endpoint, m.DistinctID}
		wave := reached[key]
		if wave%2 != odd {
			wave++
		}
		reached[key] = wave
		for len(arranged) <= wave {
			arranged = append(arranged, nil)
		}
		arranged[wave] = append(arranged[wave], p)
	}
	return arranged
}

// post sends parcels, except those of calls that have failed already.
func (s *sending) post(ctx context.Context, parcels []parcel) {
	if s.stop != nil {
		return
	}
	kept := make([]parcel, 0, len(parcels))
	messages := make([]Message, 0, len(parcels))
	for _, p := range parcels {
		if s.progress[p.call].worst.Verdict == engine.Delivered {
			kept = append(kept, p)
			messages = append(messages, p.message)
		}
	}
	if len(messages) == 0 {
		return
	}
	outcomes, stop := s.client.send(ctx, messages)
	s.stop = stop
	for i, p := range kept {
		s.progress[p.call].note(&p.message, outcomes[i])
	}
}

// note records what became of a message.
func (p *progress) note(m *Message, o engine.Outcome) {
	p.open--
	if o.Verdict == engine.Delivered {
		p.counted = p.counted || m.Class == ClassIncrement
		return
	}
	if severity(o.Verdict) > severity(p.worst.Verdict) {
		p.worst = o
	}
}

// severity orders verdicts: a call with several gets the last of them. Retry comes after Rejected,
// or the messages that can still arrive would be lost.
func severity(v engine.Verdict) int {
	return slices.Index([]engine.Verdict{
		engine.Delivered, engine.Rejected, engine.Retry, engine.Halt, engine.Uncertain,
	}, v)
}

// identity sends an identity event alone, unless its pair is known to be joined.
func (s *sending) identity(ctx context.Context, p parcel, c *event.Call) {
	ids, ok := pairOf(c, s.idMerge)
	if ok && s.links.known(ids) {
		s.progress[p.call].open--
		return
	}
	if slices.Contains(s.fresh, ids.from) || slices.Contains(s.fresh, ids.to) {
		s.rest(ctx)
	}
	open := s.progress[p.call].open
	s.post(ctx, []parcel{p})
	if s.progress[p.call].open == open || s.progress[p.call].worst.Verdict != engine.Delivered {
		return
	}
	s.links.remember(ids)
	if c.Type == event.Alias {
		s.fresh = append(s.fresh, ids.from, ids.to)
	}
}

// rest waits until Mixpanel has taken the latest aliases in.
func (s *sending) rest(ctx context.Context) {
	if len(s.fresh) == 0 {
		return
	}
	s.fresh = nil
	timer := time.NewTimer(s.settle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		if s.stop == nil {
			s.stop = &engine.Outcome{Verdict: engine.Retry, Code: codeCanceled, Reason: "stopped before the request was sent"}
		}
	}
}

// outcomes are the verdicts on the calls.
func (s *sending) outcomes() []engine.Outcome {
	outcomes := make([]engine.Outcome, len(s.progress))
	for i := range s.progress {
		p := &s.progress[i]
		o := p.worst
		if o.Verdict == engine.Delivered && p.open > 0 {
			o = *s.stop
		}
		if p.counted && o.Verdict != engine.Delivered {
			o = engine.Outcome{
				Verdict: engine.Uncertain, Code: codePartly,
				Reason: "a part of the call was counted, the rest was not sent: " + o.Reason,
			}
		}
		outcomes[i] = o
	}
	return outcomes
}
