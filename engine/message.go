package engine

import (
	"time"

	"muster/identity"
	"muster/query"
)

// Reason says why a message is sent.
type Reason string

// The reasons.
const (
	ReasonEntered   Reason = "entered"
	ReasonExited    Reason = "exited"
	ReasonChanged   Reason = "changed"
	ReasonFirstSync Reason = "first_sync"
	ReasonNewID     Reason = "new_external_id"
	ReasonMerge     Reason = "merge"
	ReasonEdit      Reason = "definition_edit"
	ReasonResync    Reason = "resync"
	ReasonCleanup   Reason = "cleanup"
	ReasonRepair    Reason = "repair" // verification found that the destination had not heard it
)

// Form is the kind of call by which something is told.
type Form string

// The forms of a message.
const (
	FormIdentify Form = "identify"
	FormTrack    Form = "track"
)

// Message is a line of the queue: a value that one combination of ids is told.
type Message struct {
	Connection *Connection
	ProfileID  int64
	Bucket     int // of the profile
	Form       Form
	Event      string // its name in FormTrack, fixed when it is queued; empty: what the connection says
	IDs        identity.Combination
	Value      query.Value
	Times      int       // which message to these ids of this connection it is
	At         time.Time // in the message, fixed here
	Reason     Reason

	// Undeliverable, if not empty, says why nobody can be told; the message goes
	// straight to the dead letters.
	Undeliverable string
}

// EventName is the name of the event in FormTrack, and empty in other forms.
func (m *Message) EventName() string {
	c := m.Connection
	switch {
	case m.Form != FormTrack:
		return ""
	case m.Event != "":
		return m.Event
	case c.Computation.Kind == query.Trait:
		return c.ComputedEvent
	case m.Value.AsBool():
		return c.EnteredEvent
	}
	return c.ExitedEvent
}

// Carrier is the id under which the destination files the message. Messages with
// the same carrier keep their order.
func (m *Message) Carrier() string {
	if m.IDs.UserID != "" {
		return m.IDs.UserID
	}
	return m.IDs.AnonymousID
}

// Lane is the lane of the queue that keeps the carrier's messages in order.
func (m *Message) Lane() int { return CarrierLane(m.Carrier()) }
