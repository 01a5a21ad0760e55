package identity

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
)

// Evidence is what a call says about whose it is.
type Evidence struct {
	// IDs that may identify the profile, in normal form, each once, the most important
	// type first and within a type in the order in which they are found.
	IDs []ID

	// Previous is what the previousId of an alias call may stand for: the user of this
	// user_id, else the visitor of this anonymous_id. Only the graph knows which.
	Previous []ID

	// Dropped are ids that can identify nobody: blocked or malformed.
	Dropped []Violation
}

// Lookup appends to ids those that have to be in the graph before the call is resolved.
func (e Evidence) Lookup(ids []ID) []ID {
	return append(append(ids, e.IDs...), e.Previous...)
}

// Extract finds the external ids of a call, wherever calls carry them.
func (r *Rules) Extract(c *event.Call) Evidence {
	x := extraction{rules: r}
	x.add(UserID, c.UserID)
	x.add(AnonymousID, c.AnonymousID)
	if c.Type == event.Identify { // the traits of a group call are the account's
		x.traits(c.Traits)
	}
	x.context(c.Context)
	if r.emailInProps && mayName(c.Properties, Email) {
		x.addJSON(Email, member(c.Properties, Email))
	}
	for _, key := range r.custom {
		x.custom(key, c.Properties)
	}
	if c.Type == event.Alias {
		x.previous(c.PreviousID)
	}
	slices.SortStableFunc(x.IDs, func(a, b ID) int { return r.comparePriority(a.Type, b.Type) })
	return x.Evidence
}

// extraction collects the ids of one call.
type extraction struct {
	Evidence
	rules *Rules
}

// add takes a value as an id unless it is empty, known already or not admitted.
func (x *extraction) add(typ, value string) {
	id := ID{Type: typ, Value: value}.Normal()
	if id.Value == "" || slices.Contains(x.IDs, id) || slices.ContainsFunc(x.Dropped, func(v Violation) bool { return v.ID == id }) {
		return
	}
	if violation, ok := x.rules.admit(id); !ok {
		x.Dropped = append(x.Dropped, violation)
		return
	}
	x.IDs = append(x.IDs, id)
}

// addJSON takes a JSON string or number as an id; anything else is none.
func (x *extraction) addJSON(typ string, value jsontext.Value) {
	x.add(typ, text(value))
}

// previous takes the previousId of an alias call. If the call carries the same value as
// one of its ids, there is nothing to be joined.
func (x *extraction) previous(value string) {
	candidates := [...]ID{{UserID, value}, {AnonymousID, value}}
	if value == "" || slices.Contains(x.IDs, candidates[0]) || slices.Contains(x.IDs, candidates[1]) {
		return
	}
	for _, id := range candidates {
		if violation, ok := x.rules.admit(id); ok {
			x.Previous = append(x.Previous, id)
		} else {
			x.Dropped = append(x.Dropped, violation)
		}
	}
}

// traits takes the ids among the traits of a person.
func (x *extraction) traits(traits jsontext.Value) {
	if mayName(traits, Email) {
		x.addJSON(Email, member(traits, Email))
	}
	for _, key := range x.rules.custom {
		x.custom(key, traits)
	}
}

// context takes the ids that a call's context carries.
func (x *extraction) context(context jsontext.Value) {
	if !mayName(context, "traits") && !mayName(context, "device") && !mayName(context, "externalIds") && !mayName(context, "integrations") {
		return
	}
	var c struct {
		Traits       jsontext.Value `json:"traits"`
		Device       jsontext.Value `json:"device"`
		Integrations jsontext.Value `json:"integrations"`
		ExternalIDs  jsontext.Value `json:"externalIds"`
	}
	if json.Unmarshal(context, &c) != nil {
		return
	}
	x.traits(c.Traits)
	x.device(c.Device)
	x.addJSON(GAClientID, member(member(c.Integrations, "Google Analytics"), "clientId"))
	x.externalIDs(c.ExternalIDs)
}

// device takes the ids of a phone.
func (x *extraction) device(device jsontext.Value) {
	var d struct {
		Type        jsontext.Value `json:"type"`
		ID          jsontext.Value `json:"id"`
		Advertising jsontext.Value `json:"advertisingId"`
		AdTracking  jsontext.Value `json:"adTrackingEnabled"`
		Token       jsontext.Value `json:"token"`
	}
	if device.Kind() != '{' || json.Unmarshal(device, &d) != nil {
		return
	}
	platform := strings.ToLower(text(d.Type))
	if platform != "android" && platform != "ios" {
		return
	}
	x.addJSON(platform+".id", d.ID)
	if d.AdTracking.Kind() == 't' {
		x.addJSON(platform+".idfa", d.Advertising)
	}
	x.addJSON(platform+".push_token", d.Token)
}

// externalIDs takes the entries of context.externalIds that are ids of users.
func (x *extraction) externalIDs(list jsontext.Value) {
	var entries []jsontext.Value
	if list.Kind() != '[' || json.Unmarshal(list, &entries) != nil {
		return
	}
	for _, entry := range entries {
		var e struct {
			ID         jsontext.Value `json:"id"`
			Type       jsontext.Value `json:"type"`
			Collection jsontext.Value `json:"collection"`
			Encoding   jsontext.Value `json:"encoding"`
		}
		if entry.Kind() != '{' || json.Unmarshal(entry, &e) != nil {
			continue
		}
		if e.Type.Kind() == '"' && text(e.Collection) == "users" && text(e.Encoding) == "none" {
			x.addJSON(text(e.Type), e.ID)
		}
	}
}

// customKey is a configured id type that is looked for under two spellings.
type customKey struct {
	snake, camel string // of the type, which is snake
}

func newCustomKey(snake string) customKey {
	words := strings.Split(snake, "_")
	for i, word := range words[1:] {
		if word != "" {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return customKey{snake: snake, camel: strings.Join(words, "")}
}

// custom takes a configured key out of an object.
func (x *extraction) custom(key customKey, object jsontext.Value) {
	if mayName(object, key.snake) {
		x.addJSON(key.snake, member(object, key.snake))
	}
	if key.camel != key.snake && mayName(object, key.camel) {
		x.addJSON(key.snake, member(object, key.camel))
	}
}

// mayName is a cheap test that spares parsing: false means that the object has no
// member of this name, at any depth.
func mayName(object jsontext.Value, name string) bool {
	for rest := []byte(object); ; {
		at := bytes.Index(rest, []byte(name))
		if at < 0 {
			return bytes.Contains(object, []byte(`\u`)) // names may be written in escapes
		}
		end := at + len(name)
		if at > 0 && rest[at-1] == '"' && end < len(rest) && rest[end] == '"' {
			return true
		}
		rest = rest[end:]
	}
}

// member is the value of an object's member, or nil if there is none.
func member(object jsontext.Value, name string) jsontext.Value {
	if object.Kind() != '{' {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	for dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		found := token.String() == name
		value, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		if found {
			return value.Clone()
		}
	}
	return nil
}

// text is a JSON string's text, or a number as it is written; "" for anything else.
func text(value jsontext.Value) string {
	switch value.Kind() {
	case '"':
		unquoted, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return ""
		}
		return string(unquoted)
	case '0':
		return string(bytes.TrimSpace(value))
	}
	return ""
}

// tooLong says whether an id's value has more characters than an id may have.
func tooLong(value string) bool {
	return len(value) > MaxIDLength && utf8.RuneCountInString(value) > MaxIDLength
}
