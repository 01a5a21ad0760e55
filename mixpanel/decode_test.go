package mixpanel

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/event"
)

// testNow is the instant of all mapping tests.
var testNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// wireCall is a call as a client writes it, as far as the tests need it.
type wireCall struct {
	Type, MessageID, PreviousID, GroupID     string
	Event, Name, Category                    string
	UserID, AnonymousID                      any
	Properties, Traits                       json.RawMessage
	Context, Integrations                    json.RawMessage
	Timestamp, OriginalTimestamp, ReceivedAt any
}

// readCall decodes a test's call.
func readCall(t testing.TB, text string) *event.Call {
	t.Helper()
	var w wireCall
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatalf("call %s: %v", text, err)
	}
	c := &event.Call{
		Type: event.Type(w.Type), MessageID: w.MessageID,
		UserID: idText(w.UserID), AnonymousID: idText(w.AnonymousID), PreviousID: w.PreviousID, GroupID: w.GroupID,
		Event: w.Event, Name: w.Name, Category: w.Category,
		Properties: objectOrNil(w.Properties), Traits: objectOrNil(w.Traits),
		Context: objectOrNil(w.Context), Integrations: objectOrNil(w.Integrations),
		Timestamp: instant(t, w.Timestamp), OriginalTimestamp: instant(t, w.OriginalTimestamp), ReceivedAt: instant(t, w.ReceivedAt),
	}
	return c
}

func objectOrNil(raw json.RawMessage) []byte {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	return raw
}

func idText(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

func instant(t testing.TB, v any) time.Time {
	t.Helper()
	if v == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(v))
	if err != nil {
		t.Fatal(err)
	}
	return at
}
