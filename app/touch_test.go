package app_test

import (
	"testing"
	"time"

	"muster/engine"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
)

// What is computed moves nobody's "Last Seen", unless the setting lets it; a cleanup never does.
func TestComputedCallsTouchProfiles(t *testing.T) {
	for _, touch := range []bool{false, true} {
		told := pros
		told.Connections = []engine.ConnectionDefinition{{Destination: "mixpanel", Cleanup: engine.CleanupUnset}}
		r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{ComputedCallsTouchProfile: touch}, told)
		seen := func() time.Time {
			t.Helper()
			r.settle(t)
			p, found := r.fake.Profile(token, "u")
			if !found {
				t.Fatal("nothing was told")
			}
			return p.LastSeen
		}
		r.take(t, "ios", `{"type":"identify","userId":"u","traits":{"plan":"pro"}}`)
		want := time.Time{}
		if touch {
			want = r.now()
		}
		if got := seen(); !got.Equal(want) {
			t.Errorf("touch %v: last seen at %v, want %v", touch, got, want)
		}
		r.pass(time.Hour)
		if found, err := r.app.Engine.Remove(t.Context(), "pros", r.now()); err != nil || !found {
			t.Fatal(found, err)
		}
		if err := r.app.Retell(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := seen(); !got.Equal(want) {
			t.Errorf("touch %v: last seen at %v after the cleanup, want %v", touch, got, want)
		}
		if p, _ := r.fake.Profile(token, "u"); p.Properties["pros"] != nil {
			t.Errorf("the property stayed: %v", p.Properties)
		}
	}
}
