package scenario

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/shopspring/decimal"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// Format is the version of the language, the first line of a file.
const Format = "engage-scenarios/1"

// Destination is the name of the one destination that scenarios are told to.
const Destination = "mixpanel"

// File is a file of scenarios.
type File struct {
	Path      string
	Scenarios []*Scenario
}

// Scenario is one story: definitions, calls at given instants, and what must come of them.
type Scenario struct {
	File string
	Line int

	ID   string // unique within its file
	Name string

	// For readers; nothing depends on them.
	Status   string
	Rules    []string
	Optional []string
	Note     string

	T0          time.Time         // what offsets are relative to
	Tick        time.Duration     // 0, or how often everything is settled between steps
	Identity    identity.Settings // rules of identity resolution
	Definitions []engine.Definition
	Steps       []*Step // at least one, in the order of time
}

// Step is one instant of a scenario. Its parts happen in the order of the fields.
type Step struct {
	Line   int
	Offset Offset
	At     time.Time

	Define        []engine.Definition // a key that exists is edited
	Remove        []string            // keys
	DeleteProfile []identity.ID       // of each profile any one id
	Events        []Event
	// EventsFile is the path of a file of calls, one JSON object a line, plain or gzip; ""
	// for none. Calls that are stamped after At wait for a later step that names it too.
	EventsFile string
	// Compute settles: all that is due by At is computed and delivered.
	Compute bool
	Expect  Expectation
}

// Event is a Segment call.
type Event struct {
	Line int
	// Call is a JSON object without what this package adds to Segment's format.
	Call jsontext.Value
	// At is the time of the call, whatever the call says; zero: as the call says.
	At     time.Time
	Repeat int    // how many calls it makes, with as many message ids; at least 1
	Source string // the source that it comes from
}

// Expectation is what must be true at the end of a step. What is nil is not checked.
type Expectation struct {
	Members map[string][]identity.ID               // by audience: exactly these profiles
	Traits  map[string]map[identity.ID]query.Value // by trait: exactly these profiles have a value
	Emitted []Emission                             // exactly these messages; empty but not nil: none
	Covered map[string]Cover                       // by definition

	MembersCount map[string]int
	TraitSum     map[string]decimal.Decimal // equal to the cent
	TraitCount   map[string]int             // how many profiles have a value

	Rejected []string // keys that are refused; all others must be accepted
}

// Emission is a message that must be sent: a definition's value, told to an id.
type Emission struct {
	Key   string
	To    identity.ID
	Value query.Value
}

// Cover is a set of ids of which each must be carried by a message with the value, and
// no other may be.
type Cover struct {
	Value query.Value
	IDs   []identity.ID
}
