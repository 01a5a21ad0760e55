package query

import "time"

// Purpose is what a definition defines.
type Purpose string

// The purposes.
const (
	Audience Purpose = "audience"
	Trait    Purpose = "trait"
)

// Level is whom a definition is about.
type Level string

// The levels.
const (
	Users    Level = "users"
	Accounts Level = "accounts"
)

// Class says when a definition has to be evaluated.
type Class string

const (
	// Realtime: only new events and new trait values change it.
	Realtime Class = "realtime"
	// Scheduled: the passing of time alone can change it.
	Scheduled Class = "scheduled"
)

// Definition is a text that has been checked. It is immutable and safe for
// concurrent use.
type Definition struct {
	Purpose Purpose
	Level   Level
	Class   Class
	// ClassBecause are the printed parts that make it Scheduled, in the order of
	// the text.
	ClassBecause []string

	// What it reads: names of events, top-level keys of traits, paths of event
	// properties and context fields as printed, inside where too; ids of sources
	// that it excludes.
	Events     []string
	Traits     []string
	Fields     []string
	NotSources []string

	// MaxLookback is the far edge of its largest window; 0 if it has none.
	MaxLookback time.Duration
	// Unbounded: at least one event chain has no window, so all history counts.
	Unbounded bool
	Funnel    bool // an event follows another
	Session   bool // expires_after is used
	// ClockTraits are the keys of traits that are compared with the present
	// instant, outside where.
	ClockTraits []string

	// Leaves are its event chains, distinct by text; those of nested events are
	// part of their leaf.
	Leaves      []*Leaf
	LeafCount   int
	Comparisons int

	// Empty is its value for a profile without events and traits.
	Empty       Value
	TrueOnEmpty bool

	text      string
	condition condition // of an audience
	scalar    scalar    // of a trait
	relatives []*comparison
}

// Text is the canonical text: equal definitions have equal texts, and it compiles
// to the same definition.
func (d *Definition) Text() string { return d.text }

// Eval is the value for a profile at an instant: true or false for an audience.
// It is the reference: plain, reading the whole history.
func (d *Definition) Eval(p Profile, asOf time.Time) Value { return d.in(read(p, asOf)) }

// EvalWith is the value computed from leaf values that are known already. ANY and
// ALL have no users here; see [Definition.EvalAccount].
func (d *Definition) EvalWith(in Inputs, asOf time.Time) Value {
	return d.in(scope{surroundings: &surroundings{asOf: asOf, in: in}})
}

// EvalAccount is the value for an account: its traits, and the users that are
// linked to it. Events outside ANY and ALL are those of all users together.
func (d *Definition) EvalAccount(traits map[string]Value, users []Profile, asOf time.Time) Value {
	account := Profile{Traits: traits}
	for _, u := range users {
		account.Events = append(account.Events, u.Events...)
	}
	s := read(account, asOf)
	s.users = users
	return d.in(s)
}

func (d *Definition) in(s scope) Value {
	if d.condition != nil {
		return Bool(d.condition.holds(s))
	}
	if !d.scalar.many() {
		return d.scalar.value(s)
	}
	if vs := d.scalar.values(nil, s); len(vs) > 0 {
		return List(vs)
	}
	return Null()
}

// reading is a profile as the inputs of an evaluation.
type reading struct {
	traits map[string]Value
	at     *surroundings
}

func (r reading) Trait(key string) Value { return r.traits[key] }

func (r reading) Leaf(l *Leaf) Value {
	return l.reduce(l.stream.events(scope{surroundings: r.at}))
}

func read(p Profile, asOf time.Time) scope {
	at := &surroundings{asOf: asOf, past: newPast(p.Events)}
	at.in = reading{p.Traits, at}
	return scope{surroundings: at}
}
