package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"muster/app"
	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/ingest"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// relay is a system whose source web is connected to Mixpanel, and whose source ios is not.
// The clock stands unless it is moved.
type relay struct {
	app     *app.App
	store   *store.Store
	fake    *mixpaneltest.Server
	clock   atomic.Int64
	sources map[string]int64
}

func newRelay(t *testing.T, project mixpaneltest.Project, settings mixpanel.Settings, definitions ...engine.Definition) *relay {
	t.Helper()
	r := &relay{store: store.New(pgtest.New(t)), sources: make(map[string]int64)}
	r.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	project.Token = token
	r.fake = mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{project}, Now: r.now})
	settings.Token, settings.BaseURL = token, r.fake.URL()
	for _, name := range []string{"web", "ios"} {
		src, err := r.store.EnsureSource(t.Context(), name, r.now())
		if err != nil {
			t.Fatal(err)
		}
		r.sources[name] = src.ID
	}
	r.start(t, settings, "web")
	refused, err := r.app.Define(t.Context(), definitions)
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	if err := r.app.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// start begins anew, with the sources given connected.
func (r *relay) start(t *testing.T, settings mixpanel.Settings, sources ...string) {
	t.Helper()
	if r.app != nil {
		r.app.Close()
	}
	var err error
	r.app, err = app.New(t.Context(), app.Options{
		Store: r.store, Identity: identity.DefaultSettings(), Now: r.now, Pace: deliver.Pace{FirstDelay: time.Second},
		Destinations: map[string]mixpanel.Settings{"mixpanel": settings}, Forward: map[string][]string{"mixpanel": sources},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.app.Close)
}

func (r *relay) now() time.Time { return time.UnixMilli(r.clock.Load()).UTC() }

func (r *relay) pass(d time.Duration) { r.clock.Add(d.Milliseconds()) }

// take takes calls of a source in, in one request, and returns what became of them.
func (r *relay) take(t *testing.T, source string, calls ...string) []ingest.Outcome {
	t.Helper()
	batch, err := event.DecodeBatch([]byte(`{"batch":[`+strings.Join(calls, ",")+`]}`), event.Envelope{ReceivedAt: r.now()})
	if err != nil || len(batch.Refused) > 0 {
		t.Fatal(err, batch.Refused)
	}
	items := make([]ingest.Item, len(batch.Calls))
	for i, c := range batch.Calls {
		items[i] = ingest.Item{SourceID: r.sources[source], Call: c}
	}
	results, err := r.app.Sink().Ingest(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []ingest.Outcome
	for _, result := range results {
		outcomes = append(outcomes, result.Outcome)
	}
	return outcomes
}

// settle delivers until nothing waits but for an operator.
func (r *relay) settle(t *testing.T) {
	t.Helper()
	for range 200 {
		if err := r.app.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.lag(t).Waiting == 0 {
			return
		}
		r.pass(time.Second)
	}
	t.Fatalf("something waits for ever: %+v", r.lag(t))
}

func (r *relay) lag(t *testing.T) store.Lag {
	t.Helper()
	lags, err := r.store.Lags(t.Context())
	if err != nil || len(lags) != 1 {
		t.Fatal(lags, err)
	}
	return lags[0]
}

// events are the names of the events that Mixpanel shows, with whose they are, sorted.
func (r *relay) events() []string {
	var list []string
	for _, e := range r.fake.Events(token, mixpaneltest.Deduped) {
		if e.Effect == "" {
			list = append(list, e.DistinctID+": "+e.Name)
		}
	}
	slices.Sort(list)
	return list
}

func (r *relay) queued(t *testing.T) (n int) {
	t.Helper()
	if err := r.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM queue`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// All six calls arrive as the mapper says, with what they bear: times, context, numbers as
// they were written.
func TestForwardedCallsArrive(t *testing.T) {
	settings := mixpanel.Settings{GroupIdentifierTraits: []string{"company"}, EventIncrements: []string{"Signed Up"}, TrackNamedPages: true}
	r := newRelay(t, mixpaneltest.Project{GroupKeys: []string{"company"}}, settings)
	calls := []string{
		`{"type":"alias","messageId":"m0","previousId":"anon-1","userId":"kim"}`,
		`{"type":"track","messageId":"m1","userId":"kim","anonymousId":"anon-1","event":"Signed Up","timestamp":"2026-02-27T08:00:00.123Z","properties":{"plan":"pro","price":19.90,"list":[1,{"a":null}],"text":"a\"b\\ \u00e9"},
			"context":{"ip":"203.0.113.7","campaign":{"name":"spring"},"page":{"url":"https://example.com/"}}}`,
		`{"type":"page","messageId":"m2","anonymousId":"anon-2","name":"Index","category":"Docs","properties":{"path":"/"}}`,
		`{"type":"screen","messageId":"m3","anonymousId":"anon-2","properties":{"name":"Home"}}`,
		`{"type":"identify","messageId":"m4","userId":"kim","traits":{"email":"kim@example.com","tags":["a","b"],"age":41}}`,
		`{"type":"group","messageId":"m5","userId":"kim","groupId":"acme","traits":{"company":"acme","seats":7}}`,
	}
	r.take(t, "web", calls...)
	r.settle(t)

	// What the mapper makes of the calls has arrived, byte for byte.
	mapper, err := mixpanel.NewMapper(mixpanel.Settings{Token: token, GroupIdentifierTraits: settings.GroupIdentifierTraits, EventIncrements: settings.EventIncrements, TrackNamedPages: true})
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]bool)
	for _, text := range calls {
		call, err := event.Decode([]byte(text), event.Envelope{ReceivedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		messages, err := mapper.Map(call, r.now())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if m.Class == mixpanel.ClassEvent {
				want[string(m.Body)] = true
			}
		}
	}
	got := make(map[string]bool)
	for _, e := range r.fake.Events(token, mixpaneltest.Raw) {
		if e.Effect == "" {
			got[string(e.Sent)] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-mapper +arrived):\n%s", diff)
	}
	if want, got := []string{"anon-1: Signed Up", "anon-2: Viewed Home Screen", "anon-2: Viewed Index Page"}, r.events(); !slices.Equal(want, got) {
		t.Errorf("events %q, want %q (kim is an alias of anon-1)", got, want)
	}
	kim, _ := r.fake.Profile(token, "kim")
	for key, value := range map[string]any{"$email": "kim@example.com", "tags": []any{"a", "b"}, "age": 41.0, "Signed Up": 1.0, "Last Signed Up": "2026-02-27T08:00:00"} {
		if diff := cmp.Diff(value, kim.Properties[key]); diff != "" {
			t.Errorf("kim's %s:\n%s", key, diff)
		}
	}
	if anon, _ := r.fake.Profile(token, "anon-1"); anon.Properties["age"] != 41.0 {
		t.Errorf("the alias does not join: %+v", anon)
	}
	if acme, ok := r.fake.Group(token, "company", "acme"); !ok || acme.Properties["seats"] != 7.0 {
		t.Errorf("the group is %+v", acme)
	}
	if lag := r.lag(t); lag.DeadLetters != 0 {
		t.Errorf("%+v", lag)
	}
}

// What is excluded does not go on, and what nobody but profiles is kept from does.
func TestOnlyMeantCallsAreForwarded(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	if _, err := r.store.Suppress(t.Context(), []identity.ID{{Type: identity.UserID, Value: "hidden"}}, r.now()); err != nil {
		t.Fatal(err)
	}
	r.pass(2 * store.SuppressionSeen)
	want := []string{"u: All by name", "u: All by object", "u: Other case", "u: Personas", "u: Plain", "u: Unbundled", "u: personas"}
	track := func(name, more string) string {
		return fmt.Sprintf(`{"type":"track","messageId":%q,"userId":"u","event":%[1]q%s}`, name, more)
	}
	outcomes := r.take(t, "web",
		track("Plain", ""),
		track("Not Mixpanel", `,"integrations":{"Mixpanel":false}`),
		track("Nobody", `,"integrations":{"All":false}`),
		track("All by name", `,"integrations":{"All":false,"Mixpanel":true}`),
		track("All by object", `,"integrations":{"All":false,"Mixpanel":{"x":1}}`),
		track("Other case", `,"integrations":{"mixpanel":false}`),
		track("Personas", `,"integrations":{"Personas":false}`),
		track("personas", `,"integrations":{"personas":false}`),
		track("Personas only", `,"integrations":{"All":false,"Personas":true}`),
		track("Bundled", `,"_metadata":{"bundled":["Segment.io","Mixpanel"],"unbundled":[]}`),
		track("Unbundled", `,"_metadata":{"bundled":["Segment.io"],"unbundled":["Mixpanel"]}`),
		`{"type":"track","messageId":"s1","userId":"hidden","event":"Suppressed"}`,
		`{"type":"alias","messageId":"s2","userId":"u","previousId":"hidden"}`,
		track("Plain", ""),
	)
	if got := fmt.Sprint(outcomes); !strings.HasSuffix(got, "suppressed suppressed duplicate]") || strings.Count(got, "skipped") != 2 {
		t.Errorf("outcomes %s", got)
	}
	r.take(t, "ios", `{"type":"track","messageId":"i1","userId":"u","event":"Not connected"}`)
	if got := r.take(t, "web", track("Plain", ""), track("Personas", `,"integrations":{"Personas":false}`)); got[0] != ingest.Duplicate || got[1] != ingest.Duplicate {
		t.Errorf("again: %v", got)
	}
	r.settle(t)
	if got := r.events(); !slices.Equal(got, want) {
		t.Errorf("events\n%q, want\n%q", got, want)
	}
	if n := r.fake.EventsReceived(token); n != len(want) {
		t.Errorf("%d events came, want %d", n, len(want))
	}
	// Nobody's profile has seen those that keep profiles out.
	var events int
	if err := r.store.Pool().QueryRow(t.Context(), `SELECT count(*) FROM events WHERE event_name_id IN (SELECT event_name_id FROM event_names WHERE lower(name) = 'personas')`).Scan(&events); err != nil || events != 0 {
		t.Errorf("%d are stored, %v", events, err)
	}
}

// A call of a profile that is suppressed, but by an id of which this process does not know
// yet, is taken, as always, and not forwarded.
func TestCallsOfSuppressedProfilesStay(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	r.take(t, "ios", `{"type":"identify","userId":"kim","anonymousId":"a"}`)
	if _, err := r.store.Suppress(t.Context(), []identity.ID{{Type: identity.UserID, Value: "kim"}}, r.now()); err != nil {
		t.Fatal(err)
	}
	call, err := event.Decode([]byte(`{"type":"track","event":"E","anonymousId":"a"}`), event.Envelope{ReceivedAt: r.now()})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := r.store.DestinationIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	received := engine.Received{Call: call, SourceID: r.sources["web"], Source: "web", Routes: []engine.Route{{DestinationID: ids["mixpanel"]}}}
	if _, err := r.app.Engine.Ingest(t.Context(), []engine.Received{received}, r.now()); err != nil {
		t.Fatal(err)
	}
	if n := r.queued(t); n != 0 {
		t.Errorf("%d are queued", n)
	}
}

// A destination that is connected late is told what comes from then on.
func TestForwardingBeginsWhenItIsConnected(t *testing.T) {
	settings := mixpanel.Settings{}
	r := newRelay(t, mixpaneltest.Project{}, settings)
	settings.Token, settings.BaseURL = token, r.fake.URL()
	r.start(t, settings)
	r.take(t, "web", `{"type":"track","messageId":"m1","userId":"u","event":"Before"}`)
	if n := r.queued(t); n != 0 {
		t.Fatalf("%d are queued for a destination that is not connected", n)
	}
	r.start(t, settings, "web", "ios")
	r.take(t, "web", `{"type":"track","messageId":"m1","userId":"u","event":"Before"}`, `{"type":"track","messageId":"m2","userId":"u","event":"After"}`)
	r.take(t, "ios", `{"type":"track","messageId":"m3","userId":"u","event":"After too"}`)
	r.settle(t)
	if got, want := r.events(), []string{"u: After", "u: After too"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	_, err := app.New(t.Context(), app.Options{
		Store: r.store, Identity: identity.DefaultSettings(), Now: r.now,
		Destinations: map[string]mixpanel.Settings{"mixpanel": settings}, Forward: map[string][]string{"mixpanel": {"webb"}},
	})
	if err == nil || !strings.Contains(err.Error(), `no source "webb"`) || !strings.Contains(err.Error(), "ios, web") {
		t.Errorf("an unknown source: %v", err)
	}
}

var pros = engine.Definition{
	Key: "pros", Name: "Pros", Kind: query.Audience, Query: "trait('plan') = 'pro'", IncludeAnonymous: true,
	Connections: []engine.ConnectionDefinition{{Destination: "mixpanel", Emit: engine.EmitIdentify}},
}

// What a person's calls say and what is computed from them reach the profile in one order.
func TestForwardedCallsKeepTheOrderOfWhatFollows(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{MaxProfilesPerRequest: 1}, pros)
	for i := range 6 {
		plan := []string{"pro", "free"}[i%2]
		r.take(t, "web", fmt.Sprintf(`{"type":"identify","userId":"u","traits":{"plan":%q,"pros":"overwritten","step":%d}}`, plan, i))
		r.pass(time.Millisecond)
	}
	r.settle(t)
	u, _ := r.fake.Profile(token, "u")
	if u.Properties["plan"] != "free" || u.Properties["pros"] != false || u.Properties["step"] != 5.0 {
		t.Errorf("the profile is %v: what was computed from a call comes after it", u.Properties)
	}
	var order []string
	rows, err := r.store.Pool().Query(t.Context(), `SELECT reason FROM queue ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var reason string
		if err := rows.Scan(&reason); err != nil {
			t.Fatal(err)
		}
		order = append(order, reason)
	}
	if got := strings.Join(order, " "); got != "forwarded entered forwarded exited forwarded entered forwarded exited forwarded entered forwarded exited" {
		t.Errorf("the queue holds %s", got)
	}
}

// Nobody knows whether a charge was booked whose answer got lost: it is parked. Events and
// properties are sent again.
func TestUncertainForwardedCalls(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	r.fake.SetFaults(mixpaneltest.Fault{Endpoint: mixpaneltest.Engage, Kind: mixpaneltest.FaultCloseAfter, Count: 1})
	r.take(t, "web",
		`{"type":"track","messageId":"charge","userId":"u","event":"Order Completed","properties":{"revenue":12.5}}`,
		`{"type":"track","messageId":"plain","userId":"u","event":"Seen"}`)
	r.settle(t)
	letters, err := r.store.DeadLetters(t.Context(), store.LetterFilter{})
	if err != nil || len(letters) != 1 {
		t.Fatal(letters, err)
	}
	l := letters[0]
	if l.Kind != store.KindUncertain || !l.Forwarded || l.Key != "" || l.IDs != "user:u" || l.Reason == "" || l.Call == nil ||
		l.Call.MessageID != "charge" || string(l.Call.Properties) != `{"revenue":12.5}` {
		t.Errorf("the dead letter is %+v", l)
	}
	sample, err := json.Marshal(l.Call)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.Decode(sample, event.Envelope{ReceivedAt: r.now()}); err != nil {
		t.Errorf("the sample %s is no call: %v", sample, err)
	}
	u, _ := r.fake.Profile(token, "u")
	if n := len(u.Properties["$transactions"].([]any)); n != 1 {
		t.Errorf("%d charges", n)
	}
	if got, want := r.events(), []string{"u: Order Completed", "u: Seen"}; !slices.Equal(got, want) {
		t.Errorf("events %q", got)
	}
	// The operator has looked, and drops it.
	if n, err := r.store.DropDeadLetters(t.Context(), store.LetterFilter{Kind: store.KindUncertain}, r.now()); err != nil || n != 1 {
		t.Error(n, err)
	}
}

// What Mixpanel refuses for good is set aside and can be sent again, an alias as a barrier
// once more.
func TestRefusedForwardedCallsAreSentAgain(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	r.fake.Allow(mixpaneltest.RuleInvalid)
	r.take(t, "web", `{"type":"track","messageId":"old","userId":"u","event":"Old","timestamp":"2019-01-01T00:00:00Z"}`)
	r.fake.SetFaults(mixpaneltest.Fault{Endpoint: mixpaneltest.Track, Kind: mixpaneltest.FaultZero, Count: -1})
	r.take(t, "web", `{"type":"alias","previousId":"a","userId":"u"}`, `{"type":"identify","userId":"u","traits":{"x":1}}`)
	r.settle(t)
	letters, err := r.store.DeadLetters(t.Context(), store.LetterFilter{})
	if err != nil || len(letters) != 2 {
		t.Fatal(letters, err)
	}
	if l := letters[1]; l.Reason != "Timestamp must be within the last 5 years" || l.Kind != store.KindRejected {
		t.Errorf("the old call is %+v", l)
	}
	r.fake.SetFaults()
	got, err := r.store.RetryDeadLetters(t.Context(), store.LetterFilter{IDs: []int64{letters[0].ID}}, r.now())
	if err != nil || got != (store.Retried{Queued: 1}) {
		t.Fatal(got, err)
	}
	r.take(t, "web", `{"type":"track","userId":"u","event":"After"}`, `{"type":"track","anonymousId":"a","event":"Late"}`)
	if err := r.app.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.events(); len(got) != 0 {
		t.Errorf("%q came with the alias", got)
	}
	r.settle(t)
	if got, want := r.events(), []string{"a: After", "a: Late"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// Calls wait for a destination that is down, in order, and nothing is lost.
func TestForwardedCallsWaitForAnOutage(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	r.fake.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: http.StatusServiceUnavailable, Count: -1})
	for i := range 5 {
		r.take(t, "web", fmt.Sprintf(`{"type":"identify","userId":"u","traits":{"step":%d}}`, i), fmt.Sprintf(`{"type":"group","userId":"u%d","groupId":"g"}`, i))
	}
	for range 3 {
		if err := r.app.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Minute)
	}
	if lag := r.lag(t); lag.Waiting < 5 || lag.Failing == 0 || lag.LastReason == "" || lag.Oldest == nil {
		t.Errorf("it waits: %+v", lag)
	}
	r.fake.SetFaults()
	r.settle(t)
	if u, _ := r.fake.Profile(token, "u"); u.Properties["step"] != 4.0 {
		t.Errorf("the profile is %v", u.Properties)
	}
}

// Whoever is forgotten is gone from the queue and the dead letters, also with calls that no
// profile has seen.
func TestForwardedCallsOfTheForgottenGo(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	r.take(t, "web",
		`{"type":"identify","userId":"kim","anonymousId":"a|b","traits":{"x":1}}`,
		`{"type":"track","userId":"kim","event":"Unseen","integrations":{"Personas":false}}`,
		`{"type":"track","anonymousId":"a|b","event":"Unseen","integrations":{"Personas":false},"timestamp":"2019-01-01T00:00:00Z"}`,
		`{"type":"track","userId":"lee","event":"Kept"}`)
	r.settle(t)
	if lag := r.lag(t); lag.DeadLetters != 1 {
		t.Fatalf("%+v", lag)
	}
	report, err := r.app.Engine.DeleteProfile(t.Context(), []identity.ID{{Type: identity.UserID, Value: "kim"}}, r.now())
	if err != nil || report.Messages != 4 {
		t.Errorf("%+v %v, want 3 messages and a dead letter gone", report, err)
	}
	if n, lag := r.queued(t), r.lag(t); n != 1 || lag.DeadLetters != 0 {
		t.Errorf("%d are left, %+v", n, lag)
	}
}

// What was withheld follows when its people are suppressed no more, also calls that no profile has
// seen.
func TestWithheldForwardedCallsFollow(t *testing.T) {
	r := newRelay(t, mixpaneltest.Project{}, mixpanel.Settings{})
	people := make([]identity.ID, 2)
	for i, user := range []string{"kim", "lee"} {
		people[i] = identity.ID{Type: identity.UserID, Value: user}
		r.take(t, "web", `{"type":"track","userId":"`+user+`","event":"Unseen","integrations":{"Personas":false}}`)
	}
	if _, err := r.store.SuppressEach(t.Context(), people, r.now()); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
	if lag := r.lag(t); lag.DeadLetters != 2 || len(r.events()) != 0 {
		t.Fatalf("%+v %v", lag, r.events())
	}
	if _, err := app.Unsuppress(t.Context(), r.store, people[:1], r.now); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
	if diff := cmp.Diff([]string{"kim: Unseen"}, r.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if lag := r.lag(t); lag.DeadLetters != 1 {
		t.Errorf("%+v", lag)
	}
}
