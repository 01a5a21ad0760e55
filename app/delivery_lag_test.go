package app_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"muster/app"
	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// twoProjects are destinations that are told the same. The clock stands unless moved.
type twoProjects struct {
	app       *app.App
	ill, well *mixpaneltest.Server
	clock     atomic.Int64
	calls     int
}

func newTwoProjects(t *testing.T, pace deliver.Pace) *twoProjects {
	t.Helper()
	p := &twoProjects{}
	p.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	start := func() *mixpaneltest.Server {
		return mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}, Now: p.now})
	}
	p.ill, p.well = start(), start()
	var err error
	p.app, err = app.New(t.Context(), app.Options{
		Store: store.New(pgtest.New(t)), Identity: identity.DefaultSettings(), Now: p.now, Pace: pace,
		Destinations: map[string]mixpanel.Settings{"ill": {Token: token, BaseURL: p.ill.URL()}, "well": {Token: token, BaseURL: p.well.URL()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.app.Close)
	refused, err := p.app.Define(t.Context(), []engine.Definition{{
		Key: "buyers", Name: "Buyers", Kind: query.Audience, Query: "event('Order').count() >= 1",
		Connections: []engine.ConnectionDefinition{{Destination: "ill"}, {Destination: "well"}},
	}})
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	if err := p.app.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *twoProjects) now() time.Time { return time.UnixMilli(p.clock.Load()).UTC() }

// buy lets somebody new enter the audience.
func (p *twoProjects) buy(t *testing.T) {
	t.Helper()
	p.calls++
	call, err := event.Decode(fmt.Appendf(nil, `{"type":"track","event":"Order","messageId":"m%d","userId":"u%d"}`, p.calls, p.calls), event.Envelope{ReceivedAt: p.now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.app.Engine.Ingest(t.Context(), []engine.Received{{Call: call, Source: "web", SourceID: 1}}, p.now()); err != nil {
		t.Fatal(err)
	}
}

// lags are what waits, by destination.
func (p *twoProjects) lags(t *testing.T) map[string]store.Lag {
	t.Helper()
	lags, err := p.app.Store.Lags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]store.Lag)
	for _, l := range lags {
		by[l.Destination] = l
	}
	return by
}

// One project answers 429 for ten minutes. The other one's lag stays flat, the first is not
// pestered, and catches up as soon as it may.
func TestRateLimitDelaysNoOtherDestination(t *testing.T) {
	p := newTwoProjects(t, deliver.Pace{})
	p.ill.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: http.StatusTooManyRequests, Count: -1})
	const step = 5 * time.Second
	steps := int(10 * time.Minute / step)
	for range steps {
		p.buy(t)
		if err := p.app.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		lags := p.lags(t)
		if well := lags["well"]; well.Waiting != 0 || well.Failing != 0 {
			t.Fatalf("after %d calls the other destination waits: %+v", p.calls, well)
		}
		if ill := lags["ill"]; int(ill.Waiting) != p.calls || ill.LastReason == "" {
			t.Fatalf("after %d calls the limited destination has %+v", p.calls, ill)
		}
		p.clock.Add(step.Milliseconds())
	}
	if n := p.well.ProfileCount(token); n != steps {
		t.Errorf("the other destination knows %d of %d", n, steps)
	}
	// A lane asks again after a pause that doubles up to a minute, on average half of it.
	if asked, most := p.ill.Requests().Totals[mixpaneltest.Engage].Requests, engine.Lanes*steps/2; asked > most {
		t.Errorf("the limited destination was asked %d times, at most %d would do", asked, most)
	}
	p.ill.SetFaults()
	p.clock.Add(deliver.DefaultLongestDelay.Milliseconds())
	if err := p.app.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, lag := p.ill.ProfileCount(token), p.lags(t)["ill"]; n != steps || lag.Waiting != 0 || lag.DeadLetters != 0 {
		t.Errorf("healed, it knows %d of %d: %+v", n, steps, lag)
	}
}

// One project takes requests and never answers. The other is told everything meanwhile.
func TestSilenceDelaysNoOtherDestination(t *testing.T) {
	p := newTwoProjects(t, deliver.Pace{})
	p.ill.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultDelay, Delay: time.Hour, Count: -1})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.app.Run(ctx) }()
	const people = 40
	for n := range people {
		p.buy(t)
		for p.well.ProfileCount(token) <= n {
			time.Sleep(time.Millisecond) // the test's own time limit ends it
		}
	}
	for p.ill.InFlight() == 0 {
		time.Sleep(time.Millisecond)
	}
	if n := p.ill.ProfileCount(token); n != 0 {
		t.Errorf("the silent destination has taken %d", n)
	}
	if err := p.ill.Close(); err != nil { // or the end would wait for its answers
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
