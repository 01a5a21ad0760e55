package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
	"muster/identity"
)

// ReasonForwarded is that of the calls of a source, which go to a destination as they came.
const ReasonForwarded Reason = "forwarded"

// Route is a way that a call takes besides what is computed from it: to a destination
// that is connected to its source.
type Route struct {
	DestinationID int64
	// Joins says that the call makes one person of two ids there: what is newer of either has
	// to wait for it. See JoinedBy.
	Joins bool
}

// Forward is a call on its way to a destination.
type Forward struct {
	Route
	Call      *event.Call
	ProfileID int64 // 0: no profile has seen the call
	Reason    Reason
}

// IDs are the ids of the call by which people find it.
func (f *Forward) IDs() identity.Combination {
	if user := strings.TrimSpace(f.Call.UserID); user != "" {
		return identity.Combination{UserID: user}
	}
	return identity.Combination{AnonymousID: strings.TrimSpace(f.Call.AnonymousID)}
}

// CarrierOf is the id under which a destination files a call, as with Message.Carrier: the
// user id, else the anonymous id. What a group call tells is the group's.
func CarrierOf(c *event.Call) string {
	if c.Type == event.Group && c.GroupID != "" {
		return "group " + c.GroupID
	}
	if user := strings.TrimSpace(c.UserID); user != "" {
		return user
	}
	return strings.TrimSpace(c.AnonymousID)
}

// JoinedBy is the id that a call makes one person with its carrier: of an alias the previous
// id, else the anonymous id.
func JoinedBy(c *event.Call) string {
	if previous := strings.TrimSpace(c.PreviousID); previous != "" {
		return previous
	}
	return strings.TrimSpace(c.AnonymousID)
}

// CarrierLane is the lane of the queue that keeps a carrier's messages in order.
func CarrierLane(carrier string) int { return LaneOf(IDBucket("", carrier)) }

// forwarded are the calls of the batch that go on to destinations, in its order: those that
// are new, also those that must not touch profiles, but none of suppressed people, and
// none that are nobody's.
func (in *ingestion) forwarded() []Forward {
	var list []Forward
	next := 0 // of in.calls, which are in the order of the batch
	for i := range in.batch {
		var profile int64
		if next < len(in.calls) && in.calls[next].place == i {
			profile = int64(in.calls[next].resolution.Profile)
			next++
		}
		routes := in.batch[i].Routes
		if len(routes) == 0 || in.receipts[i] != Accepted && in.receipts[i] != Skipped {
			continue
		}
		if w := in.works[profile]; w != nil && w.suppressed {
			continue
		}
		for _, r := range routes {
			list = append(list, Forward{Route: r, Call: in.batch[i].Call, ProfileID: profile, Reason: ReasonForwarded})
		}
	}
	return list
}

// CallJSON is a call in Segment's own JSON, with what a destination may want to know of it.
// DecodeCall reads it back.
func CallJSON(c *event.Call) []byte {
	b := make([]byte, 0, 512+len(c.Properties)+len(c.Traits)+len(c.Context)+len(c.Integrations))
	text := func(name, value string) {
		if value != "" {
			b = append(append(append(b, `,"`...), name...), `":`...)
			b, _ = jsontext.AppendQuote(b, value) // a call's texts are valid UTF-8
		}
	}
	object := func(name string, value jsontext.Value) {
		if value != nil {
			b = append(append(append(append(b, `,"`...), name...), `":`...), value...)
		}
	}
	instant := func(name string, at time.Time) {
		if !at.IsZero() {
			b = append(append(append(b, `,"`...), name...), `":"`...)
			b = append(at.UTC().AppendFormat(b, time.RFC3339Nano), '"')
		}
	}
	c.Fields(text, instant, object)
	b[0] = '{' // in the place of the first comma
	return append(b, '}')
}

// DecodeCall reads what CallJSON has written: nothing is corrected any more.
func DecodeCall(text []byte) (*event.Call, error) {
	var c struct {
		Type              event.Type     `json:"type"`
		MessageID         string         `json:"messageId"`
		UserID            string         `json:"userId"`
		AnonymousID       string         `json:"anonymousId"`
		PreviousID        string         `json:"previousId"`
		GroupID           string         `json:"groupId"`
		Event             string         `json:"event"`
		Name              string         `json:"name"`
		Category          string         `json:"category"`
		Channel           string         `json:"channel"`
		Timestamp         time.Time      `json:"timestamp"`
		OriginalTimestamp time.Time      `json:"originalTimestamp"`
		SentAt            time.Time      `json:"sentAt"`
		ReceivedAt        time.Time      `json:"receivedAt"`
		Properties        jsontext.Value `json:"properties"`
		Traits            jsontext.Value `json:"traits"`
		Context           jsontext.Value `json:"context"`
		Integrations      jsontext.Value `json:"integrations"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read a stored call: %w", err)
	}
	return &event.Call{
		Type: c.Type, MessageID: c.MessageID, UserID: c.UserID, AnonymousID: c.AnonymousID, PreviousID: c.PreviousID, GroupID: c.GroupID,
		Event: c.Event, Name: c.Name, Category: c.Category, Channel: c.Channel,
		Timestamp: c.Timestamp, OriginalTimestamp: c.OriginalTimestamp, SentAt: c.SentAt, ReceivedAt: c.ReceivedAt,
		Properties: c.Properties, Traits: c.Traits, Context: c.Context, Integrations: c.Integrations,
	}, nil
}
