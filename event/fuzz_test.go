package event

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// requireSound fails unless everything in an accepted call can be stored.
func requireSound(t *testing.T, c *Call) {
	t.Helper()
	for _, s := range []string{c.MessageID, c.UserID, c.AnonymousID, c.PreviousID, c.GroupID, c.Event, c.Name, c.Category, c.Channel} {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			t.Fatalf("text %q cannot be stored", s)
		}
	}
	for _, v := range []jsontext.Value{c.Properties, c.Traits, c.Context, c.Integrations, c.Metadata, c.DefinitionProperties()} {
		if v == nil {
			continue
		}
		if v.Kind() != '{' || !v.IsValid() || indexNUL(v) >= 0 {
			t.Fatalf("value %s cannot be stored", v)
		}
		dense := v.Clone()
		if err := dense.Compact(); err != nil || !bytes.Equal(dense, v) {
			t.Fatalf("value %s is not compact", v)
		}
	}
	if c.MessageID == "" || utf8.RuneCountInString(c.MessageID) > MaxMessageID {
		t.Fatalf("message id %q", c.MessageID)
	}
	if c.Timestamp.Before(epoch) || c.Timestamp.Sub(c.ReceivedAt) > MaxAhead || c.Timestamp.Nanosecond()%1e6 != 0 {
		t.Fatalf("timestamp %v", c.Timestamp)
	}
	if y := c.OriginalTimestamp.Year(); y < 1970 || y > 9999 {
		t.Fatalf("original timestamp %v", c.OriginalTimestamp)
	}
	if c.UserID == "" && c.AnonymousID == "" {
		t.Fatal("nobody made the call")
	}
	c.Email()
	c.BundledWith("Mixpanel")
}

// requireRejection fails unless err is a rejection that can be shown, and gives its code.
func requireRejection(t *testing.T, err error) Code {
	t.Helper()
	var rej *Rejection
	if !errors.As(err, &rej) {
		t.Fatalf("error %v is no rejection", err)
	}
	text := rej.Error()
	if rej.Code == "" || rej.Message == "" || !utf8.ValidString(text) || strings.ContainsRune(text, 0) || len(text) > 1000 {
		t.Fatalf("rejection %q cannot be shown", text)
	}
	return rej.Code
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"type":"track","messageId":"m","userId":1e6,"event":"E","timestamp":"2026-01-01T00:00:00Z","sentAt":1772366400,"properties":{"a":[1,{"b":"\u00e9\\"}]},"context":{"library":{"name":"analytics.js"},"device":{"id":"x"},"externalIds":[{}]}}`))
	f.Add([]byte(`{ "type" : "group", "anonymousId" : "a", "groupId" : "g", "traits" : { "x" : null } }`))
	f.Add([]byte("{\"type\":\"alias\",\"from\":\"\xff\",\"to\":\"\\u0000\"}"))
	f.Add([]byte(`{"a":{"a":1,"a":2}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		env := envelope()
		env.RemoteIP = "203.0.113.9"
		before := bytes.Clone(raw)
		c, err := Decode(raw, env)
		if !bytes.Equal(raw, before) {
			t.Fatal("the text was written to")
		}
		if err == nil {
			if !jsontext.Value(raw).IsValid() {
				t.Fatal("invalid JSON is taken")
			}
			requireSound(t, c)
			return
		}
		code := requireRejection(t, err)
		if wellFormed := jsontext.Value(raw).IsValid(lenient...); wellFormed == (code == CodeInvalidJSON) &&
			code != CodeTooDeep && code != CodeMessageTooLarge {
			t.Fatalf("code %s, though well-formed is %v", code, wellFormed)
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte(`{"batch":[` + good + `,` + good + `],"sentAt":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"batch":[{"type":"track","userId":"u","event":"E","context":{"a":1}},5,{"a":1,"a":2}],"context":{"a":2,"b":{}},"integrations":{"All":true}}`))
	f.Add([]byte(`{"batch":[{"a":[}],"b":]}`))
	f.Add([]byte(`{"b\u0061tch":[],"batch":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := DecodeBatch(raw, envelope())
		wellFormed := jsontext.Value(raw).IsValid(lenient...)
		if err != nil {
			code := requireRejection(t, err)
			if wellFormed && code == CodeInvalidJSON {
				t.Fatal("well-formed JSON is refused as invalid")
			}
			return
		}
		deep := false
		for _, r := range b.Refused {
			requireRejection(t, r.Rejection)
			deep = deep || r.Code == CodeTooDeep || r.Code == CodeMessageTooLarge
		}
		if !wellFormed && !deep {
			t.Fatal("invalid JSON is taken")
		}
		for _, c := range b.Calls {
			requireSound(t, c)
		}
		if wellFormed {
			n := 0
			for range elements(find(raw, "batch")) {
				n++
			}
			if n != len(b.Calls)+len(b.Refused) {
				t.Fatalf("%d messages became %d calls and %d refusals", n, len(b.Calls), len(b.Refused))
			}
		}
	})
}

func FuzzParseISO(f *testing.F) {
	f.Add("2026-03-01T12:00:00.5+02:00")
	f.Add("20260301 1200")
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := parseISO(s); ok && (got.Year() > 9999 || got.Year() < 0) {
			t.Fatalf("%q is read as %v", s, got)
		}
	})
}

// The walker sees the same members as the JSON decoder.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(`{"a":[1,"]",{"b":"}\\\""}],"c\\":{}, "d" : tru`))
	f.Add([]byte(` { "\u0061" : -1e5 , "" : [ ] } `))
	f.Fuzz(func(t *testing.T, raw []byte) {
		type member struct{ name, value string }
		var walked []member
		for name, v := range members(raw) {
			walked = append(walked, member{string(name), string(v)})
		}
		for range elements(raw) {
		}
		dec := jsontext.NewDecoder(bytes.NewReader(raw))
		if !jsontext.Value(raw).IsValid() || dec.PeekKind() != '{' {
			return // it came to an end, which is all that is promised
		}
		if _, err := dec.ReadToken(); err != nil {
			t.Fatal(err)
		}
		for i := 0; dec.PeekKind() != '}'; i++ {
			name, err := dec.ReadToken()
			if err != nil {
				t.Fatal(err)
			}
			want := member{name: name.String()}
			v, err := dec.ReadValue()
			if err != nil {
				t.Fatal(err)
			}
			want.value = string(v)
			if i >= len(walked) || walked[i] != want {
				t.Fatalf("member %d: walked %v, want %v", i, walked, want)
			}
		}
	})
}
