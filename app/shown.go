package app

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
)

// maxShown is how much of a call the debugger keeps, in bytes.
const maxShown = 4096

// beginning is the first maxShown bytes of a call in normal form, as JSON, without the
// write key that some libraries put into each call. The ids come first, so that they are
// there whatever else is cut off.
func beginning(c *event.Call) string {
	b := make([]byte, 0, 512+min(len(c.Properties)+len(c.Traits)+len(c.Context), maxShown))
	text := func(name, value string) {
		if value != "" && len(b) < maxShown {
			b = append(append(append(b, `,"`...), name...), `":`...)
			b, _ = jsontext.AppendQuote(b, value) // a call's texts are valid UTF-8
		}
	}
	object := func(name string, value jsontext.Value) {
		if value != nil && len(b) < maxShown {
			b = append(append(append(b, `,"`...), name...), `":`...)
			if mayHoldKey(value) {
				value = withoutKeys(value)
			}
			b = append(b, value[:min(len(value), maxShown)]...)
		}
	}
	instant := func(name string, at time.Time) {
		if name == "timestamp" { // the others are for the way here
			text(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	c.Fields(text, instant, object)
	b[0] = '{' // in the place of the first comma
	if len(b) < maxShown {
		b = append(b, '}')
	}
	return cut(b)
}

// beginningOfRaw is the first maxShown bytes of a message that was refused, without write
// keys; "" if it is no JSON, because then a key could not be told from the rest.
func beginningOfRaw(raw []byte) string { return cut(withoutKeys(bytes.TrimSpace(raw))) }

// mayHoldKey is a cheap test that spares parsing: false means that no member can be a
// write key, however its name is escaped.
func mayHoldKey(v jsontext.Value) bool {
	return bytes.Contains(v, []byte("writeKey")) || bytes.Contains(v, []byte(`\u`))
}

// withoutKeys is JSON text without the members that are called writeKey, at any depth, and
// perhaps without what lies beyond maxShown bytes; nil if it is no JSON.
func withoutKeys(raw []byte) []byte {
	dec := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var kept []byte
	keep := func(part []byte) {
		if bytes.HasSuffix(kept, []byte("{")) { // the members before it are gone
			part = bytes.TrimLeft(part, ", \t\r\n")
		}
		kept = append(kept, part...)
	}
	from := int64(0) // what lies before it is kept or gone
	for {
		end := dec.InputOffset()
		// Within an object, names and values take turns.
		within, length := dec.StackIndex(dec.StackDepth())
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			keep(raw[from:])
			return kept
		}
		if err != nil {
			return nil
		}
		switch {
		case within == '{' && length%2 == 0 && token.Kind() == '"' && token.String() == "writeKey":
			keep(raw[from:end])
			if dec.SkipValue() != nil {
				return nil
			}
			from = dec.InputOffset()
		case int64(len(kept))+end-from > maxShown:
			keep(raw[from:end])
			return kept
		}
	}
}

// cut shortens text to maxShown bytes, between two characters. Bytes that are no text
// become U+FFFD.
func cut(text []byte) string {
	if len(text) > maxShown {
		end := maxShown
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}

// lenientCall reads what it can of a message that was refused, enough to see whose it is.
func lenientCall(raw []byte) *event.Call {
	var m struct {
		Type        jsontext.Value `json:"type"`
		UserID      jsontext.Value `json:"userId"`
		AnonymousID jsontext.Value `json:"anonymousId"`
		PreviousID  jsontext.Value `json:"previousId"`
		Traits      jsontext.Value `json:"traits"`
		Properties  jsontext.Value `json:"properties"`
		Context     jsontext.Value `json:"context"`
	}
	if json.Unmarshal(raw, &m, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	text := func(v jsontext.Value) string {
		s, _ := event.Text(v)
		return s
	}
	return &event.Call{
		Type: event.Type(text(m.Type)), UserID: text(m.UserID), AnonymousID: text(m.AnonymousID), PreviousID: text(m.PreviousID),
		Traits: m.Traits, Properties: m.Properties, Context: m.Context,
	}
}
