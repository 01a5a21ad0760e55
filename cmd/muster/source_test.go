package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/internal/pgtest"
	"muster/store"
)

// command runs a command to its end and returns what it prints.
func command(t *testing.T, dsn string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	env := &environment{
		in: strings.NewReader(""), out: &out, err: &errs, now: time.Now,
		lookup: func(name string) (string, bool) { return dsn, name == "DATABASE_URL" },
	}
	if code := run(t.Context(), env, args); code != exitOK {
		t.Fatalf("muster %s ends with %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

// What commands do to sources and people, a server that runs notices within seconds.
func TestServeFollowsCommands(t *testing.T) {
	r, url, dsn, _ := startServe(t)
	answers := func(key string, status int) func() bool {
		return func() bool { return send(url+"/v1/identify", key, `{"userId":"lee","traits":{}}`) == status }
	}
	first := strings.TrimSpace(command(t, dsn, "source", "create", "app"))
	eventually(t, "a new source is known", answers(first, 200))
	second := strings.TrimSpace(command(t, dsn, "source", "rotate", "app"))
	eventually(t, "a new key is known", answers(second, 200))
	if !answers(first, 200)() {
		t.Error("the old key does not work for its grace")
	}
	third := strings.TrimSpace(command(t, dsn, "source", "rotate", "app", "--grace", "0"))
	eventually(t, "the old keys end", answers(first, 401))
	if !answers(second, 401)() || !answers(third, 200)() {
		t.Error("the first key has ended, and the others do not work accordingly")
	}
	command(t, dsn, "source", "limit", "app", "--rate", "0.01")
	eventually(t, "the rate is bounded", answers(third, http.StatusTooManyRequests))
	command(t, dsn, "source", "limit", "app", "--rate", "0")
	eventually(t, "the rate is the default", answers(third, 200))
	command(t, dsn, "source", "disable", "app")
	eventually(t, "the source is disabled", answers(third, 401))
	command(t, dsn, "source", "enable", "app")
	eventually(t, "the source is enabled", answers(third, 200))

	follower := background(t, map[string]string{"DATABASE_URL": dsn}, "debug", "web", "--follow", "-o", "json")
	send(url+"/v1/track", writeKey, order("kim", "m1", 60))
	shown := func(text string) func() bool {
		return func() bool { return strings.Contains(follower.err.String(), text) }
	}
	eventually(t, "debug shows a call", shown(`"message_id":"m1"`))
	command(t, dsn, "profile", "suppress", "user_id:kim") // returns when it is known everywhere
	if text, object := command(t, dsn, "profile", "show", "kim"), command(t, dsn, "profile", "show", "kim", "-o", "json"); !strings.Contains(text, "\nsuppressed: ") || !strings.Contains(object, `"suppressed": true`) {
		t.Errorf("of somebody who is suppressed it is shown\n%s%s", text, object)
	}
	if status := send(url+"/v1/track", writeKey, order("kim", "m2", 60)); status != 200 {
		t.Errorf("a suppressed call is answered %d", status)
	}
	send(url+"/v1/track", writeKey, order("lee", "m3", 60))
	eventually(t, "debug shows a call again", shown(`"message_id":"m3"`))
	follower.wait(t)
	for line := range strings.Lines(follower.err.String()) {
		var call store.RecentCall
		if err := json.Unmarshal([]byte(line), &call); err != nil || call.Source != "web" || strings.Contains(line, "m2") {
			t.Errorf("%s %v", line, err)
		}
	}
	pool := database(t, dsn)
	if n := one[int](t, pool, `SELECT count(*) FROM muster.events`); n != 2 {
		t.Errorf("%d events are stored, want one of kim and one of lee", n)
	}

	send(url+"/v1/track", writeKey, order("lee", "m4", 60))
	if code := r.wait(t); code != exitOK {
		t.Errorf("serve ended with %d", code)
	}
	// What was answered just before the end is there, too.
	var calls []store.RecentCall
	if err := json.Unmarshal([]byte(command(t, dsn, "debug", "web", "-o", "json", "--outcome", "accepted", "--limit", "2")), &calls); err != nil ||
		len(calls) != 2 || calls[0].MessageID != "m3" || calls[1].MessageID != "m4" {
		t.Errorf("%+v %v", calls, err)
	}
	if text := command(t, dsn, "debug"); !strings.Contains(text, "suppressed: its subject is on the suppression list") || strings.Contains(text, "m2") {
		t.Error(text)
	}
	if strings.Contains(r.err.String(), first) || strings.Contains(r.err.String(), third) {
		t.Error("the log shows a write key")
	}
}

// Behind a proxy, libraries are told the public address, and a visitor's own address is
// stored, as far as proxies that are trusted say it.
func TestServeBehindAProxy(t *testing.T) {
	dsn := pgtest.DSN(t)
	text := "public_url: https://events.shop.test/t\nsources:\n  - {name: web, write_key: " + writeKey + "}\n"
	serveOn := func(more string) (*running, string) {
		r := background(t, map[string]string{"DATABASE_URL": dsn}, "serve", "--config", writeFile(t, "muster.yaml", text+more), "--listen", "127.0.0.1:0")
		return r, r.serving(t)
	}
	pool := database(t, dsn)
	visit := func(url, id, want string) {
		t.Helper()
		call := `{"messageId":"` + id + `","anonymousId":"a1","context":{"library":{"name":"analytics.js"}}}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/page", strings.NewReader(call))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(writeKey, "")
		req.Header.Set("X-Forwarded-For", "198.51.100.7, 203.0.113.9")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if ip := one[string](t, pool, `SELECT context ->> 'ip' FROM muster.events WHERE message_id = '`+id+`'`); ip != want {
			t.Errorf("the visitor of %s came from %s, want %s", id, ip, want)
		}
	}
	r, url := serveOn("")
	visit(url, "by-default", "203.0.113.9") // whoever is on this machine is believed
	resp, err := http.Get(url + "/v1/projects/" + writeKey + "/settings")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if settings, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(settings), `"apiHost":"events.shop.test/t/v1","protocol":"https"`) {
		t.Errorf("settings %s %v", settings, err)
	}
	r.wait(t)
	r, url = serveOn("trusted_proxies: []\n")
	visit(url, "none", "127.0.0.1")
	r.wait(t)
}
