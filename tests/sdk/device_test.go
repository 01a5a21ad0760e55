package sdk_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"muster/mixpanel/mixpaneltest"
)

// told is a call that the page's integration of Mixpanel was handed, and its settings.
type told struct {
	Type    string         `json:"type"`
	Event   string         `json:"event"`
	Options map[string]any `json:"options"`
}

// Pages in device mode tell Mixpanel themselves, with an integration that gets the settings
// that muster hands out. What they tell so is stored and computed with, and not forwarded.
func TestDeviceMode(t *testing.T) {
	_, program := build(t)
	s := startSystem(t, program)
	b := startBrowser(t, "chromium", s.gate.URL, url.Values{"writeKey": {pagesKey}, "mixpanel": {"1"}})
	ctx, cancel := context.WithTimeout(t.Context(), stepPatience)
	defer cancel()
	if err := b.do(ctx, command{Command: "track", User: "eva", Event: "Order Completed", Count: 1}); err != nil {
		t.Fatal(err)
	}
	o, err := b.ask(ctx, command{Command: "told"})
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, call := range o.Told {
		calls = append(calls, strings.TrimSpace(call.Type+" "+call.Event))
		for key, want := range map[string]any{"token": mixpaneltest.DefaultToken, "persistence": "localStorage", "people": true, "enableEuropeanUnionEndpoint": false} {
			if call.Options[key] != want {
				t.Errorf("%s is handed %s: %v, want %v", call.Type, key, call.Options[key], want)
			}
		}
	}
	if !slices.Equal(calls, []string{"identify", "track Order Completed"}) {
		t.Errorf("the page told %q", calls)
	}
	eventually(t, func() string {
		if s.property("eva", "buyers") != true {
			return "Mixpanel was not told that eva is a buyer"
		}
		return ""
	})
	// What is computed is told after what is forwarded: an event would have been told by now.
	if events := s.fake.Events(mixpaneltest.DefaultToken, mixpaneltest.Raw); len(events) != 0 {
		t.Errorf("forwarded, although the page has told it: %v", events)
	}
	for _, v := range s.fake.Violations() {
		t.Errorf("Mixpanel's rules were broken: %v", v)
	}
}
