package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"muster/internal/pgtest"
)

// asked is the status and the text of an answer to a request with a token.
func asked(t *testing.T, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(url, "/v1/spaces/") {
		req.SetBasicAuth(token, "")
	} else {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// A server that runs has its APIs beside the Tracking API, and knows tokens made by command.
func TestServeServesTheAPIs(t *testing.T) {
	r, url, dsn, _ := startServe(t)
	token := strings.TrimSpace(command(t, dsn, "token", "create", "test"))
	eventually(t, "the token is known", func() bool {
		status, _ := asked(t, url+"/api/v1/health", token)
		return status == http.StatusOK
	})
	if status := send(url+"/v1/track", writeKey, order("kim", "m1", 60)); status != 200 {
		t.Fatalf("a call is answered %d", status)
	}
	if status, text := asked(t, url+"/v1/spaces/mine/collections/users/profiles/user_id:kim/traits?class=audience", token); status != 200 || !strings.HasSuffix(text, `"traits":{"buyers":true}}`) {
		t.Errorf("a profile is answered %d: %s", status, text)
	}
	if status, text := asked(t, url+"/api/v1/audiences/buyers", token); status != 200 || !strings.Contains(text, `"size":1`) {
		t.Errorf("an audience is answered %d: %s", status, text)
	}
	if status, _ := asked(t, url+"/openapi.json", ""); status != 200 {
		t.Errorf("the description is answered %d", status)
	}
	command(t, dsn, "token", "delete", "test")
	eventually(t, "the token has ended", func() bool {
		status, _ := asked(t, url+"/api/v1/health", token)
		return status == http.StatusUnauthorized
	})
	if code := r.wait(t); code != exitOK {
		t.Errorf("it ended with %d", code)
	}
	if strings.Contains(r.err.String(), token) {
		t.Errorf("the log shows the token:\n%s", r.err.String())
	}
}

// At an address of their own the APIs are there and nowhere else, and none serves none.
func TestServeServesTheAPIsElsewhere(t *testing.T) {
	for _, c := range []struct {
		listen  string
		reached bool
	}{{"localhost:0", true}, {"none", false}} {
		dsn := pgtest.DSN(t)
		token := strings.TrimSpace(command(t, dsn, "token", "create", "test"))
		r := background(t, map[string]string{"DATABASE_URL": dsn}, "serve",
			"--config", writeFile(t, "muster.yaml", ""), "--listen", "127.0.0.1:0", "--api-listen", c.listen)
		front := r.serving(t)
		for _, path := range []string{"/api/v1/health", "/v1/spaces/mine/collections/users/profiles/user_id:kim/traits", "/openapi.yaml"} {
			if status, text := asked(t, front+path, token); status != http.StatusNotFound || strings.Contains(text, "Profile was not found") {
				t.Errorf("%s: %s at the Tracking API is answered %d: %s", c.listen, path, status, text)
			}
		}
		if own := r.err.attribute("serving the APIs", "listen"); (own != "") != c.reached {
			t.Errorf("%s: served at %q", c.listen, own)
		} else if own != "" {
			if status, text := asked(t, "http://"+own+"/api/v1/health", token); status != http.StatusOK {
				t.Errorf("%s: answered %d: %s", own, status, text)
			}
			if status, _ := asked(t, "http://"+own+"/metrics", ""); status != http.StatusNotFound {
				t.Errorf("metrics at the address of the APIs are answered %d", status)
			}
		}
		if code := r.wait(t); code != exitOK {
			t.Errorf("%s: it ended with %d", c.listen, code)
		}
	}
}

// A request that takes its time does not keep a server from stopping.
func TestServeStopsWithARequestAtWork(t *testing.T) {
	r, url, dsn, _ := startServe(t)
	token := strings.TrimSpace(command(t, dsn, "token", "create", "test", "--scope", "write"))
	pool := database(t, dsn)
	status := make(chan int)
	go func() {
		status <- regulate(t, url, token)
	}()
	eventually(t, "the person is suppressed", func() bool { return one[int](t, pool, `SELECT count(*) FROM muster.suppressions`) == 1 })
	if code := r.wait(t); code != exitOK {
		t.Errorf("it ended with %d", code)
	}
	if got := <-status; got != http.StatusServiceUnavailable {
		t.Errorf("the request is answered %d", got)
	}
}

// regulate suppresses somebody, which takes two seconds, and returns the status of the answer.
func regulate(t *testing.T, url, token string) int {
	body := strings.NewReader(`{"regulationType": "SUPPRESS_ONLY", "subjectType": "USER_ID", "subjectIds": ["kim"]}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/regulations", body)
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
