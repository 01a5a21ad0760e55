package event

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

var received = time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC)

func envelope() Envelope {
	return Envelope{ReceivedAt: received, NewID: func() string { return "api-new" }}
}

// mustDecode decodes text that has to be good.
func mustDecode(t *testing.T, text string, env Envelope) *Call {
	t.Helper()
	c, err := Decode([]byte(text), env)
	if err != nil {
		t.Fatalf("Decode(%s): %v", text, err)
	}
	return c
}

func TestDecodeNormalForm(t *testing.T) {
	tests := []struct {
		name, text string
		want       Call
	}{
		{
			name: "track by a server",
			text: `{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed","timestamp":"2026-03-01T11:00:00.1239Z",
				"properties":{"revenue": 29.330, "big":123456789012345678901234567890}}`,
			want: Call{
				Type: Track, MessageID: "m1", UserID: "u1", Event: "Order Completed",
				Properties:        jsontext.Value(`{"revenue":29.330,"big":123456789012345678901234567890}`),
				Timestamp:         time.Date(2026, 3, 1, 11, 0, 0, 123_000_000, time.UTC),
				OriginalTimestamp: time.Date(2026, 3, 1, 11, 0, 0, 123_900_000, time.UTC),
			},
		},
		{
			name: "identify by a browser before it knows the user",
			text: `{"type":"identify","messageId":"m2","userId":null,"anonymousId":"a1","traits":{"plan":null,"first_name":"A"},"context":{"library":{"name":"analytics.js"}},"_metadata":{"bundled":["Mixpanel"]}}`,
			want: Call{
				Type: Identify, MessageID: "m2", AnonymousID: "a1", Channel: ChannelBrowser,
				Traits:    jsontext.Value(`{"plan":null,"first_name":"A"}`),
				Context:   jsontext.Value(`{"library":{"name":"analytics.js"}}`),
				Metadata:  jsontext.Value(`{"bundled":["Mixpanel"]}`),
				Timestamp: received, OriginalTimestamp: received,
			},
		},
		{
			name: "page with its name only in the properties",
			text: `{"type":"page","messageId":"m3","anonymousId":"a1","properties":{"name":"Home","category":"c"}}`,
			want: Call{
				Type: Page, MessageID: "m3", AnonymousID: "a1", Name: "Home", Category: "c",
				Properties: jsontext.Value(`{"name":"Home","category":"c"}`),
				Timestamp:  received, OriginalTimestamp: received,
			},
		},
		{
			name: "group with numeric ids",
			text: `{"type":"group","messageId":7,"userId":12345678901234567890,"groupId":1e3,"traits":{"seats":3}}`,
			want: Call{
				Type: Group, MessageID: "7", UserID: "12345678901234567890", GroupID: "1000",
				Traits:    jsontext.Value(`{"seats":3}`),
				Timestamp: received, OriginalTimestamp: received,
			},
		},
		{
			name: "alias by its older names",
			text: `{"type":"alias","messageId":"m4","from":"a1","to":"u1"}`,
			want: Call{
				Type: Alias, MessageID: "m4", UserID: "u1", PreviousID: "a1",
				Timestamp: received, OriginalTimestamp: received,
			},
		},
		{
			name: "snake case, and the proper name wins",
			text: `{"type":"screen","message_id":"m5","user_id":"no","userId":"u1","anonymous_id":"a1","name":"Start"}`,
			want: Call{
				Type: Screen, MessageID: "m5", UserID: "u1", AnonymousID: "a1", Name: "Start",
				Timestamp: received, OriginalTimestamp: received,
			},
		},
		{
			name: "empty arrays of PHP, no message id, escaped names",
			text: `{"type":"track","u\u0073erId":"u\u00e9\n","event":"E","properties":[ ],"context":[],"integrations":[]}`,
			want: Call{
				Type: Track, MessageID: "api-new", UserID: "ué\n", Event: "E",
				Timestamp: received, OriginalTimestamp: received,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.ReceivedAt = received
			if diff := cmp.Diff(&tt.want, mustDecode(t, tt.text, envelope())); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":1`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	tests := []struct {
		name, text string
		code       Code
		field      string
	}{
		{"empty", ` `, CodeInvalidJSON, ""},
		{"cut off", `{"type":"track"`, CodeInvalidJSON, ""},
		{"two values", `{"type":"track"}{}`, CodeInvalidJSON, ""},
		{"bad literal", `{"a":tru}`, CodeInvalidJSON, "/a"},
		{"not an object", `["track"]`, CodeInvalidMessage, ""},
		{"bad UTF-8", "{\"type\":\"track\",\"event\":\"\xff\"}", CodeInvalidUTF8, "/event"},
		{"half a surrogate pair", `{"properties":{"a":["x","\ud83d"]}}`, CodeInvalidUTF8, "/properties/a/1"},
		{"NUL", `{"type":"track","properties":{"a":{"b":"x\u0000"}}}`, CodeInvalidCharacter, "/properties/a/b"},
		{"NUL in a key", `{"a\u0000":1}`, CodeInvalidCharacter, "/a?"},
		{"duplicate key", `{"properties":{"a":1,"a":2}}`, CodeDuplicateKey, "/properties/a"},
		{"duplicate key and a syntax error behind it", `{"a":1,"a":2,}`, CodeInvalidJSON, ""},
		{"deep", `{"properties":` + nested(MaxDepth) + `}`, CodeTooDeep, ""},
		{"very deep and never closed", strings.Repeat("[", 30_000), CodeTooDeep, ""},
		{"huge exponent", `{"properties":{"n":1e131071}}`, CodeNumberOutOfRange, "/properties/n"},
		{"tiny exponent", `{"properties":{"n":[1,1e-99999999999999999999]}}`, CodeNumberOutOfRange, "/properties/n/1"},
		{"long number", `{"properties":{"n":` + strings.Repeat("9", 401) + `}}`, CodeNumberOutOfRange, "/properties/n"},
		{"large", `{"a":"` + strings.Repeat("x", DefaultMaxBytes) + `"}`, CodeMessageTooLarge, ""},
		{"unknown type", `{"type":"charge","userId":"u"}`, CodeInvalidType, "type"},
		{"no type", `{"userId":"u"}`, CodeInvalidType, "type"},
		{"type in capitals", `{"type":"Track","userId":"u","event":"E"}`, CodeInvalidType, "type"},
		{"no ids", `{"type":"track","event":"E","userId":"","anonymousId":null}`, CodeNoUserAnonID, "userId"},
		{"id is an object", `{"type":"track","event":"E","userId":{"a":1}}`, CodeInvalidField, "userId"},
		{"id is true", `{"type":"track","event":"E","anonymousId":true,"userId":"u"}`, CodeInvalidField, "anonymousId"},
		{"track without event", `{"type":"track","userId":"u"}`, CodeMissingEvent, "event"},
		{"event is empty", `{"type":"track","userId":"u","event":""}`, CodeMissingEvent, "event"},
		{"event is a number", `{"type":"track","userId":"u","event":5}`, CodeMissingEvent, "event"},
		{"event is long", `{"type":"track","userId":"u","event":"` + strings.Repeat("é", 513) + `"}`, CodeEventNameTooLong, "event"},
		{"message id is long", `{"type":"page","userId":"u","messageId":"` + strings.Repeat("é", 101) + `"}`, CodeMessageIDTooLong, "messageId"},
		{"properties are text", `{"type":"track","userId":"u","event":"E","properties":"a"}`, CodeInvalidField, "properties"},
		{"traits are a list", `{"type":"identify","userId":"u","traits":[1]}`, CodeInvalidField, "traits"},
		{"context is a number", `{"type":"identify","userId":"u","context":1}`, CodeInvalidField, "context"},
		{"300 traits", `{"type":"identify","userId":"u","traits":` + many(300) + `}`, CodeTooManyTraits, "traits"},
		{"group without groupId", `{"type":"group","userId":"u"}`, CodeNoUserAnonID, "groupId"},
		{"group with empty groupId", `{"type":"group","userId":"u","groupId":""}`, CodeEmptyGroupID, "groupId"},
		{"group id is long", `{"type":"group","userId":"u","groupId":"` + strings.Repeat("é", 501) + `"}`, CodeGroupIDTooLong, "groupId"},
		{"group without a user", `{"type":"group","groupId":"g"}`, CodeNoUserAnonID, "userId"},
		{"alias without previousId", `{"type":"alias","userId":"u"}`, CodeNoUserAnonID, "previousId"},
		{"alias without userId", `{"type":"alias","anonymousId":"a","previousId":"p"}`, CodeNoUserAnonID, "userId"},
		{"before 1970", `{"type":"page","userId":"u","timestamp":"1969-12-31T23:59:59.999Z"}`, CodeTimestampOutOfRange, "timestamp"},
		{"before 1970 in numbers", `{"type":"page","userId":"u","originalTimestamp":-1}`, CodeTimestampOutOfRange, "originalTimestamp"},
		{"before 1970 once corrected", `{"type":"page","userId":"u","timestamp":"1980-01-01T00:00:00Z","sentAt":"2080-01-01T00:00:00Z"}`, CodeTimestampOutOfRange, "timestamp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Decode([]byte(tt.text), envelope())
			var rej *Rejection
			if !errors.As(err, &rej) {
				t.Fatalf("got %+v, %v; want a rejection", c, err)
			}
			if rej.Code != tt.code {
				t.Fatalf("got %v, want code %s", rej, tt.code)
			}
			if tt.field != "" && rej.Field != tt.field {
				t.Errorf("field %q, want %q", rej.Field, tt.field)
			}
			if len(rej.Error()) > 600 {
				t.Errorf("the error has %d bytes", len(rej.Error()))
			}
		})
	}
}

// At each limit the call is still good.
func TestDecodeAtTheLimits(t *testing.T) {
	pad := func(text string, size int) string {
		return strings.Replace(text, "PAD", strings.Repeat("x", size-len(text)+len("PAD")), 1)
	}
	var traits strings.Builder
	for i := range 299 {
		fmt.Fprintf(&traits, `,"k%d":1`, i)
	}
	for name, text := range map[string]string{
		"32,768 bytes":     pad(`{"type":"track","userId":"u","event":"E","properties":{"a":"PAD"}}`, DefaultMaxBytes),
		"64 levels":        `{"type":"track","userId":"u","event":"E","properties":{"a":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}}`,
		"299 traits":       `{"type":"identify","userId":"u","traits":{` + traits.String()[1:] + `}}`,
		"100 characters":   `{"type":"page","userId":"u","messageId":"` + strings.Repeat("é", 100) + `"}`,
		"500 characters":   `{"type":"group","userId":"u","groupId":"` + strings.Repeat("é", 500) + `"}`,
		"1,024 bytes":      `{"type":"track","userId":"u","event":"` + strings.Repeat("é", 512) + `"}`,
		"the epoch":        `{"type":"page","userId":"u","timestamp":"1970-01-01T00:00:00Z"}`,
		"number":           `{"type":"page","userId":"u","properties":{"n":[1e400,1E-400,-0.0,` + strings.Repeat("9", 400) + `]}}`,
		"escaped, not NUL": `{"type":"page","userId":"u","properties":{"n":"\\u0000","m":"\\\\u0000"}}`,
		"surrogate pair":   `{"type":"page","userId":"u","properties":{"n":"\ud83d\ude00"}}`,
	} {
		t.Run(name, func(t *testing.T) { mustDecode(t, text, envelope()) })
	}
}

func TestProfileSkip(t *testing.T) {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	full := b.String()
	for _, tt := range []struct {
		text string
		want Code
	}{
		{`{"type":"track","userId":"u","event":"E","properties":{` + full[:len(full)-1] + `}}`, ""},
		{`{"type":"track","userId":"u","event":"E","properties":{` + full + `"x":1}}`, CodeTooManyProperties},
		{`{"type":"page","userId":"u","properties":{` + full + `"x":1}}`, CodeTooManyProperties},
		{`{"type":"group","userId":"u","groupId":"g","traits":{` + full + `"x":1}}`, CodeTooManyTraits},
		{`{"type":"page","userId":"u","integrations":{"All":true,"Personas":false}}`, CodePersonasDisabled},
		{`{"type":"page","userId":"u","integrations":{"personas":false}}`, CodePersonasDisabled},
		{`{"type":"page","userId":"u","integrations":{"Personas":true,"All":false}}`, ""},
		{`{"type":"page","userId":"u","integrations":{"Personas":{}}}`, ""},
		{`{"type":"page","userId":"u","context":{"personas":{"namespace":"spa_1"},"integrations":{"personas":false}}}`, CodePersonasDisabled},
		{`{"type":"page","userId":"u","context":{"personas":{"namespace":"spa_1"},"integrations":{"personas":true}}}`, ""},
		{`{"type":"page","userId":"u","context":{"personas":false}}`, ""},
	} {
		if got := mustDecode(t, tt.text, envelope()).ProfileSkip; got != tt.want {
			t.Errorf("%.60s...: ProfileSkip %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestPathDecidesTheType(t *testing.T) {
	env := envelope()
	env.Type = Identify
	if c := mustDecode(t, `{"type":"track","userId":"u"}`, env); c.Type != Identify {
		t.Errorf("type %q", c.Type)
	}
}

func TestChannelAndAddress(t *testing.T) {
	for _, tt := range []struct{ name, call, channel, ip string }{
		{"browser", `"context":{"library":{"name":"analytics.js","version":"npm:next-1.84.3"}}`, ChannelBrowser, `"203.0.113.9"`},
		{"phone", `"context":{"library":{"name":"analytics-kotlin"}}`, ChannelMobile, `"203.0.113.9"`},
		{"server", `"context":{"library":{"name":"@segment/analytics-node"}}`, ChannelServer, ``},
		{"own address", `"context":{"library":{"name":"analytics.js"},"ip":"198.51.100.7"}`, ChannelBrowser, `"198.51.100.7"`},
		{"refuses to tell", `"context":{"library":{"name":"analytics.js"},"ip":null}`, ChannelBrowser, `null`},
		{"says itself", `"channel":"mobile","context":{"library":{"name":"analytics-node"}}`, ChannelMobile, `"203.0.113.9"`},
		{"no context", `"channel":"browser"`, ChannelBrowser, `"203.0.113.9"`},
		{"unknown", `"context":{}`, "", ``},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := envelope()
			env.RemoteIP = "203.0.113.9"
			c := mustDecode(t, `{"type":"page","userId":"u",`+tt.call+`}`, env)
			if c.Channel != tt.channel {
				t.Errorf("channel %q, want %q", c.Channel, tt.channel)
			}
			if got := string(c.Lookup(InContext, "ip")); got != tt.ip {
				t.Errorf("ip %s, want %s", got, tt.ip)
			}
		})
	}
}

func TestRemoteAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"2001:db8::1":        `"2001:db8::1"`,
		"fe80::1%eth0":       `"fe80::1"`,
		"::ffff:192.0.2.1":   `"192.0.2.1"`,
		"":                   ``,
		"unknown":            ``,
		"192.0.2.1, 10.0.0.": ``,
		"\xff\"}":            ``,
	} {
		env := envelope()
		env.RemoteIP = address
		c := mustDecode(t, `{"type":"page","userId":"u","channel":"browser"}`, env)
		if got := string(c.Lookup(InContext, "ip")); got != want {
			t.Errorf("address %q is kept as %s, want %s", address, got, want)
		}
	}
}

func TestEventName(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"track","userId":"u","event":"Order  Completed "}`: "Order  Completed ",
		`{"type":"page","userId":"u","name":"Home"}`:                PageViewed,
		`{"type":"screen","userId":"u","event":"E"}`:                ScreenViewed,
		`{"type":"identify","userId":"u","event":"E"}`:              "",
		`{"type":"group","userId":"u","groupId":"g"}`:               "",
		`{"type":"alias","userId":"u","previousId":"p"}`:            "",
	} {
		if got := mustDecode(t, text, envelope()).EventName(); got != want {
			t.Errorf("%s: event name %q, want %q", text, got, want)
		}
	}
}
