package mixpanel_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"muster/engine"
	"muster/event"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
)

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// play starts a fake Mixpanel and a destination for it. The test fails if the destination
// breaks one of Mixpanel's rules.
func play(t *testing.T, settings mixpanel.Settings, options mixpaneltest.Options) (*mixpanel.Destination, *mixpaneltest.Server) {
	t.Helper()
	if options.Now == nil {
		options.Now = func() time.Time { return noon }
	}
	fake := mixpaneltest.Start(t, options)
	settings.Token, settings.BaseURL = mixpanel.Secret(fake.Tokens()[0]), fake.URL()
	if settings.AliasSettle == nil {
		settings.AliasSettle = new(mixpanel.Duration(0))
	}
	d, err := mixpanel.NewDestination(settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, fake
}

// call makes a call of that type; id is a user's.
func call(kind event.Type, messageID, id string, edit func(*event.Call)) *event.Call {
	c := &event.Call{Type: kind, MessageID: messageID, UserID: id, Timestamp: noon, ReceivedAt: noon}
	if edit != nil {
		edit(c)
	}
	return c
}

func deliver(t *testing.T, d *mixpanel.Destination, calls ...*event.Call) {
	t.Helper()
	for i, o := range d.Send(t.Context(), calls, noon) {
		if o.Verdict != engine.Delivered {
			t.Fatalf("call %d: %+v", i, o)
		}
	}
}

func TestEveryKindOfCallArrives(t *testing.T) {
	d, fake := play(t, mixpanel.Settings{
		EventIncrements: []string{"Bought"}, PropIncrements: []string{"points"}, GroupIdentifierTraits: []string{"company"},
		GroupTraitsToSetOnce: []string{"founded"}, SourceName: "Shop",
	}, mixpaneltest.Options{AliasSettle: -1, Projects: []mixpaneltest.Project{{Token: "tok", GroupKeys: []string{"company"}}}})
	personas := jsontext.Value(`{"active":false,"ip":0,"personas":{"computation_class":"trait"}}`)
	deliver(t, d,
		call(event.Identify, "1", "u", func(c *event.Call) {
			c.Traits = jsontext.Value(`{"email":"a@x.example","firstName":"Ada","lastName":"L","tags":["a","b","a"],"pets":[{"n":"Rex"}],"created":"2020-01-02"}`)
			c.Context = jsontext.Value(`{"device":{"type":"ios","token":"push","model":"iPhone"},"os":{"name":"iOS","version":"18"},"ip":"203.0.113.9"}`)
		}),
		call(event.Track, "2", "u", func(c *event.Call) {
			c.Event, c.Properties = "Bought", jsontext.Value(`{"revenue":39.95,"points":-2.5,"deep":{"a":{"b":{"c":{"d":1}}}},"gone":null}`)
			c.Context = jsontext.Value(`{"traits":{"plan":"pro"},"userAgent":"Chrome/1.2","campaign":{"name":"spring"}}`)
		}),
		call(event.Page, "3", "u", func(c *event.Call) { c.Name = "Index" }),
		call(event.Group, "4", "u", func(c *event.Call) { c.Traits = jsontext.Value(`{"company":["c1","c2"],"name":"Acme","founded":1999}`) }),
		call(event.Alias, "5", "w", func(c *event.Call) { c.PreviousID = "cart-7" }),
		call(event.Identify, "6", "u", func(c *event.Call) { c.Traits, c.Context = jsontext.Value(`{"skus":["x","y"],"old":1}`), personas }),
		call(event.Identify, "7", "u", func(c *event.Call) { c.Traits, c.Context = jsontext.Value(`{"skus":["y"],"old":null}`), personas }),
		call(mixpanel.UnsetProperty, "", "u", func(c *event.Call) { c.Properties = jsontext.Value(`["$ios_device_model"]`) }),
	)
	profile, _ := fake.Profile("", "u")
	want := map[string]any{
		"$email": "a@x.example", "$first_name": "Ada", "$last_name": "L", "$name": "Ada L", "$created": "2020-01-02T00:00:00",
		"tags": []any{"a", "b"}, "pets": []any{map[string]any{"n": "Rex"}}, "$os": "iOS", "$ios_version": "18", "$model": "iPhone",
		"$ios_devices": []any{"push"}, "Bought": 1.0, "points": -2.5, "Last Bought": "2026-03-10T12:00:00",
		"$transactions": []any{map[string]any{"$time": "2026-03-10T12:00:00", "$amount": 39.95}},
		"skus":          []any{"y"},
	}
	if diff := cmp.Diff(want, profile.Properties); diff != "" {
		t.Errorf("profile: -want +got\n%s", diff)
	}
	for _, id := range []string{"c1", "c2"} {
		if g, ok := fake.Group("", "company", id); !ok || g.Properties["$name"] != "Acme" || g.Properties["founded"] != 1999.0 {
			t.Errorf("group %s: %+v", id, g)
		}
	}
	events := fake.Activity("", "u")
	if len(events) != 2 || len(fake.Orphans())+len(fake.DroppedEvents()) != 0 {
		t.Errorf("%d events, orphans %v, dropped %v", len(events), fake.Orphans(), fake.DroppedEvents())
	}
}

func TestRegionsAndCredentials(t *testing.T) {
	project := mixpaneltest.Project{Token: "tok", Secret: "sec", ServiceAccounts: map[string]string{"svc": "pw"}, ProjectID: "42"}
	for name, s := range map[string]mixpanel.Settings{
		"token":           {},
		"secret":          {APISecret: "sec"},
		"service account": {APISecret: "ignored", ServiceAccountUsername: "svc", ServiceAccountSecret: "pw", MixpanelProjectID: 42},
	} {
		t.Run(name, func(t *testing.T) {
			d, fake := play(t, s, mixpaneltest.Options{Projects: []mixpaneltest.Project{project}})
			deliver(t, d, call(event.Track, "1", "u", func(c *event.Call) { c.Event = "E" }))
			if fake.EventCount("", mixpaneltest.Deduped) != 1 {
				t.Error("no event")
			}
			if findings := d.Check(t.Context()); !mixpanel.Passed(findings) || findings[0].Standing != mixpanel.Proven {
				t.Errorf("%+v", findings)
			}
		})
	}
	d, _ := play(t, mixpanel.Settings{APISecret: "wrong"}, mixpaneltest.Options{Projects: []mixpaneltest.Project{project}})
	o := d.Send(t.Context(), []*event.Call{call(event.Track, "1", "u", func(c *event.Call) { c.Event = "E" })}, noon)[0]
	if o.Verdict != engine.Halt {
		t.Errorf("wrong credentials: %+v", o)
	}
	if mixpanel.Passed(d.Check(t.Context())) {
		t.Error("wrong credentials pass the check")
	}
}

func TestIDMergeModes(t *testing.T) {
	const device = "3f0c2c8e-54b7-4a4e-9d55-0b8f0f6a1c11"
	for _, mode := range []mixpaneltest.IDMerge{mixpaneltest.Legacy, mixpaneltest.Original, mixpaneltest.Simplified} {
		t.Run(string(mode), func(t *testing.T) {
			d, fake := play(t, mixpanel.Settings{IDMerge: string(mode)},
				mixpaneltest.Options{AliasSettle: -1, Projects: []mixpaneltest.Project{{Token: "tok", IDMerge: mode}}})
			view := func(c *event.Call) { c.Event, c.UserID, c.AnonymousID = "Seen", "", device }
			deliver(t, d,
				call(event.Track, "1", "", view),
				call(event.Alias, "2", "u", func(c *event.Call) { c.PreviousID = device }),
				call(event.Identify, "3", "u", func(c *event.Call) { c.AnonymousID, c.Traits = device, jsontext.Value(`{"plan":"pro"}`) }),
				call(event.Track, "4", "u", func(c *event.Call) { c.Event, c.AnonymousID = "Bought", device }),
			)
			seen := 0
			for _, e := range fake.Activity("", "u") {
				if e.Name == "Seen" || e.Name == "Bought" {
					seen++
				}
			}
			profile, ok := fake.Profile("", "u")
			if !ok || profile.Properties["plan"] != "pro" {
				t.Errorf("profile: %+v", profile)
			}
			// A legacy alias points the new id at the old one, so only later events meet there.
			if want := map[mixpaneltest.IDMerge]int{mixpaneltest.Legacy: seen, mixpaneltest.Original: 2, mixpaneltest.Simplified: 2}[mode]; seen != want || seen == 0 {
				t.Errorf("%d events of one person, want %d", seen, want)
			}
		})
	}
}

func TestWrongIDMergeNamesTheSetting(t *testing.T) {
	d, fake := play(t, mixpanel.Settings{IDMerge: mixpanel.MergeOriginal},
		mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: "tok", IDMerge: mixpaneltest.Simplified}}})
	fake.Expect(mixpaneltest.RuleInvalid)
	o := d.Send(t.Context(), []*event.Call{call(event.Identify, "1", "u", func(c *event.Call) { c.AnonymousID = "cart-9" })}, noon)[0]
	if o.Verdict != engine.Rejected || o.Code != "identity_events_refused" {
		t.Errorf("%+v", o)
	}
}

// loop delivers calls in order as a delivery loop does: what is to be retried stays at the
// front, and what must travel apart does. It returns the calls that nobody knows of.
func loop(t *testing.T, d *mixpanel.Destination, calls []*event.Call, batch int) (uncertain []*event.Call) {
	for attempts := 0; len(calls) > 0; attempts++ {
		if attempts > 5000 {
			t.Error("no progress")
			return
		}
		n := min(batch, len(calls))
		for i := range n {
			if d.Joins(calls[i]) {
				n = max(i, 1)
				break
			}
		}
		var again []*event.Call
		for i, o := range d.Send(context.Background(), calls[:n], noon) {
			switch o.Verdict {
			case engine.Delivered:
			case engine.Retry:
				again = append(again, calls[i])
			case engine.Uncertain:
				uncertain = append(uncertain, calls[i])
			default:
				t.Errorf("%s %s: %+v", calls[i].Type, calls[i].MessageID, o)
			}
		}
		calls = append(again, calls[n:]...)
	}
	return uncertain
}

// TestFaultsLoseNothingAndRepeatNothing sends random calls through random faults, also
// through those that strike after Mixpanel has applied a request. At rest every profile holds the last values,
// every event is there once, and counters are off by the uncertain calls at most.
func TestFaultsLoseNothingAndRepeatNothing(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			d, fake := play(t, mixpanel.Settings{
				EventIncrements: []string{"Counted"}, MaxEventsPerRequest: 20, MaxProfilesPerRequest: 7,
			}, mixpaneltest.Options{AliasSettle: -1})
			var faults []mixpaneltest.Fault
			for i, f := range []mixpaneltest.Fault{
				{Kind: mixpaneltest.FaultStatus, Status: 503},
				{Kind: mixpaneltest.FaultStatus, Status: 429},
				{Kind: mixpaneltest.FaultStatus, Status: 502, Applied: true},
				{Kind: mixpaneltest.FaultCloseBefore},
				{Kind: mixpaneltest.FaultCloseAfter},
				{Kind: mixpaneltest.FaultWrongJSON, Applied: true},
			} {
				f.Probability, f.Seed = 0.06, seed*100+uint64(i)
				faults = append(faults, f)
			}
			fake.SetFaults(faults...)

			const lanes, perLane = 4, 150
			var wait sync.WaitGroup
			for lane := range lanes {
				random := rand.New(rand.NewPCG(seed, uint64(lane)))
				wait.Go(func() { runLane(t, d, fake, lane, perLane, random) })
			}
			wait.Wait()
		})
	}
}

// runLane sends the calls of a few users and holds the fake against what it sent.
func runLane(t *testing.T, d *mixpanel.Destination, fake *mixpaneltest.Server, lane, count int, random *rand.Rand) {
	last := map[string]map[string]any{} // user -> property -> value
	events := map[string]int{}
	counted := map[string]int{}
	var calls []*event.Call
	for i := range count {
		user := fmt.Sprintf("lane%d-%d", lane, random.IntN(3))
		id := fmt.Sprintf("%d-%d", lane, i)
		if last[user] == nil {
			last[user] = map[string]any{}
		}
		switch kind := random.IntN(8); {
		case kind < 4:
			key := fmt.Sprint("k", random.IntN(3))
			last[user][key] = float64(i)
			calls = append(calls, call(event.Identify, id, user, func(c *event.Call) { c.Traits = jsontext.Value(fmt.Sprintf(`{%q:%d}`, key, i)) }))
		case kind < 5:
			delete(last[user], "k0")
			calls = append(calls, call(mixpanel.UnsetProperty, id, user, func(c *event.Call) { c.Properties = jsontext.Value(`["k0"]`) }))
		case kind < 7:
			events[user]++
			calls = append(calls, call(event.Track, id, user, func(c *event.Call) { c.Event = "Plain" }))
		default:
			events[user]++
			counted[user]++
			calls = append(calls, call(event.Track, id, user, func(c *event.Call) { c.Event = "Counted" }))
		}
	}
	unsure := map[string]int{}
	for _, c := range loop(t, d, calls, 1+random.IntN(60)) {
		if c.Event != "Counted" {
			t.Errorf("%s is uncertain, but repeating it is harmless", c.Type)
		}
		unsure[c.UserID]++
	}
	for _, user := range slices.Sorted(maps.Keys(last)) {
		profile, _ := fake.Profile("", user)
		got := map[string]any{}
		for name, value := range profile.Properties {
			if name[0] == 'k' {
				got[name] = value
			}
		}
		if diff := cmp.Diff(last[user], got); diff != "" {
			t.Errorf("%s: -want +got\n%s", user, diff)
		}
		n, _ := profile.Properties["Counted"].(float64)
		if int(n) > counted[user] || int(n) < counted[user]-unsure[user] {
			t.Errorf("%s was counted %v times, want %d, of which %d are uncertain", user, n, counted[user], unsure[user])
		}
		if got := len(fake.Activity("", user)); got != events[user] {
			t.Errorf("%s has %d events, want %d", user, got, events[user])
		}
	}
}

// BenchmarkSend delivers batches to the fake on loopback.
func BenchmarkSend(b *testing.B) {
	for name, edit := range map[string]func(*event.Call){
		"track": func(c *event.Call) { c.Event, c.Properties = "E", jsontext.Value(`{"audience_key":"vip","vip":true}`) },
		"identify": func(c *event.Call) {
			c.Type, c.Traits = event.Identify, jsontext.Value(`{"vip":true}`)
			c.Context = jsontext.Value(`{"active":false,"ip":0,"personas":{}}`)
		},
	} {
		b.Run(name, func(b *testing.B) {
			fake := mixpaneltest.Start(b, mixpaneltest.Options{Now: func() time.Time { return noon }, KeepEvents: 1000, KeepRequests: 10})
			d, err := mixpanel.NewDestination(mixpanel.Settings{
				Token: mixpaneltest.DefaultToken, BaseURL: fake.URL(), EventsPerSecond: 1_000_000, MaxProfilesPerRequest: 1000,
			}, nil)
			if err != nil {
				b.Fatal(err)
			}
			const batch = 2000
			calls := make([]*event.Call, batch)
			for i := range calls {
				calls[i] = call(event.Track, fmt.Sprint("m", i), fmt.Sprint("u", i), edit)
			}
			for b.Loop() {
				for _, o := range d.Send(context.Background(), calls, noon) {
					if o.Verdict != engine.Delivered {
						b.Fatal(o)
					}
				}
			}
			b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// regions leads requests for Mixpanel's hosts to the fake of their region.
type regions map[string]*mixpaneltest.Server

// RoundTrip implements http.RoundTripper.
func (rs regions) RoundTrip(r *http.Request) (*http.Response, error) {
	fake, ok := rs[r.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(fake.URL(), "http://")
	return http.DefaultTransport.RoundTrip(r)
}

// A project of another region is not only missed: the check names the region.
func TestCheckFindsTheRegion(t *testing.T) {
	const token = "tok_demo"
	world := regions{}
	for host, region := range map[string]string{"api.mixpanel.com": "us", "api-eu.mixpanel.com": "eu", "api-in.mixpanel.com": "in"} {
		o := mixpaneltest.Options{Region: region, Projects: []mixpaneltest.Project{{Token: "of somebody else"}}}
		if region == "in" {
			o.Projects = append(o.Projects, mixpaneltest.Project{Token: token})
		}
		world[host] = mixpaneltest.Start(t, o)
	}
	check := func(s mixpanel.Settings) mixpanel.Finding {
		d, err := mixpanel.NewDestination(s, &http.Client{Transport: world})
		if err != nil {
			t.Fatal(err)
		}
		return d.Check(t.Context())[0]
	}
	for _, s := range []mixpanel.Settings{{Token: token}, {Token: token, EnableEuropeanUnionEndpoint: true}} {
		if f := check(s); f.Standing != mixpanel.Failed || !strings.Contains(f.Text, "set region to in.") {
			t.Errorf("in a wrong region: %+v", f)
		}
	}
	if f := check(mixpanel.Settings{Token: token, Region: mixpanel.RegionIndia}); f.Standing != mixpanel.Proven {
		t.Errorf("in its region: %+v", f)
	}
	if f := check(mixpanel.Settings{Token: "unknown"}); f.Standing != mixpanel.Failed || strings.Contains(f.Text, "set region") {
		t.Errorf("nowhere: %+v", f)
	}
}
