package engine

import (
	"time"

	"muster/identity"
	"muster/query"
)

// Status is where a computation stands in its life.
type Status string

// The statuses of a computation.
const (
	Preparing   Status = "preparing"   // waits for its backfill
	Backfilling Status = "backfilling" // its first backfill is under way
	Live        Status = "live"
	Disabled    Status = "disabled" // neither computed nor told; values stay as they are (docs/concepts.md, life)
	Failed      Status = "failed"
	Deleted     Status = "deleted"
)

// Computation is an audience or a computed trait.
type Computation struct {
	ID                int64
	Key               string // the name of its value on the profile and in destinations; never changes
	Name              string
	Description       string
	Kind              query.Purpose
	IncludeAnonymous  bool
	IncludeHistorical bool
	BackfillDays      int   // 0: all history
	CreatedSeq        int64 // the last place in the order of arrival when it was defined
	Status            Status
	StatusReason      string
	CreatedAt         time.Time

	// Current is the version that serves; nil before the first backfill is complete. Of a
	// computation that is disabled, or enabled again and not yet brought up to date, it rests.
	Current *Version
	// Next is a version that waits for its backfill or is in it; nil when there is none.
	// Profiles that the backfill has done are served by it already.
	Next *Version

	Connections []*Connection
}

// Version is one definition of a computation.
type Version struct {
	Computation *Computation
	Number      int
	Definition  *query.Definition
	Schedule    string           // cron text; empty for realtime
	Refresh     Refresh          // of a scheduled one
	Leaves      map[string]*Leaf // by canonical text: the stored leaves of Definition.Leaves; none while it waits
	BackfillID  int64            // 0 while it waits for one
	AsOf        time.Time        // scheduled: the slot that a backfill computes it as of
}

// Scheduled tells whether the clock alone can change the version's values.
func (v *Version) Scheduled() bool { return v.Schedule != "" }

// Rests tells whether the version decides nothing any more, and its last values stay: the
// computation was disabled, and the version that follows has not reached all profiles.
func (v *Version) Rests() bool {
	switch v.Computation.Status {
	case Disabled, Preparing, Backfilling:
		return v == v.Computation.Current
	case Live, Failed, Deleted:
	}
	return false
}

// waits tells whether the computation has a version for the next backfill.
func (comp *Computation) waits() bool {
	return comp.Next != nil && comp.Next.BackfillID == 0 && comp.Status != Disabled
}

// Refresh is when a scheduled version is evaluated besides its slots.
type Refresh string

// The ways to refresh.
const (
	// RefreshSlots: at its slots only.
	RefreshSlots Refresh = ""
	// RefreshRealtime: for a profile also when a call comes that can change its value, as of
	// that moment. What the clock alone changes waits for the slot.
	RefreshRealtime Refresh = "realtime"
)

// Prompt tells whether the version is evaluated when calls come.
func (v *Version) Prompt() bool { return !v.Scheduled() || v.Refresh == RefreshRealtime }

// Leaf is a stored leaf: equal ones of several definitions are one.
type Leaf struct {
	*query.Leaf
	ID       int64
	Schedule string    // of the window; empty without one
	SinceSeq int64     // only events that arrived later count
	Since    time.Time // only events stamped at or after count; zero: all
	Built    bool      // states are complete for every profile

	// Mark is where a backfill builds the states up to; slots then move it on, in the
	// database only.
	Mark
}

// Mark says what a leaf's states hold. A leaf with a window holds the events that
// arrived up to Cut and are in the window at AsOf. One without holds the events up to
// Cut once it is built, and later ones from the start.
type Mark struct {
	Cut  int64
	AsOf time.Time // zero without a window
}

// Live tells whether events are folded into the states as they are ingested; the
// others change at slots (with a window) or are replayed (not foldable).
func (l *Leaf) Live() bool { return l.Foldable && l.Window == nil }

// Moves tells whether slots move the states along with the window. Windows that exclude
// each other hold nothing, whatever the clock says.
func (l *Leaf) Moves() bool { return l.Foldable && len(l.Windows) > 0 }

// reaches tells whether the leaf may look at an event that came when this one did.
func (l *Leaf) reaches(e *query.Event) bool {
	return e.Arrival > l.SinceSeq && !e.Time.Before(l.Since)
}

// counts tells whether an event belongs to the leaf at all, whatever the window.
func (l *Leaf) counts(e *query.Event) bool { return l.reaches(e) && l.Match(e) }

// builds tells whether a stored event is in a profile's state of a leaf that a backfill is
// building. done says whether the walk has covered the profile: until then only what is
// folded as it comes is in the state.
func (l *Leaf) builds(e *query.Event, done bool) bool {
	if !l.counts(e) {
		return false
	}
	if l.Live() {
		return done || e.Arrival > l.Cut
	}
	return done && e.Arrival <= l.Cut && l.inWindow(e.Time, l.AsOf)
}

// inWindow tells whether an event stamped t is in the leaf's window at asOf.
func (l *Leaf) inWindow(t, asOf time.Time) bool {
	if l.Window == nil {
		return true
	}
	return !t.Before(asOf.Add(-l.Window.Far)) && !t.After(asOf.Add(-l.Window.Near))
}

// Connection is a computation told to a destination.
type Connection struct {
	ID            int64
	Computation   *Computation
	Destination   *Destination
	Emit          Emit
	EnteredEvent  string
	ExitedEvent   string
	ComputedEvent string
	Strategy      identity.Strategy
	Cleanup       Cleanup // when it is removed
	SetsProperty  bool    // it tells, or has told before it was edited, by identify calls
}

// Cleanup is what a destination is told when a computation, or its connection to it, is
// removed.
type Cleanup string

// The cleanups.
const (
	CleanupNone  Cleanup = "none"  // nothing: what it was told stays there
	CleanupExit  Cleanup = "exit"  // those who heard that a value was on hear that it is off
	CleanupUnset Cleanup = "unset" // the property is removed from all profiles that ever heard of it
)

// Valid tells whether it is one of the three.
func (c Cleanup) Valid() bool { return c == CleanupNone || c == CleanupExit || c == CleanupUnset }

// Emit is the form in which a change is told.
type Emit string

// The forms. EmitBoth tells each change in both.
const (
	EmitIdentify Emit = "identify" // a property of the profile
	EmitTrack    Emit = "track"    // an event
	EmitBoth     Emit = "both"
)

// Destination is whom changes are told to.
type Destination struct {
	ID           int64
	Name         string
	Kind         string
	Paused       bool
	HaltedReason string
	Aliasing     Aliasing
}

// Place is a place in the order of (bucket, number), in which profiles are walked and
// locked. The zero Place is before all of them.
type Place struct {
	Bucket    int
	ProfileID int64
}

// Backfill is a walk over all profiles.
type Backfill struct {
	ID           int64
	Cut          int64 // events that arrived up to this one are the backfill's
	MaxProfileID int64 // younger profiles are complete from birth
	At           Place // profiles up to here are done
	Total, Done  int64 // profiles
	EventsRead   int64
	StartedAt    time.Time
}

// Covers tells whether the backfill has done the profile, or need not do it.
func (b *Backfill) Covers(p *Profile) bool {
	return p.ID > b.MaxProfileID || p.Bucket < b.At.Bucket || p.Bucket == b.At.Bucket && p.ID <= b.At.ProfileID
}
