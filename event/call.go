// Package event knows the calls that Segment's libraries make: how they look on
// the wire, when they are valid, and the one normal form that the rest of Muster
// works with. It knows nothing of profiles, storage or HTTP.
package event

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Type is the kind of a call.
type Type string

// The six calls of the Tracking API.
const (
	Identify Type = "identify"
	Track    Type = "track"
	Page     Type = "page"
	Screen   Type = "screen"
	Group    Type = "group"
	Alias    Type = "alias"
)

// Names under which page and screen calls appear as events to definitions.
const (
	PageViewed   = "Page Viewed"
	ScreenViewed = "Screen Viewed"
)

// Call is one Segment call in normal form: ids are text, batch-level context and
// integrations are merged in, times are UTC and corrected for clock skew.
type Call struct {
	Type      Type
	MessageID string // at most 100 characters, never empty

	UserID      string // "" when absent
	AnonymousID string // "" when absent
	PreviousID  string // alias only
	GroupID     string // group only

	Event    string // track only: its name, verbatim
	Name     string // page and screen
	Category string // page and screen

	// JSON objects, compact, or nil when absent. Properties belongs to track, page
	// and screen; Traits to identify and group.
	Properties   jsontext.Value
	Traits       jsontext.Value
	Context      jsontext.Value
	Integrations jsontext.Value
	Metadata     jsontext.Value // the "_metadata" of browser calls

	Timestamp         time.Time // corrected for clock skew, milliseconds
	OriginalTimestamp time.Time // as the client said; ReceivedAt when it said nothing
	SentAt            time.Time // zero when unknown
	ReceivedAt        time.Time
}

// EventName is the name under which definitions see the call, or "" if the call
// is not an event for them (identify, group and alias are not).
func (c *Call) EventName() string {
	switch c.Type {
	case Track:
		return c.Event
	case Page:
		return PageViewed
	case Screen:
		return ScreenViewed
	case Identify, Group, Alias:
	}
	return ""
}
