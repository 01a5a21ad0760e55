package app_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/app"
	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/ingest"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/store"
)

// What is newer of either id waits in its lane for the alias, and for Mixpanel to take it in.
func TestAliasIsABarrier(t *testing.T) {
	for _, mode := range []string{mixpanel.MergeLegacy, mixpanel.MergeOriginal, mixpanel.MergeSimplified} {
		t.Run(mode, func(t *testing.T) {
			r := newRelay(t, mixpaneltest.Project{IDMerge: mixpaneltest.IDMerge(mode)}, mixpanel.Settings{IDMerge: mode, AliasSettle: new(mixpanel.Duration(3 * time.Second))}, pros)
			const pairs = 24 // of ids in the same lane and in others
			var before, after []string
			for i := range pairs {
				anonymous := fmt.Sprintf("3f2504e0-4f89-41d3-9a0c-0305e82c33%02d", i)
				before = append(before,
					fmt.Sprintf(`{"type":"track","anonymousId":%q,"event":"Before"}`, anonymous),
					fmt.Sprintf(`{"type":"identify","anonymousId":%q,"traits":{"plan":"pro"}}`, anonymous))
				after = append(after,
					fmt.Sprintf(`{"type":"alias","previousId":%q,"userId":"u%d"}`, anonymous, i),
					fmt.Sprintf(`{"type":"identify","anonymousId":%q,"userId":"u%d","traits":{"plan":"free"}}`, anonymous, i),
					fmt.Sprintf(`{"type":"track","anonymousId":%q,"event":"Late"}`, anonymous),
					fmt.Sprintf(`{"type":"track","userId":"u%d","event":"After"}`, i))
			}
			r.take(t, "web", before...)
			r.take(t, "web", after...)
			if err := r.app.Deliver(t.Context()); err != nil {
				t.Fatal(err)
			}
			counted := func(name string) (n int) {
				for _, e := range r.fake.Events(token, mixpaneltest.Deduped) {
					if e.Name == name {
						n++
					}
				}
				return n
			}
			identity := mode != mixpanel.MergeSimplified
			if early := counted("After") + counted("Late"); counted("Before") != pairs || identity && early != 0 || !identity && early != 2*pairs {
				t.Errorf("%d events before and %d after the alias have arrived with it", counted("Before"), early)
			}
			r.settle(t)
			if n := counted("After") + counted("Late"); n != 2*pairs {
				t.Errorf("%d events after the alias have arrived, want %d", n, 2*pairs)
			}
			for i := range pairs {
				u, _ := r.fake.Profile(token, fmt.Sprint("u", i))
				told := u.Properties["pros"] // by the anonymous id; whether that is this profile is Mixpanel's to say
				if u.Properties["plan"] != "free" || identity && told != false || !identity && told != nil {
					t.Errorf("u%d is %v", i, u.Properties)
				}
			}
			if identity && counted("$create_alias") != pairs {
				t.Errorf("%d aliases were sent", counted("$create_alias"))
			}
			if lag := r.lag(t); lag.DeadLetters != 0 {
				t.Errorf("%+v", lag)
			}
			if _, err := r.store.Sweep(t.Context(), store.Keep{DedupWindow: app.DefaultDedupWindow}, r.now().Add(48*time.Hour)); err != nil {
				t.Fatal(err)
			}
			var left int
			if err := r.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM queue_barriers`).Scan(&left); err != nil || left != 0 {
				t.Errorf("%d barriers are remembered, %v", left, err)
			}
		})
	}
}

// Under original id merge every identify of a browser has both ids. Only the first with a pair
// holds the others up, and none needs time to settle.
func TestIdentifiesDoNotPileUp(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{IDMerge: mixpaneltest.Original}, mixpanel.Settings{IDMerge: mixpanel.MergeOriginal, AliasSettle: new(mixpanel.Duration(time.Minute))})
	const times = 30
	for i := range times {
		r.take(t, "web", fmt.Sprintf(`{"type":"identify","userId":"u","anonymousId":"3f2504e0-4f89-41d3-9a0c-0305e82c3301","traits":{"step":%d}}`, i))
	}
	if n := r.queued(t); n != times+1 {
		t.Errorf("%d rows are queued, want one for each call and one for the first one's other id", n)
	}
	if err := r.app.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	u, _ := r.fake.Profile(token, "u")
	if lag := r.lag(t); lag.Waiting != 0 || u.Properties["step"] != float64(times-1) {
		t.Errorf("%+v, %v", lag, u.Properties)
	}
	joined := 0
	for _, e := range r.fake.Events(token, mixpaneltest.Raw) {
		if e.Name == "$identify" && e.Effect == mixpaneltest.EffectMerged {
			joined++
		}
	}
	if joined != 1 {
		t.Errorf("%d identity events joined", joined)
	}
}

// Many visitors become known at once while the program delivers by the real clock: lanes wake each
// other, nothing overtakes an alias, and no two requests are about one id at a time.
func TestAliasesWhileTheProgramRuns(t *testing.T) {
	settle := 300 * time.Millisecond
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}, AliasSettle: settle})
	s := store.New(pgtest.New(t))
	src, err := s.EnsureSource(t.Context(), "web", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), app.Options{
		Store: s, Identity: identity.DefaultSettings(), Now: time.Now,
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: fake.URL(), AliasSettle: new(mixpanel.Duration(settle)), MaxProfilesPerRequest: 5}},
		Forward:      map[string][]string{"mixpanel": {"web"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if refused, err := a.Define(t.Context(), []engine.Definition{pros}); err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	const visitors = 60
	var g errgroup.Group
	g.SetLimit(8)
	for i := range visitors {
		g.Go(func() error {
			for _, text := range []string{
				`{"type":"track","anonymousId":"v%d","event":"Look"}`,
				`{"type":"identify","anonymousId":"v%d","traits":{"plan":"pro"}}`,
				`{"type":"alias","previousId":"v%d","userId":"m%[1]d"}`,
				`{"type":"track","userId":"m%d","event":"Buy"}`,
				`{"type":"track","anonymousId":"v%d","event":"Late"}`,
				`{"type":"identify","userId":"m%d","traits":{"plan":"free"}}`,
			} {
				call, err := event.Decode(fmt.Appendf(nil, text, i), event.Envelope{ReceivedAt: time.Now()})
				if err != nil {
					return err
				}
				if _, err := a.Sink().Ingest(ctx, []ingest.Item{{SourceID: src.ID, Call: call}}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for waiting := int64(1); waiting > 0; time.Sleep(20 * time.Millisecond) { // the test's own time limit ends it
		lags, err := s.Lags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting = lags[0].Waiting
		if lags[0].DeadLetters > 0 {
			t.Fatalf("%+v", lags[0])
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for i := range visitors {
		v, _ := fake.Profile(token, fmt.Sprint("v", i))
		if v.Properties["plan"] != "free" || v.Properties["pros"] != false {
			t.Errorf("v%d is %v", i, v.Properties)
		}
		if n := len(fake.Activity(token, fmt.Sprint("m", i))); n < 3 {
			t.Errorf("m%d has %d events of 3", i, n)
		}
	}
	if n := fake.ProfileCount(token); n != visitors {
		t.Errorf("%d profiles, want %d", n, visitors)
	}
}

// refusing lets calls of one event wait for an outage, and passes all others on.
type refusing struct {
	deliver.Destination
	event string
}

// Send implements deliver.Destination.
func (d refusing) Send(ctx context.Context, calls []*event.Call, now time.Time) []engine.Outcome {
	for _, c := range calls {
		if c.Event == d.event {
			outcomes := make([]engine.Outcome, len(calls))
			for i := range outcomes {
				outcomes[i] = engine.Outcome{Verdict: engine.Retry, Code: "out", Reason: "it is out"}
			}
			return outcomes
		}
	}
	return d.Destination.Send(ctx, calls, now)
}

// Whoever is forgotten while one lane waits at his alias for the other keeps nobody waiting who
// has one of the ids after him: whichever of the two lanes it is.
func TestForgottenAliasesHoldNobodyUp(t *testing.T) {
	const visitor, user = "v1", "kim"
	if engine.CarrierLane(visitor) == engine.CarrierLane(user) {
		t.Fatal("the ids must be of two lanes")
	}
	for _, x := range []struct{ what, stuck, later string }{
		{"the lane of the visitor waits", `"userId":"` + user + `"`, `"anonymousId":"` + visitor + `"`},
		{"the lane of the user waits", `"anonymousId":"` + visitor + `"`, `"userId":"` + user + `"`},
	} {
		t.Run(x.what, func(t *testing.T) {
			ctx := t.Context()
			fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}})
			s := store.New(pgtest.New(t))
			src, err := s.EnsureSource(ctx, "web", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			a, err := app.New(ctx, app.Options{
				Store: s, Identity: identity.DefaultSettings(), Now: time.Now, Pace: deliver.Pace{FirstDelay: 100 * time.Millisecond, LongestDelay: 100 * time.Millisecond},
				Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: fake.URL()}}, Forward: map[string][]string{"mixpanel": {"web"}},
				Watch: func(_ string, d deliver.Destination) deliver.Destination { return refusing{d, "Stuck"} },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			take := func(text string) {
				t.Helper()
				call, err := event.Decode([]byte(text), event.Envelope{ReceivedAt: time.Now()})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := a.Sink().Ingest(ctx, []ingest.Item{{SourceID: src.ID, Call: call}}); err != nil {
					t.Fatal(err)
				}
			}
			await := func(what string, holds func() bool) {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("waited in vain: ", what)
					}
				}
			}
			arrived := func(name string) bool {
				for _, e := range fake.Events(token, mixpaneltest.Deduped) {
					if e.Name == name {
						return true
					}
				}
				return false
			}
			running, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- a.Run(running) }()
			take(`{"type":"track",` + x.stuck + `,"event":"Stuck"}`)
			take(`{"type":"alias","previousId":"` + visitor + `","userId":"` + user + `"}`)
			take(`{"type":"track",` + x.later + `,"event":"Before"}`) // held, with the row of the alias
			await("both lanes read", func() bool {
				var n int
				if err := s.Pool().QueryRow(ctx, `SELECT count(*) FROM queue_positions WHERE attempt > 0`).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n == 1
			})
			time.Sleep(300 * time.Millisecond) // the other lane has read its row of the alias
			if _, err := a.Engine.DeleteProfile(ctx, []identity.ID{{Type: identity.UserID, Value: user}, {Type: identity.AnonymousID, Value: visitor}}, time.Now()); err != nil {
				t.Fatal(err)
			}
			take(`{"type":"track",` + x.later + `,"event":"After"}`)
			await("what comes after the forgotten alias", func() bool { return arrived("After") })
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
