package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/event"
)

// What the queue keeps of a call is all of it, to the letter, but what only its browser wanted.
func TestCallJSONIsReadBack(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, text := range []string{
		`{"type":"track","messageId":"m","userId":7,"anonymousId":"a","event":"E \"é\" \u2028","timestamp":"2026-02-27T08:00:00.123+02:00","sentAt":"2026-03-01T11:59:59Z","channel":"server",
			"properties":{"a":1.50,"big":123456789012345678901234567890,"e":1e5,"list":[1,{"x":null}],"t":"\ud83d\ude00"},"context":{"ip":"203.0.113.7"},"integrations":{"All":false,"Mixpanel":{"x":1}}}`,
		`{"type":"page","messageId":"m","anonymousId":"a","name":"Index","category":"Docs","properties":{}}`,
		`{"type":"screen","messageId":"m","anonymousId":"a"}`,
		`{"type":"identify","messageId":"m","userId":"u","traits":{"b":[],"a":{"x":1}}}`,
		`{"type":"group","messageId":"m","userId":"u","groupId":"g","traits":{"company":"g"}}`,
		`{"type":"alias","messageId":"m","userId":"u","previousId":"a"}`,
	} {
		call, err := event.Decode([]byte(text), event.Envelope{ReceivedAt: at})
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeCall(CallJSON(call))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(call, back); diff != "" {
			t.Errorf("%s (-call +read back):\n%s", text, diff)
		}
	}
	if _, err := DecodeCall([]byte(`{"type":`)); err == nil || !strings.Contains(err.Error(), "stored call") {
		t.Errorf("a torn text: %v", err)
	}
}

func TestCarriersOfCalls(t *testing.T) {
	for _, c := range []struct {
		call            event.Call
		carrier, joined string
	}{
		{event.Call{Type: event.Track, UserID: " u ", AnonymousID: "a"}, "u", "a"},
		{event.Call{Type: event.Page, AnonymousID: "a"}, "a", "a"},
		{event.Call{Type: event.Alias, UserID: "u", PreviousID: "p", AnonymousID: "a"}, "u", "p"},
		{event.Call{Type: event.Group, UserID: "u", GroupID: "g"}, "group g", ""},
	} {
		if got, joined := CarrierOf(&c.call), JoinedBy(&c.call); got != c.carrier || joined != c.joined {
			t.Errorf("%+v: %q, %q", c.call, got, joined)
		}
	}
}
