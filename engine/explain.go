package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"muster/identity"
	"muster/query"
)

// The errors of explanations.
var (
	ErrUnknownKey     = errors.New("there is no such audience or computed trait")
	ErrUnknownProfile = errors.New("nobody has this id")
)

// Explained says what a computation holds of a profile, why, and who was told.
type Explained struct {
	ProfileID   int64
	Links       []identity.Link // its external ids, oldest first
	Computation *Computation
	// Version is the definition that serves the profile; nil: its first backfill has not
	// come to the profile yet, and nothing else below but Held is known.
	Version *Version
	// Eligible says whether the profile has an id of the kinds that the computation is for.
	// Of one that is not nothing is decided.
	Eligible bool
	// Suppressed says that the person is: Held rests as it is, whatever comes.
	Suppressed bool
	// AsOf is the instant that the value is as of: of a scheduled computation that of its
	// last slot.
	AsOf time.Time
	// Past says that AsOf lies back. Then Held is what was held at the time, and Tree what
	// today's definition makes of the events that had been received by then. Of the traits
	// only those that are computed have a history; others are as they are now.
	Past bool
	Tree *query.Explanation
	// Held is what is stored; nil: nothing, which is what is stored of those who never were
	// members, or never had a value.
	Held *Held
	// Waiting: something that the scheduled computation reads has changed since AsOf, and
	// its next slot will look at the profile. Held may differ from Tree until then.
	Waiting bool
	// Agrees says whether Held is what Tree says. It is always so, but while it waits, of
	// the past after an edit, and for profiles that are not eligible or suppressed.
	Agrees bool
	// Told is the ledger: what each combination of ids heard last.
	Told []Telling
	// KeptSince is how far back the log of events goes: Tree shows nothing that happened
	// before; zero: nothing was dropped from it.
	KeptSince time.Time
	// Remembered are the chains that count what was dropped, too. Tree shows of them what the
	// log still holds.
	Remembered []Remembered
}

// Remembered is a chain that counts events that are no longer in the log.
type Remembered struct {
	Chain string
	Value query.Value // with those
}

// Telling is what a combination of ids heard last.
type Telling struct {
	Destination string
	IDs         string // identity.Combination.Key
	Value       query.Value
	Times       int       // how often it heard something
	At          time.Time // in the message
	Waits       bool      // it is still queued
	DeadLetter  int64     // number of one that waits for a decision; 0: none
	Reason      string    // of the dead letter
}

// Value is what holds for those who read it: false for who is in no audience, null for
// who has no value.
func (x *Explained) Value() query.Value {
	switch {
	case x.Held != nil:
		return x.Held.Value
	case x.Computation.Kind == query.Audience:
		return query.Bool(false)
	}
	return query.Null()
}

// Contradicts says that what is stored is not what the history says, and nothing explains
// it: a fault, which Engine.Verify finds too.
func (x *Explained) Contradicts() bool {
	return x.Version != nil && x.Eligible && !x.Suppressed && !x.Past && !x.Waiting && !x.Agrees
}

// Explain says why a profile has its value of a computation. The profile is the one that
// owns the external id. at is an instant that lies back; zero: now. The errors ErrUnknownKey
// and ErrUnknownProfile are wrapped.
func (i *Inspector) Explain(ctx context.Context, key string, id identity.ID, at, now time.Time) (*Explained, error) {
	var x *Explained
	err := i.kept.Look(ctx, func(r Records) error {
		c, err := r.Catalog(ctx)
		if err != nil {
			return err
		}
		comp := c.byKey[key]
		if comp == nil {
			return ErrUnknownKey
		}
		owners, err := r.Owners(ctx, []identity.ID{id.Normal()})
		if err != nil {
			return err
		}
		owner, known := owners[id.Normal()]
		if !known {
			return fmt.Errorf("%s: %w", id, ErrUnknownProfile)
		}
		x, err = i.explain(ctx, r, c, comp, int64(owner), at, now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", key, err)
	}
	return x, nil
}

func (i *Inspector) explain(ctx context.Context, r Records, c *Catalog, comp *Computation, id int64, at, now time.Time) (*Explained, error) {
	profiles, err := r.Profiles(ctx, []int64{id})
	if err != nil {
		return nil, err
	}
	if len(profiles) == 0 {
		return nil, ErrUnknownProfile
	}
	p := NewProfile(id, profiles[0].Links)
	x := &Explained{
		ProfileID: id, Links: p.Links, Computation: comp, Version: c.versionFor(comp, p, c.Backfill),
		Eligible: identity.Eligible(p.Links, comp.IncludeAnonymous), Suppressed: profiles[0].Suppressed, AsOf: now, Past: !at.IsZero(),
	}
	needs := &plan{}
	if x.Version != nil {
		needs.needsOf(c, x.Version)
	}
	remembering := c.remembering(x.Version)
	var states []string
	for _, l := range remembering {
		states = appendNew(states, l.Event)
	}
	if err := r.Load(ctx, []Want{{Profile: p, All: true, Traits: needs.traits, Events: states}}); err != nil {
		return nil, err
	}
	if err := readHistory(ctx, r, []*Profile{p}, needs.names); err != nil {
		return nil, err
	}
	undelivered, err := r.Undelivered(ctx, id)
	if err != nil {
		return nil, err
	}
	x.Told = tellings(comp, p, undelivered)
	ref := reference{inputs: inputs{decision: &decision{catalog: c, running: c.Backfill}, profile: p, version: x.Version}, asOf: now}
	if x.Past {
		if err := i.goBack(ctx, r, x, &ref, at); err != nil {
			return nil, err
		}
	} else {
		ref.remembers = true
		if err := x.stand(ctx, r, &ref); err != nil {
			return nil, err
		}
		for _, l := range remembering {
			x.Remembered = append(x.Remembered, Remembered{Chain: l.Text, Value: p.State(l).Result(l.Leaf)})
		}
	}
	x.Held = p.values[comp.ID]
	if x.Version == nil {
		return x, nil
	}
	x.AsOf, x.KeptSince = ref.asOf, c.Kept.Since
	x.Tree = x.Version.Definition.ExplainWith(ref, ref.asOf)
	x.Agrees = !changes(x.Version, x.Held, x.Version.Definition.EvalWith(ref, ref.asOf))
	return x, nil
}

// stand gives the reference how far what is stored has come.
func (x *Explained) stand(ctx context.Context, r Records, ref *reference) error {
	if x.Version == nil {
		return nil
	}
	instants, marks, err := stands(ctx, r, []*Version{x.Version})
	if err != nil {
		return err
	}
	ref.marks = marks
	if !x.Version.Scheduled() {
		return nil
	}
	ref.asOf = instants[x.Version]
	if held := ref.profile.values[x.Computation.ID]; x.Version.Refresh == RefreshRealtime && held.prompt() && held.Since.After(ref.asOf) {
		p := *ref.profile
		p.history = slices.Clone(p.history)
		back := *ref
		back.profile = &p
		back.backTo(held.Since)
		// Later calls have left it as it is; or else so has a backfill, after an edit.
		if !changes(x.Version, held, x.Version.Definition.EvalWith(back, back.asOf)) {
			*ref = back
		}
	}
	return r.DueFor(ctx, []*Version{x.Version}, []int64{x.ProfileID}, func(_, _ int64, due time.Time) {
		x.Waiting = x.Waiting || !due.After(ref.asOf)
	})
}

// prompt tells whether the value was decided when a call came.
func (h *Held) prompt() bool { return h != nil && (h.Cause == CauseEvent || h.Cause == CauseMerge) }

// goBack takes the profile back to an instant, or the last slot before it.
func (i *Inspector) goBack(ctx context.Context, r Records, x *Explained, ref *reference, at time.Time) (err error) {
	p := ref.profile
	ref.asOf = at
	if x.Version != nil && x.Version.Scheduled() {
		if ref.asOf, err = i.latest(x.Version.Schedule, at); err != nil {
			return err
		}
	}
	held, err := r.ValuesAt(ctx, p.ID, at)
	if err != nil {
		return err
	}
	p.values = make(map[int64]*Held, len(held))
	for id, h := range held {
		p.SetHeld(id, h)
	}
	ref.backTo(ref.asOf)
	return nil
}

// backTo makes the reference that of an instant, by what had been received by then.
func (r *reference) backTo(at time.Time) {
	r.asOf = at
	r.profile.history = slices.DeleteFunc(r.profile.history, func(e *query.Event) bool { return e.ReceivedAt.After(at) })
	r.marks = make(map[int64]Mark)
	if r.version == nil {
		return
	}
	for _, l := range r.version.Leaves {
		r.marks[l.ID] = Mark{Cut: math.MaxInt64, AsOf: at}
	}
}

// tellings are the lines of the ledger of a computation, with what is still on its way.
func tellings(comp *Computation, p *Profile, undelivered []Undelivered) []Telling {
	var list []Telling
	for _, conn := range comp.Connections {
		from := len(list)
		for ids, t := range p.told[conn.ID] {
			list = append(list, Telling{Destination: conn.Destination.Name, IDs: ids, Value: t.Value, Times: t.Times, At: t.At})
		}
		for _, u := range undelivered {
			if u.ConnectionID != conn.ID {
				continue
			}
			n := slices.IndexFunc(list[from:], func(t Telling) bool { return t.IDs == u.IDs })
			if n < 0 { // nobody could be told
				list = append(list, Telling{Destination: conn.Destination.Name, IDs: u.IDs})
				n = len(list) - 1 - from
			}
			t := &list[from+n]
			t.Waits = t.Waits || u.DeadLetter == 0
			if u.DeadLetter > t.DeadLetter {
				t.DeadLetter, t.Reason = u.DeadLetter, u.Reason
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Telling) int {
		return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.IDs, b.IDs))
	})
	return list
}
