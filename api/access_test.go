package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/store"
)

// someone fills in the names of a route's path.
var someone = strings.NewReplacer("{key}", "k", "{name}", "n", "{id}", "1", "{profile}", "user_id:u", "{space}", "s")

// Nobody gets in without a token of the right kind, on any route.
func TestAuthentication(t *testing.T) {
	w := newWorld(t)
	gone := w.token(t, "gone", store.ScopeWrite)
	if err := w.store.DeleteToken(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	for _, rt := range w.api.Routes() {
		path := someone.Replace(rt.Path)
		other := "/v1/" // whose kind of token is not this route's
		if rt.Profile {
			other = "/api/"
		}
		for name, header := range map[string]http.Header{
			"none": nil, "wrong": as(path, "mst_wrong"), "empty": as(path, ""), "deleted": as(path, gone), "long": as(path, strings.Repeat("x", 5000)),
			"of the other API": as(other, w.write), "strange": {"Authorization": {"Digest " + w.write}}, "the hash": as(path, "\xc3\xbf"),
		} {
			a := w.send(t, rt.Method, path, "", header)
			if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || a.header.Get("Request-Id") == "" || strings.Contains(a.text, w.write) {
				t.Errorf("%s %s with the token %q answers %d: %s", rt.Method, path, name, a.status, a.text)
			}
		}
		status, answer := w.call(t, w.read, rt.Method, path, "")
		if forbidden := status == http.StatusForbidden; forbidden != rt.Write || status == http.StatusUnauthorized {
			t.Errorf("%s %s with a token that may read answers %d: %v", rt.Method, path, status, answer)
		}
	}
}

// A token works as soon as it is made, and no longer than a second after it was deleted.
func TestTokensComeAndGo(t *testing.T) {
	w := newWorld(t)
	status := func(token string) int {
		a := w.send(t, "GET", "/api/v1/health", "", as("/api", token))
		return a.status
	}
	if got := status(w.read); got != http.StatusOK {
		t.Fatalf("a token answers %d", got)
	}
	token := w.token(t, "late", store.ScopeRead)
	w.wait(time.Second / 2)
	if got := status(token); got != http.StatusOK {
		t.Errorf("a token that was just made answers %d", got)
	}
	if err := w.store.DeleteToken(t.Context(), "late"); err != nil {
		t.Fatal(err)
	}
	w.wait(2 * time.Second)
	if got := status(token); got != http.StatusUnauthorized {
		t.Errorf("a token that was deleted answers %d", got)
	}
	tokens, err := w.store.Tokens(t.Context())
	if err != nil || len(tokens) != 2 || tokens[0].LastUsedAt == nil || tokens[1].LastUsedAt != nil {
		t.Errorf("tokens: %+v %v", tokens, err)
	}
}

func TestRate(t *testing.T) {
	w := newWorldAt(t, 3)
	for name, path := range map[string]string{"admin": "/api/v1/health", "profile": users + "user_id:nobody/traits"} {
		token := w.token(t, name, store.ScopeRead)
		w.wait(time.Second)
		for left := 2; left >= 0; left-- {
			a := w.send(t, "GET", path, "", as(path, token))
			h := a.header
			if a.status == http.StatusTooManyRequests || h.Get("X-RateLimit-Limit") != "3" || h.Get("X-RateLimit-Remaining") != string(rune('0'+left)) || h.Get("X-RateLimit-Reset") != "1" {
				t.Errorf("%s with %d left: %d %v", path, left, a.status, h)
			}
		}
		if status, answer := w.call(t, token, "GET", path, ""); status != http.StatusTooManyRequests {
			t.Errorf("%s: a fourth request is answered %d: %v", path, status, answer)
		}
		a := w.send(t, "GET", path, "", as(path, token))
		if a.header.Get("Retry-After") != "1" || a.header.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("%s: a fifth request: %v", path, a.header)
		}
		if status, _ := w.call(t, w.write, "GET", "/api/v1/runs", ""); status != http.StatusOK {
			t.Errorf("another token is answered %d", status)
		}
		w.wait(time.Second)
		if status, _ := w.call(t, token, "GET", path, ""); status == http.StatusTooManyRequests {
			t.Errorf("%s: after a second it is answered %d", path, status)
		}
	}
}

// Without the database the APIs say so, and nothing of how it is reached.
func TestDatabaseIsGone(t *testing.T) {
	w := newWorld(t)
	if status, _ := w.call(t, w.read, "GET", "/api/v1/runs", ""); status != http.StatusOK {
		t.Fatalf("with the database: %d", status)
	}
	w.store.Close()
	if status, answer := w.call(t, w.read, "GET", "/api/v1/runs", ""); status != http.StatusInternalServerError || strings.Contains(in(answer["errors"].([]any)[0], "message").(string), "pool") {
		t.Errorf("a known token is answered %d: %v", status, answer)
	}
	w.wait(2 * time.Second)
	for _, path := range []string{"/api/v1/runs", users + "user_id:u/traits"} {
		if status, answer := w.call(t, w.read, "GET", path, ""); status != http.StatusServiceUnavailable {
			t.Errorf("%s is answered %d: %v", path, status, answer)
		}
	}
	if strings.Contains(w.log.String(), w.read) {
		t.Errorf("the log shows the token:\n%s", w.log.String())
	}
}
