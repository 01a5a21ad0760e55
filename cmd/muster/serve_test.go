package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
)

// serveConfig is a shop with an audience told as a property and one told as events.
const serveConfig = `
sources:
  - name: web
    write_key: ${WRITE_KEY}
destinations:
  - name: mixpanel
    settings:
      token: ${MIXPANEL_TOKEN}
      base_url: ${MIXPANEL_URL}
audiences:
  - name: Buyers
    query: event('Order Completed').count() >= 1
  - name: Big spenders
    query: event('Order Completed').sum(property('revenue')) >= 100
    connections:
      - {destination: mixpanel, emit: track}
`

const writeKey = "the-shops-write-key"

// startServe serves serveConfig on a free port and a database of the test's own.
func startServe(t *testing.T) (r *running, url, dsn string, fake *mixpaneltest.Server) {
	t.Helper()
	fake = mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}}})
	dsn = pgtest.DSN(t)
	r = background(t, map[string]string{
		"DATABASE_URL": dsn, "WRITE_KEY": writeKey, "MIXPANEL_TOKEN": testToken, "MIXPANEL_URL": fake.URL(),
	}, "serve", "--config", writeFile(t, "muster.yaml", serveConfig), "--listen", "127.0.0.1:0")
	return r, r.serving(t), dsn, fake
}

// A source that is connected to a destination has its own calls forwarded; a connection to a
// source that nobody knows is refused before anything is served.
func TestServeForwards(t *testing.T) {
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}}})
	env := map[string]string{"DATABASE_URL": pgtest.DSN(t), "WRITE_KEY": writeKey, "MIXPANEL_TOKEN": testToken, "MIXPANEL_URL": fake.URL()}
	wrong := strings.Replace(serveConfig, "  - name: mixpanel\n", "  - name: mixpanel\n    sources: [webb]\n", 1)
	r := background(t, env, "serve", "--config", writeFile(t, "wrong.yaml", wrong), "--listen", "127.0.0.1:0")
	if code := <-r.done; code == exitOK || !strings.Contains(r.err.String(), `there is no source "webb"`) {
		t.Fatalf("exit code %d:\n%s", code, &r.err)
	}
	connected := strings.Replace(serveConfig, "  - name: mixpanel\n", "  - name: mixpanel\n    sources: [web]\n", 1)
	r = background(t, env, "serve", "--config", writeFile(t, "muster.yaml", connected), "--listen", "127.0.0.1:0")
	url := r.serving(t)
	for path, call := range map[string]string{
		"/v1/track":    order("kim", "m1", 60),
		"/v1/identify": `{"userId":"kim","traits":{"plan":"pro"}}`,
		"/v1/p":        `{"anonymousId":"a","properties":{"path":"/"},"_metadata":{"bundled":["Mixpanel"]}}`,
	} {
		if status := send(url+path, writeKey, call); status != http.StatusOK {
			t.Errorf("%s answers %d", path, status)
		}
	}
	pool := database(t, env["DATABASE_URL"])
	var kim mixpaneltest.Profile
	eventually(t, "all is told", func() bool { // the calls may have come before the audience's backfill
		kim, _ = fake.Profile(testToken, "kim")
		return one[int](t, pool, waiting) == 0 && kim.Properties["buyers"] != nil
	})
	if kim.Properties["plan"] != "pro" || kim.Properties["buyers"] != true || len(kim.Properties["$transactions"].([]any)) != 1 {
		t.Errorf("kim as Mixpanel holds it: %v", kim.Properties)
	}
	if events := fake.Events(testToken, mixpaneltest.Raw); len(events) != 1 || events[0].Name != "Order Completed" {
		t.Errorf("events in Mixpanel: %v", events)
	}
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// The pages of a source in device mode are handed what they need to tell Mixpanel themselves,
// and no secret; what they have told is not told again from here.
func TestServeHandsMixpanelToBrowsers(t *testing.T) {
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken, Secret: "hidden-secret"}}})
	env := map[string]string{"DATABASE_URL": pgtest.DSN(t), "WRITE_KEY": writeKey, "MIXPANEL_TOKEN": testToken, "MIXPANEL_URL": fake.URL()}
	device := func(source string) string {
		text := strings.Replace(serveConfig, "destinations:\n  - name: mixpanel\n    settings:\n",
			"  - {name: server, write_key: key-of-the-server}\ndestinations:\n  - name: mixpanel\n    sources: [web, server]\n    device_sources: ["+source+
				"]\n    settings:\n      api_secret: hidden-secret\n      persistence: localStorage\n      secure_cookie: true\n", 1)
		return writeFile(t, "muster.yaml", text)
	}
	r := background(t, env, "serve", "--config", device("webb"), "--listen", "127.0.0.1:0")
	if code := <-r.done; code == exitOK || !strings.Contains(r.err.String(), `muster.yaml:9: destinations[0].device_sources[0]: there is no source "webb" whose pages`) {
		t.Fatalf("exit code %d:\n%s", code, &r.err)
	}
	r = background(t, env, "serve", "--config", device("web"), "--listen", "127.0.0.1:0")
	url := r.serving(t)
	settings := func(key string) map[string]map[string]any {
		status, text := get(t, url+"/v1/projects/"+key+"/settings")
		var s struct {
			Integrations map[string]map[string]any `json:"integrations"`
		}
		if err := json.Unmarshal([]byte(text), &s); err != nil || status != http.StatusOK || strings.Contains(text, "hidden") {
			t.Fatalf("settings %d %v %s", status, err, text)
		}
		return s.Integrations
	}
	web := settings(writeKey)["Mixpanel"]
	if web["token"] != testToken || web["persistence"] != "localStorage" || web["secureCookie"] != true || web["crossSubdomainCookie"] != true || web["bundlingStatus"] != "bundled" {
		t.Errorf("Mixpanel for pages: %v", web)
	}
	if server := settings("key-of-the-server"); len(server) != 1 || server["Segment.io"] == nil {
		t.Errorf("settings of a source that has no pages: %v", server)
	}
	for name, bundled := range map[string]string{"Seen here": `["Segment.io"]`, "Seen there": `["Mixpanel","Segment.io"]`} {
		call := fmt.Sprintf(`{"userId":"kim","event":%q,"_metadata":{"bundled":%s}}`, name, bundled)
		if status := send(url+"/v1/track", writeKey, call); status != http.StatusOK {
			t.Errorf("%s: %d", name, status)
		}
	}
	pool := database(t, env["DATABASE_URL"])
	eventually(t, "all is told", func() bool { return one[int](t, pool, waiting) == 0 })
	if events := fake.Events(testToken, mixpaneltest.Raw); len(events) != 1 || events[0].Name != "Seen here" {
		t.Errorf("events in Mixpanel: %v", events)
	}
	r.wait(t)
}

// send posts a call and returns the status of the answer, 0 if there is none.
func send(url, key, call string) int {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(call))
	if err != nil {
		return 0
	}
	req.SetBasicAuth(key, "")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func order(user, id string, revenue int) string {
	return fmt.Sprintf(`{"userId":%q,"messageId":%q,"event":"Order Completed","properties":{"revenue":%d}}`, user, id, revenue)
}

func TestServe(t *testing.T) {
	r, url, dsn, fake := startServe(t)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if status, text := get(t, url+path); status != http.StatusOK || text != want {
			t.Errorf("%s answers %d %q", path, status, text)
		}
	}
	if status, _ := get(t, url+"/elsewhere"); status != http.StatusNotFound {
		t.Errorf("an unknown path answers %d", status)
	}
	for _, c := range []struct {
		path, key, call string
		status          int
	}{
		{"/v1/track", writeKey, order("kim", "m1", 60), 200},
		{"/v1/track", writeKey, order("kim", "m1", 60), 200}, // again: counts once
		{"/v1/track", writeKey, order("lee", "m2", 150), 200},
		{"/v1/identify", writeKey, `{"userId":"kim","traits":{"plan":"pro"}}`, 200},
		{"/v1/batch", writeKey, `{"batch":[{"type":"track",` + order("lee", "m3", 10)[1:] + `]}`, 200},
		{"/v1/track", "some-other-key", order("kim", "m4", 60), 401},
		{"/v1/track", writeKey, `{"userId":"kim"}`, 400},
	} {
		if status := send(url+c.path, c.key, c.call); status != c.status {
			t.Errorf("%s %s answers %d, want %d", c.path, c.call, status, c.status)
		}
	}
	_, metrics := get(t, url+"/metrics")
	for _, want := range []string{
		`muster_requests_total{code="ok"} 5`, `muster_requests_total{code="invalid_write_key"} 1`, `muster_requests_total{code="missing_event"} 1`,
		`muster_calls_total{outcome="accepted",source="web"} 4`, `muster_calls_total{outcome="duplicate",source="web"} 1`,
		`muster_calls_total{outcome="rejected",source="web"} 1`, `muster_debugger_dropped_total 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	// Answered means done: the memberships are there at once, what is told follows.
	pool := database(t, dsn)
	if n := one[int](t, pool, `SELECT count(*) FROM inspect.members`); n != 3 {
		t.Errorf("%d memberships, want kim and lee as buyers and lee as a big spender", n)
	}
	eventually(t, "all is told", func() bool { return one[int](t, pool, waiting) == 0 })
	if n := compare(t, pool, fake); n != 3 {
		t.Errorf("%d values compared", n)
	}
	if p, ok := fake.Profile(testToken, "kim"); !ok || p.Properties["buyers"] != true || p.Properties["big_spenders"] != nil {
		t.Errorf("kim as Mixpanel holds it: %v %v", ok, p.Properties)
	}
	if events := fake.Activity(testToken, "lee"); len(events) != 1 || events[0].Name != "Audience Entered" {
		t.Errorf("lee's events in Mixpanel: %v", events)
	}
	if code := r.wait(t); code != exitOK {
		t.Errorf("it ended with %d", code)
	}
	if strings.Contains(r.err.String(), "not in the configuration any more") {
		t.Errorf("what is configured is said to be missing:\n%s", r.err.String())
	}
	for _, secret := range []string{writeKey, testToken} {
		if strings.Contains(r.err.String(), secret) {
			t.Errorf("the log shows the secret %s:\n%s", secret, r.err.String())
		}
	}
}

// Every call that was answered 200 before or while serve stops is stored; the others
// may be sent again.
func TestServeStopsInOrder(t *testing.T) {
	r, url, dsn, _ := startServe(t)
	var answered atomic.Int64
	var senders sync.WaitGroup
	for sender := range 8 {
		senders.Go(func() {
			for n := 0; ; n++ {
				if send(url+"/v1/track", writeKey, order(fmt.Sprintf("user-%d", sender), fmt.Sprintf("%d-%d", sender, n), 1)) != 200 {
					return
				}
				answered.Add(1)
			}
		})
	}
	eventually(t, "calls are answered", func() bool { return answered.Load() > 100 })
	began := time.Now()
	if code := r.wait(t); code != exitOK {
		t.Errorf("it ended with %d", code)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("stopping took %v", took)
	}
	senders.Wait()
	stored := one[int64](t, database(t, dsn), `SELECT count(*) FROM muster.events`)
	// A call may be stored although its sender never got the answer: one for each sender.
	if stored < answered.Load() || stored > answered.Load()+8 {
		t.Errorf("%d calls were answered, %d are stored", answered.Load(), stored)
	}
}

// A definition that is refused does not keep the others from being served.
func TestServeReportsRefusedDefinitions(t *testing.T) {
	config := serveConfig + "  - name: Odd\n    query: event('Order Completed').cuont() >= 1\n"
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}}})
	r := background(t, map[string]string{
		"DATABASE_URL": pgtest.DSN(t), "WRITE_KEY": writeKey, "MIXPANEL_TOKEN": testToken, "MIXPANEL_URL": fake.URL(),
	}, "serve", "--config", writeFile(t, "muster.yaml", config), "--listen", "127.0.0.1:0")
	url := r.serving(t)
	if reason := r.err.attribute("definition refused", "reason"); !strings.Contains(reason, "did you mean `count`?") {
		t.Errorf("the log says %q", reason)
	}
	if status := send(url+"/v1/track", writeKey, order("kim", "m1", 60)); status != 200 {
		t.Errorf("a call is answered %d", status)
	}
	if code := r.wait(t); code != exitOK {
		t.Errorf("it ended with %d", code)
	}
}

func TestServeNeedsItsPort(t *testing.T) {
	_, url, _, _ := startServe(t)
	r := background(t, map[string]string{"DATABASE_URL": pgtest.DSN(t)}, "serve",
		"--config", writeFile(t, "muster.yaml", ""), "--listen", strings.TrimPrefix(url, "http://"))
	select {
	case code := <-r.done:
		if code != exitFailed || !strings.Contains(r.err.String(), "muster: listen for the Tracking API: ") {
			t.Errorf("it ended with %d: %s", code, r.err.String())
		}
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
	}
}
