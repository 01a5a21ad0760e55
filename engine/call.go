package engine

import (
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
	"muster/query"
)

// integrations are those of all calls that are made here: they are for destinations of this
// kind and for nobody else.
const integrations = `{"All":false,"Mixpanel":true}`

// Call is the message as the Segment call that a destination is given: an identify that
// sets the computation's key on the profile, or a track of the change.
//
// Its id is made of what the message says, so that a message that is sent twice is one
// for the destination, and its times are those fixed when it was queued.
func (m *Message) Call() *event.Call {
	comp := m.Connection.Computation
	call := &event.Call{
		MessageID: m.id(), UserID: m.IDs.UserID, AnonymousID: m.IDs.AnonymousID,
		Timestamp: m.At, OriginalTimestamp: m.At, ReceivedAt: m.At,
		Integrations: jsontext.Value(integrations),
	}
	value := string(m.Value.AppendJSON(nil))
	key := string(query.Text(comp.Key).AppendJSON(nil))
	email := ""
	if m.IDs.Email != "" {
		email = `"email":` + string(query.Text(m.IDs.Email).AppendJSON(nil))
	}
	class, keyName := "audience", "audience_key"
	if comp.Kind == query.Trait {
		class, keyName = "trait", "trait_key"
	}
	traits := ""
	if m.Form == FormTrack {
		call.Type, call.Event = event.Track, m.EventName()
		call.Properties = jsontext.Value(fmt.Sprintf(`{%q:%s,%s:%s}`, keyName, key, key, value))
		if email != "" {
			traits = `"traits":{` + email + `},`
		}
	} else {
		call.Type = event.Identify
		if email != "" {
			email = "," + email
		}
		call.Traits = jsontext.Value(fmt.Sprintf(`{%s:%s%s}`, key, value, email))
	}
	// Not the user's activity, and not the user's place (docs/mixpanel.md, computed calls).
	call.Context = jsontext.Value(fmt.Sprintf(
		`{"active":false,"ip":0,%s"integrations":{"personas":false},"library":{"name":"muster"},`+
			`"personas":{"computation_class":%q,"computation_id":"%d","computation_key":%s,"reason":%q}}`,
		traits, class, comp.ID, key, m.Reason))
	return call
}

// id is the same for the same message for ever. The number of the connection stands for computation and destination: a connection that is made
// anew tells anew, and a destination must not take that for a repetition.
func (m *Message) id() string {
	return callID(fmt.Sprintf("%d|%d|%s|%d|%s", m.Connection.ID, m.ProfileID, m.Form, m.Times, m.IDs.Key()))
}

// callID is "personas_" and 27 characters that are made of a text.
func callID(of string) string {
	sum := sha256.Sum256([]byte(of))
	// 160 bits in base 62, as long as a KSUID.
	text := new(big.Int).SetBytes(sum[:20]).Text(62)
	return fmt.Sprintf("personas_%027s", text)
}
