package query

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is one event of a profile's history.
type Event struct {
	Name string `json:"name"`
	// Time is the event's own timestamp, the one that windows and order look at.
	Time time.Time `json:"time"`
	// Arrival is the order of arrival; it breaks ties of Time.
	Arrival    int64     `json:"-"`
	ReceivedAt time.Time `json:"-"`
	// Source is the id of the source that sent the event.
	Source string `json:"source,omitempty"`
	// Properties and Context are JSON objects as they were stored, or nil. They are
	// walked in place: a lookup reads only as far as the path asks.
	Properties jsontext.Value `json:"properties,omitempty"`
	Context    jsontext.Value `json:"context,omitempty"`
}

// Profile is all that the reference evaluator knows of one person.
type Profile struct {
	// Events in any order.
	Events []*Event
	// Traits by their top-level key: custom traits, computed traits, and audience
	// memberships as booleans.
	Traits map[string]Value
}
