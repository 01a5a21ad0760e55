// Package event knows the calls that Segment's libraries make: how they look on
// the wire, when they are valid, and the one normal form that the rest of Muster
// works with. It knows nothing of profiles, storage or HTTP.
//
// [Decode] reads one message, [DecodeMessage] the body of a request that holds
// one, [DecodeBatch] the body of a request that holds many. What cannot be taken
// comes back as a [*Rejection] with a stable [Code] and the place of the fault.
//
// JSON values are kept as the bytes they came in. A [Call] shares memory with the
// text it was decoded from, so that text must not be written to afterwards.
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

// The kinds of libraries that calls come from. Browser and Mobile run on the
// user's own device, so that the address of the connection is the user's.
const (
	ChannelServer  = "server"
	ChannelBrowser = "browser"
	ChannelMobile  = "mobile"
)

// Call is one Segment call in normal form: ids are text, batch-level context and
// integrations are merged in, times are UTC and corrected for clock skew. No text
// in it contains a NUL character and every JSON value in it fits PostgreSQL's jsonb.
type Call struct {
	Type      Type
	MessageID string // at most 100 characters, never empty

	UserID      string // "" when absent
	AnonymousID string // "" when absent
	PreviousID  string // alias only
	GroupID     string // group only; at most 500 characters

	Event    string // track only: its name, verbatim
	Name     string // page and screen
	Category string // page and screen
	Channel  string // server, browser, mobile, what the client said, or "" when unknown

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

	// ProfileSkip, when not "", says why the call, though valid, must not touch any
	// profile: CodeTooManyProperties, CodeTooManyTraits or CodePersonasDisabled.
	ProfileSkip Code
	// Warnings tell what was doubtful in the call and has been put right. Usually nil.
	Warnings []Warning
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

// Fields goes through what the call says, by the names of Segment's JSON: its ids first, its
// objects last. Metadata, which is for the way of the call and not part of it, is left out.
func (c *Call) Fields(text func(name, value string), instant func(name string, at time.Time), object func(name string, value jsontext.Value)) {
	text("type", string(c.Type))
	text("messageId", c.MessageID)
	text("userId", c.UserID)
	text("anonymousId", c.AnonymousID)
	text("previousId", c.PreviousID)
	text("groupId", c.GroupID)
	text("event", c.Event)
	text("name", c.Name)
	text("category", c.Category)
	text("channel", c.Channel)
	instant("timestamp", c.Timestamp)
	instant("originalTimestamp", c.OriginalTimestamp)
	instant("sentAt", c.SentAt)
	instant("receivedAt", c.ReceivedAt)
	object("properties", c.Properties)
	object("traits", c.Traits)
	object("context", c.Context)
	object("integrations", c.Integrations)
}
