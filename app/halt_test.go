package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
)

// A destination that refuses everything is left alone until the program starts again, when its
// settings may be better.
func TestHaltedDestinationIsTriedAgainAtTheStart(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	wrong := mixpanel.Settings{Token: "nobodys", BaseURL: r.fake.URL()}
	r.start(t, wrong, "web")
	r.take(t, "web", `{"type":"track","userId":"kim","event":"Bought"}`)
	for range 2 {
		if err := r.app.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if lag := r.lag(t); lag.HaltedReason == "" || lag.Waiting != 1 {
			t.Fatalf("%+v", lag)
		}
		r.pass(time.Hour)
	}
	right := wrong
	right.Token = token
	r.start(t, right, "web")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.app.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); r.lag(t).Waiting > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if lag := r.lag(t); lag.HaltedReason != "" || lag.Waiting != 0 {
		t.Errorf("%+v", lag)
	}
	if diff := cmp.Diff([]string{"kim: Bought"}, r.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
