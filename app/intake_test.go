package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/app"
	"muster/event"
	"muster/identity"
	"muster/ingest"
	"muster/internal/pgtest"
	"muster/store"
	"muster/web"
)

// counter is a process that takes calls over HTTP, up to the database.
type counter struct {
	*store.Store
	t        *testing.T
	app      *app.App
	recorder *app.Recorder
	url, key string
}

// openCounter starts a process on a database, with a source of its own name.
func openCounter(t *testing.T, s *store.Store, name string) *counter {
	t.Helper()
	return openCounterWith(t, name, app.Options{Store: s, Identity: identity.DefaultSettings(), Now: time.Now})
}

func openCounterWith(t *testing.T, name string, o app.Options) *counter {
	t.Helper()
	ctx, s := t.Context(), o.Store
	key, err := s.CreateSource(ctx, name, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{Store: s, t: t, app: a, recorder: a.Recorder(), key: key.Reveal()}
	collector := ingest.NewCollector(a.Sink(), ingest.CollectorConfig{Wait: time.Millisecond})
	api, err := ingest.NewAPI(ingest.APIConfig{Sources: s.WriteKeys(time.Now), Collector: collector, Recorder: c.recorder, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	c.url = server.URL
	collecting, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- collector.Run(collecting) }()
	t.Cleanup(func() {
		server.Close()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		a.Close()
	})
	return c
}

// send posts a body and returns the status.
func (c *counter) send(path, body string) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.SetBasicAuth(c.key, "")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// must sends what has to be answered 200.
func (c *counter) must(path, body string) {
	c.t.Helper()
	if status := c.send(path, body); status != 200 {
		c.t.Fatalf("%s %s: %d", path, body, status)
	}
}

// shown are the debugger's calls, written anew.
func (c *counter) shown(f store.RecentFilter) []store.RecentCall {
	c.t.Helper()
	if err := c.recorder.Flush(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	calls, err := c.RecentCalls(c.t.Context(), f)
	if err != nil {
		c.t.Fatal(err)
	}
	return calls
}

func (c *counter) count(query string, args ...any) (n int) {
	c.t.Helper()
	if err := c.Pool().QueryRow(c.t.Context(), query, args...).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

func TestDebuggerShowsWhatBecameOfCalls(t *testing.T) {
	c := openCounter(t, store.New(pgtest.New(t)), "web")
	c.must("identify", `{"messageId":"m1","userId":"kim","traits":{"email":" Kim@X.test"}}`)
	c.must("batch", `{"writeKey":"`+c.key+`","batch":[
		{"type":"track","messageId":"m2","userId":"kim","event":"Order Completed","writeKey":"`+c.key+`","context":{"writeKey":"`+c.key+`","app":{"name":"Shop"}}},
		{"type":"track","messageId":"m1","userId":"kim","event":"Order Completed"},
		{"writeKey":"`+c.key+`","type":"track","messageId":"m3","userId":"kim","properties":{"q":"\u0000 text"}},
		{"writeKey":"`+c.key+`","type":"page","messageId":"m4","name":"Home","properties":{"writeKe\u0079":"`+c.key+`","a":1}},
		{"type":"screen","messageId":"m5","anonymousId":"a1","name":"Cart","integrations":{"Personas":false}},
		{"type":"track","messageId":"m6","anonymousId":"anonymous","event":"Seen"},
		{"type":"track","messageId":"m7","userId":"kim","event":"Late","timestamp":"tomorrow"}]}`)
	if status := c.send("track", `{"userId":"kim","event":"x"`); status != 400 {
		t.Errorf("half a body is answered %d", status)
	}
	if status := c.send("track", "{\"messageId\":\"m8\",\"userId\":\"kim\",\"event\":\"\xff\"}"); status != 400 {
		t.Errorf("no text is answered %d", status)
	}
	calls := c.shown(store.RecentFilter{})
	var got []string
	for _, r := range calls {
		got = append(got, fmt.Sprintf("%s %s %q %s %s", r.MessageID, r.Type, r.Name, r.Outcome, r.Code))
		if r.Outcome != "accepted" && r.Reason == "" {
			t.Errorf("%s is %s without a reason", r.MessageID, r.Outcome)
		}
		if strings.Contains(fmt.Sprint(r), c.key) {
			t.Errorf("the write key is shown: %v", r)
		}
		if r.Source != "web" || time.Since(r.ReceivedAt) > time.Minute {
			t.Errorf("%+v", r)
		}
	}
	want := []string{
		`m1 identify "" accepted `,
		`m2 track "Order Completed" accepted `,
		`m1 track "Order Completed" duplicate `,
		`m5 screen "Cart" skipped personas_disabled`,
		`m6 track "Seen" rejected no_matching_identifiers`,
		`m7 track "Late" accepted unreadable_timestamp`,
		`m3 track "" rejected invalid_character`,
		`m4 page "" rejected no_user_anon_id`,
		`  "" rejected invalid_json`,
		`m8  "" rejected invalid_utf8`, // only the path said its type,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the debugger (-want +got):\n%s", diff)
	}
	for i, want := range map[int]string{
		0: `{"type":"identify","messageId":"m1","userId":"kim",`,
		1: `"context":{"app":{"name":"Shop"}`,
		6: `{"type":"track","messageId":"m3","userId":"kim","properties":{"q":"\u0000 text"}}`,
		7: `{"type":"page","messageId":"m4","name":"Home","properties":{"a":1}}`,
		9: "\"event\":\"\uFFFD\"",
	} {
		if !strings.Contains(calls[i].Call, want) {
			t.Errorf("of call %d there is %s\nwant %s", i, calls[i].Call, want)
		}
	}
	if n := c.count(`SELECT count(*) FROM inspect.recent_calls WHERE source = 'web' AND outcome = 'rejected'`); n != 5 {
		t.Errorf("%d rejected calls in inspect.recent_calls", n)
	}
	if some := c.shown(store.RecentFilter{Source: "web", Outcomes: []string{"accepted", "duplicate"}, Limit: 2}); len(some) != 2 || some[0].Outcome != "duplicate" || some[1].MessageID != "m7" {
		t.Errorf("the last two of those taken: %v", some)
	}
	// Calls are found by whom they are of, accepted or not, whatever the spelling.
	for id, want := range map[string][]string{
		"user_id:kim": {"m1", "m2", "m1", "m7", "m3", "m8"}, "email:kim@x.test": {"m1"}, "anonymous_id:a1": {"m5"}, "user_id:ki": nil,
	} {
		var got []string
		for _, r := range c.shown(store.RecentFilter{ID: id}) {
			got = append(got, r.MessageID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("calls of %s (-want +got):\n%s", id, diff)
		}
	}
	if _, err := c.RecentCalls(t.Context(), store.RecentFilter{Source: "nobody"}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("an unknown source: %v", err)
	}
}

func TestDebuggerIsBounded(t *testing.T) {
	s := store.New(pgtest.New(t))
	metrics := web.NewMetrics(s, time.Now)
	c := openCounterWith(t, "web", app.Options{Store: s, Identity: identity.DefaultSettings(), Now: time.Now, Metrics: metrics})
	batch := func(from, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,{"type":"track","messageId":"m%d","userId":"u","event":"e"}`, from+i)
		}
		return `{"batch":[` + b.String()[1:] + `]}`
	}
	c.must("track", `{"messageId":"first","userId":"u","event":"`+strings.Repeat("ü", 500)+`","properties":{"long":"`+strings.Repeat("ü", 6000)+`"}}`)
	if first := c.shown(store.RecentFilter{}); len(first) != 1 || len(first[0].Call) > 4096 || len(first[0].Call) < 4090 ||
		!strings.HasPrefix(first[0].Call, `{"type":"track","messageId":"first","userId":"u"`) || strings.Contains(first[0].Call, "\uFFFD") {
		t.Errorf("a long call: %v", first)
	}
	other := openCounter(t, s, "app")
	other.must("track", `{"messageId":"other","userId":"u","event":"e"}`)
	other.shown(store.RecentFilter{})

	c.must("batch", batch(0, 300))
	c.must("batch", batch(300, 150))
	if calls := c.shown(store.RecentFilter{Source: "web"}); len(calls) != 451 || c.recorder.Dropped() != 0 {
		t.Errorf("%d calls are shown, %d dropped", len(calls), c.recorder.Dropped())
	}
	c.must("batch", batch(450, 350)) // the database keeps 500
	c.must("batch", batch(800, 1))
	calls := c.shown(store.RecentFilter{Source: "web"})
	if len(calls) != 500 || calls[0].MessageID != "m301" || calls[499].MessageID != "m800" {
		t.Fatalf("%d calls are shown, from %v to %v", len(calls), calls[0].MessageID, calls[len(calls)-1].MessageID)
	}
	if n := c.count(`SELECT count(*) FROM recent_calls`); n != 501 {
		t.Errorf("%d calls are kept, want 500 and the other source's one", n)
	}
	for range 4 { // so does the memory: in the time between two writes, and for one request
		c.must("batch", batch(2000, 700))
	}
	if calls = c.shown(store.RecentFilter{Source: "web"}); len(calls) != 500 || calls[0].MessageID != "m2200" {
		t.Errorf("%d calls are shown, from %v", len(calls), calls[0].MessageID)
	}
	if d := c.recorder.Dropped(); d != 4*700-500 {
		t.Errorf("%d are counted as dropped", d)
	}
	scraped := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if text := scraped.Body.String(); !strings.Contains(text, fmt.Sprintf("muster_debugger_dropped_total %d\n", 4*700-500)) ||
		!strings.Contains(text, `muster_calls_total{outcome="accepted",source="web"} `) {
		t.Errorf("the metrics do not tell of it:\n%s", text)
	}
}

// A debugger that cannot write holds nobody up, and goes on when it can.
func TestDebuggerWithoutItsTable(t *testing.T) {
	c := openCounter(t, store.New(pgtest.New(t)), "web")
	if _, err := c.Pool().Exec(t.Context(), `ALTER TABLE recent_calls RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	c.must("track", `{"messageId":"m1","userId":"u","event":"e"}`)
	if err := c.recorder.Flush(t.Context()); err == nil || c.recorder.Dropped() != 1 {
		t.Errorf("%v, %d dropped", err, c.recorder.Dropped())
	}
	if _, err := c.Pool().Exec(t.Context(), `ALTER TABLE away RENAME TO recent_calls`); err != nil {
		t.Fatal(err)
	}
	c.must("track", `{"messageId":"m2","userId":"u","event":"e"}`)
	if calls := c.shown(store.RecentFilter{}); len(calls) != 1 || calls[0].MessageID != "m2" {
		t.Errorf("%v", calls)
	}
}

// Run writes once a second, and what is left when it is told to end.
func TestRecorderRun(t *testing.T) {
	c := openCounter(t, store.New(pgtest.New(t)), "web")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.recorder.Run(ctx) }()
	c.must("track", `{"messageId":"m1","userId":"u","event":"e"}`)
	for began := time.Now(); c.count(`SELECT count(*) FROM recent_calls`) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("nothing is written")
		}
	}
	c.must("track", `{"messageId":"m2","userId":"u","event":"e"}`)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := c.count(`SELECT count(*) FROM recent_calls`); n != 2 {
		t.Errorf("%d calls are written", n)
	}
}

func TestSuppression(t *testing.T) {
	ctx := t.Context()
	pool := pgtest.New(t)
	c := openCounter(t, store.New(pool), "web")
	c.must("identify", `{"messageId":"k1","userId":"kim","anonymousId":"a-kim","traits":{"email":"Kim@x.test"}}`)
	c.must("identify", `{"messageId":"l1","userId":"lee","traits":{"email":"lee@x.test"}}`)
	before := c.count(`SELECT count(*) FROM events`)
	done, err := c.Suppress(ctx, []identity.ID{{Type: "email", Value: " KIM@x.test"}, {Type: "user_id", Value: "stranger"}}, time.Now())
	if err != nil || done != (store.Suppression{Profiles: 1, IDs: 4, Changed: 4}) {
		t.Fatalf("%+v %v", done, err)
	}
	// Every id of the profile counts, wherever a call carries it, at once.
	for i, call := range []string{
		`{"type":"track","userId":"kim","event":"e"}`,
		`{"type":"track","anonymousId":"a-kim","event":"e"}`,
		`{"type":"identify","anonymousId":"new","traits":{"email":"kim@X.test"}}`,
		`{"type":"page","anonymousId":"new","context":{"traits":{"email":"kim@x.test"}}}`,
		`{"type":"screen","anonymousId":"new","context":{"externalIds":[{"id":"stranger","type":"user_id","collection":"users","encoding":"none"}]}}`,
		`{"type":"alias","userId":"new","previousId":"a-kim"}`,
		`{"type":"group","userId":"kim","groupId":"g"}`,
		`{"type":"track","userId":"stranger","event":"e"}`,
		`{"type":"track","userId":"kim","event":"e","integrations":{"Personas":false}}`,
	} {
		c.must("batch", fmt.Sprintf(`{"batch":[{"messageId":"s%d",%s]}`, i, call[1:]))
	}
	// A message that is refused, too, must not show up with its ids.
	c.must("batch", `{"batch":[{"type":"track","messageId":"s99","userId":"kim"},{"type":"track","messageId":"r1","userId":"lee"}]}`)
	c.must("track", `{"messageId":"l2","userId":"lee","event":"e","groupId":"kim"}`)

	// Kim's first call, too: it was not shown yet.
	want := map[string]int{"accepted": 2, "suppressed": 11, "rejected": 1}
	got := map[string]int{}
	for _, r := range c.shown(store.RecentFilter{}) {
		got[r.Outcome]++
		if r.Outcome == "suppressed" && (r.MessageID != "" || r.Name != "" || r.Call != "" || r.Code != "suppressed") {
			t.Errorf("of a suppressed call there is %+v", r)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if n := c.count(`SELECT count(*) FROM events`); n != before+1 {
		t.Errorf("%d events more, want lee's one", n-before)
	}
	if n := c.count(`SELECT count(*) FROM message_keys`); n != 3 {
		t.Errorf("%d message ids are kept, want those of the three accepted calls", n)
	}
	if n := c.count(`SELECT count(*) FROM external_ids WHERE id_value IN ('new', 'stranger')`) + c.count(`SELECT count(*) FROM accounts`); n != 0 {
		t.Errorf("%d traces of suppressed calls", n)
	}
	if n := c.count(`SELECT count(*) FROM suppressions s WHERE s::text ~* 'kim|stranger'`); n != 0 {
		t.Errorf("an id stands in the suppression list")
	}

	// What waits to be shown when somebody is suppressed is not shown any more.
	c.must("track", `{"messageId":"l3","userId":"lee","event":"e"}`)
	if _, err := c.Suppress(ctx, []identity.ID{{Type: "user_id", Value: "lee"}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if calls := c.shown(store.RecentFilter{Limit: 1}); calls[0].Outcome != "suppressed" || calls[0].Call != "" {
		t.Errorf("%+v", calls)
	}

	// One id takes it all back; the message ids were never claimed.
	if done, _, err = c.Unsuppress(ctx, []identity.ID{{Type: "anonymous_id", Value: "a-kim"}}); err != nil || done.Changed != 4 {
		t.Errorf("%+v %v", done, err)
	}
	c.must("track", `{"messageId":"s0","userId":"kim","event":"e"}`)
	if calls := c.shown(store.RecentFilter{Limit: 1}); calls[0].Outcome != "accepted" {
		t.Errorf("after it was taken back: %+v", calls)
	}
}

// The person whose profile is deleted stays suppressed, and can be named by any id.
func TestSuppressionOutlivesTheProfile(t *testing.T) {
	ctx := t.Context()
	c := openCounter(t, store.New(pgtest.New(t)), "web")
	c.must("identify", `{"messageId":"k1","userId":"kim","anonymousId":"a-kim","traits":{"email":"kim@x.test"}}`)
	user, email, visitor := identity.ID{Type: "user_id", Value: "kim"}, identity.ID{Type: "email", Value: "kim@x.test"}, identity.ID{Type: "anonymous_id", Value: "a-2"}
	if _, err := c.Suppress(ctx, []identity.ID{user}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.app.Engine.DeleteProfile(ctx, []identity.ID{user}, time.Now()); err != nil {
		t.Fatal(err)
	}
	c.must("identify", `{"messageId":"k2","anonymousId":"x","traits":{"email":"kim@x.test"}}`)
	if n := c.count(`SELECT count(*) FROM profiles`); n != 0 {
		t.Fatalf("%d profiles", n)
	}
	// More of her becomes known, by one that is on the list already: it is one person.
	if done, err := c.Suppress(ctx, []identity.ID{email, visitor}, time.Now()); err != nil || done != (store.Suppression{IDs: 2, Changed: 1}) {
		t.Errorf("%+v %v", done, err)
	}
	if done, err := c.Suppress(ctx, []identity.ID{email, visitor}, time.Now()); err != nil || done.Changed != 0 {
		t.Errorf("again: %+v %v", done, err)
	}
	if done, _, err := c.Unsuppress(ctx, []identity.ID{visitor}); err != nil || done.Changed != 4 {
		t.Errorf("%+v %v", done, err)
	}
	c.must("identify", `{"messageId":"k2","anonymousId":"x","traits":{"email":"kim@x.test"}}`)
	if n := c.count(`SELECT count(*) FROM profiles`); n != 1 {
		t.Errorf("%d profiles", n)
	}
}

// A process learns within a second of what another one did, and app.Suppress finds the
// ids that came in during that second.
func TestSuppressionElsewhere(t *testing.T) {
	ctx := t.Context()
	pool := pgtest.New(t)
	here, there := openCounter(t, store.New(pool), "here"), store.New(pool)
	here.must("track", `{"messageId":"m1","userId":"kim","event":"e"}`) // here, the list was seen to be empty
	suppressing := make(chan store.Suppression, 1)
	go func() {
		done, err := app.Suppress(ctx, there, []identity.ID{{Type: "user_id", Value: "kim"}}, time.Now)
		if err != nil {
			t.Error(err)
		}
		suppressing <- done
	}()
	for began := time.Now(); here.count(`SELECT count(*) FROM suppressions`) == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("nobody is suppressed")
		}
	}
	here.must("track", `{"messageId":"m2","userId":"kim","anonymousId":"a-kim","event":"e"}`)
	if n := here.count(`SELECT count(*) FROM events`); n != 2 {
		t.Skip("the process learned too soon of the suppression for this test")
	}
	time.Sleep(store.SuppressionSeen)
	here.must("track", `{"messageId":"m3","userId":"kim","event":"e"}`)
	if n := here.count(`SELECT count(*) FROM events`); n != 2 {
		t.Errorf("%d events: after a second the suppression is not known", n)
	}
	if done := <-suppressing; done != (store.Suppression{Profiles: 1, IDs: 2, Changed: 2}) {
		t.Errorf("%+v", done)
	}
	here.must("track", `{"messageId":"m4","anonymousId":"a-kim","event":"e"}`)
	if n := here.count(`SELECT count(*) FROM events`); n != 2 {
		t.Errorf("%d events: an id that came in late is not suppressed", n)
	}
}

// What the debugger keeps of a request does not hold its body in memory.
func TestRecorderLetsGoOfBodies(t *testing.T) {
	c := openCounter(t, store.New(pgtest.New(t)), "web")
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	const requests, padding = 300, 400_000
	for range requests {
		body := `{"batch":[{"type":"track","userId":"kim","event":"Seen","properties":{"a":1}},{"type":"track","userId":"kim"}` + strings.Repeat(" ", padding) + `]}`
		b, err := event.DecodeBatch([]byte(body), event.Envelope{ReceivedAt: time.Now()})
		if err != nil || len(b.Calls) != 1 || len(b.Refused) != 1 {
			t.Fatal(b, err)
		}
		c.recorder.Record(ingest.Exchange{Source: ingest.Source{ID: 1}, At: time.Now(), Calls: b.Calls, Results: make([]ingest.Result, 1), Refused: b.Refused})
	}
	if grown := heap() - before; grown > requests*padding/10 {
		t.Errorf("%d requests of %d bytes hold %d bytes", requests, padding, grown)
	}
	if calls := c.shown(store.RecentFilter{}); len(calls) != store.RecentPerSource || c.recorder.Dropped() != 2*requests-store.RecentPerSource {
		t.Errorf("%d dropped: not all was recorded", c.recorder.Dropped())
	}
}

func BenchmarkRecord(b *testing.B) {
	a, err := app.New(b.Context(), app.Options{Store: store.New(pgtest.New(b)), Identity: identity.DefaultSettings(), Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	recorder := a.Recorder()
	call := `{"type":"track","messageId":"m-0123456789","userId":"user-17","event":"Order Completed","timestamp":"2026-03-01T12:00:00Z",` +
		`"properties":{"order_id":"o-1","revenue":20.5,"currency":"EUR","products":[{"sku":"a","price":10},{"sku":"b","price":10.5}]},` +
		`"context":{"library":{"name":"analytics.js","version":"2.1.0"},"page":{"url":"https://shop.example/cart","title":"Cart"},"userAgent":"` + strings.Repeat("x", 120) + `","locale":"de-DE","ip":"192.0.2.1"}}`
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("calls=%d", size), func(b *testing.B) {
			batch, err := event.DecodeBatch([]byte(`{"batch":[`+call+strings.Repeat(","+call, size-1)+`]}`), event.Envelope{ReceivedAt: time.Now()})
			if err != nil {
				b.Fatal(err)
			}
			x := ingest.Exchange{Source: ingest.Source{ID: 1}, At: time.Now(), Calls: batch.Calls, Results: make([]ingest.Result, size)}
			b.ReportAllocs()
			for b.Loop() {
				recorder.Record(x)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/call")
		})
	}
}
