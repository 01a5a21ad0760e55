package engine

import (
	"time"

	"muster/identity"
	"muster/query"
)

// Profile is the working copy of a profile within one transaction: what was
// loaded of it, and what the transaction has changed.
type Profile struct {
	ID     int64
	Bucket int
	Links  []identity.Link // its external ids, oldest first

	born   bool // created by this transaction: nothing of it is stored yet
	merged bool // took in another profile in this transaction
	silent bool // suppressed: its states go on, its values stay, and nothing is told of it
	swept  bool // all that was wanted of it was read in one go: what is not here is not stored

	traits  map[string]query.Value
	groups  []*stateGroup              // states of leaves, ascending by event
	values  map[int64]*Held            // by computation
	told    map[int64]map[string]*Told // by connection, by id combination
	stale   map[int64]bool             // leaves whose stored answer may not hold any more
	history []*query.Event             // for leaves that are replayed, in any order

	due      map[int64]*Look                // by computation
	unmarked map[int64]bool                 // computations that have no mark on the profile for certain
	fanout   map[fanoutKey]identity.Targets // worked out once per transaction

	fault error // found in what is stored; the profile must not be saved

	Changes  []Change  // of values, in order
	Messages []Message // to be queued, in order
}

// Held is a profile's value of a computation: JSON true or false for an audience
// that it was ever in, a trait's value, null when a trait has none any more.
type Held struct {
	Value   query.Value
	Since   time.Time
	Cause   Cause
	Changed bool
	New     bool // none is stored yet
}

// Told is a line of the ledger: what a combination of ids last heard of a connection.
type Told struct {
	Value   query.Value
	Times   int       // how often it heard something
	At      time.Time // in the last message
	Changed bool
	New     bool // none is stored yet
}

// Change is a new value of a computation.
type Change struct {
	Computation *Computation
	Value       query.Value
	At          time.Time
	Cause       Cause
}

// Cause says what made a value change.
type Cause string

// The causes.
const (
	CauseEvent    Cause = "event"    // an event, a trait or an id of a call
	CauseSlot     Cause = "slot"     // the clock
	CauseBackfill Cause = "backfill" // the first computation from history
	CauseEdit     Cause = "edit"     // a new version of the definition
	CauseMerge    Cause = "merge"    // two profiles became one
	CauseRepair   Cause = "repair"   // an operator had it recomputed
)

type fanoutKey struct {
	anonymous bool
	strategy  identity.Strategy
}

// NewProfile is the working copy of a profile of which nothing is loaded yet.
func NewProfile(id int64, links []identity.Link) *Profile {
	return &Profile{ID: id, Bucket: ProfileBucket(id), Links: links}
}

// SetTrait notes a stored trait.
func (p *Profile) SetTrait(key string, v query.Value) {
	if p.traits == nil {
		p.traits = make(map[string]query.Value)
	}
	p.traits[key] = v
}

// SetHeld notes a value.
func (p *Profile) SetHeld(computationID int64, h Held) {
	if p.values == nil {
		p.values = make(map[int64]*Held)
	}
	p.values[computationID] = &h
}

// SetTold notes a line of the ledger.
func (p *Profile) SetTold(connectionID int64, ids string, t Told) {
	if p.told == nil {
		p.told = make(map[int64]map[string]*Told)
	}
	lines := p.told[connectionID]
	if lines == nil {
		lines = make(map[string]*Told)
		p.told[connectionID] = lines
	}
	lines[ids] = &t
}

// ChangedValues are the values to be written, by computation.
func (p *Profile) ChangedValues(yield func(int64, *Held) bool) {
	for id, h := range p.values {
		if h.Changed && !yield(id, h) {
			return
		}
	}
}

// ToldLine is a line of the ledger with its key.
type ToldLine struct {
	ConnectionID int64
	IDs          string // identity.Combination.Key
	*Told
}

// ChangedTold are the lines of the ledger to be written.
func (p *Profile) ChangedTold(yield func(ToldLine) bool) {
	for connection, lines := range p.told {
		for ids, t := range lines {
			if t.Changed && !yield(ToldLine{connection, ids, t}) {
				return
			}
		}
	}
}

// Look is when a scheduled computation must look at a profile again.
type Look struct {
	At time.Time // zero: not before something changes
	// Replace says that the profile has just been looked at, so that marks from before
	// are settled; otherwise an earlier mark stays.
	Replace bool
}

// Looks are the marks to be written, by computation.
func (p *Profile) Looks() map[int64]*Look { return p.due }

// atOnce is an instant before every slot: the next one looks at the profile, whichever it
// is, even one whose instant has passed and that has not been run yet.
var atOnce = time.Unix(0, 0).UTC()

// markDue asks the computation's first slot at or after the instant to look at the
// profile; an earlier mark of this transaction stays.
func (p *Profile) markDue(c *Computation, at time.Time) {
	look := p.look(c)
	if look.At.IsZero() || at.Before(look.At) {
		look.At = at
	}
}

func (p *Profile) look(c *Computation) *Look {
	if p.due == nil {
		p.due = make(map[int64]*Look)
	}
	look := p.due[c.ID]
	if look == nil {
		look = &Look{}
		p.due[c.ID] = look
	}
	return look
}

// markStale notes that the stored answer of a replayed leaf may not hold any more.
func (p *Profile) markStale(l *Leaf) {
	if p.stale == nil {
		p.stale = make(map[int64]bool)
	}
	p.stale[l.ID] = true
}

// targets is whom a connection tells of the profile.
func (p *Profile) targets(c *Connection) identity.Targets {
	key := fanoutKey{anonymous: c.Computation.IncludeAnonymous, strategy: c.Strategy}
	if t, ok := p.fanout[key]; ok {
		return t
	}
	if p.fanout == nil {
		p.fanout = make(map[fanoutKey]identity.Targets)
	}
	t := identity.FanOut(p.Links, key.anonymous, key.strategy)
	p.fanout[key] = t
	return t
}

// inputs gives a version's definition the profile's values.
type inputs struct {
	*decision
	profile *Profile
	version *Version
	// fromHistory: leaves whose states show the last slot are worth what they are as of now
	// by the profile's history.
	fromHistory bool
}

// Trait is the value of the computation with this key if one serves the profile, or did
// until it was disabled, else of the profile's trait.
func (in inputs) Trait(key string) query.Value {
	c := in.catalog.byKey[key]
	if c == nil || in.catalog.lastVersionFor(c, in.profile, in.running) == nil {
		return in.profile.traits[key]
	}
	if h := in.profile.values[c.ID]; h != nil {
		return h.Value
	}
	return query.Null()
}

// Leaf is the value of a leaf, from its state unless that shows another moment.
func (in inputs) Leaf(l *query.Leaf) query.Value {
	leaf := in.version.Leaves[l.Text]
	if in.fromHistory && !leaf.Live() {
		return leaf.Eval(leaf.past(in.profile.history, in), in.now)
	}
	return in.profile.State(leaf).Result(l)
}
