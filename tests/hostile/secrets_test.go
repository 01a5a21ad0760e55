package hostile_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Nothing that a busy muster says, in its log at its most talkative, in answers, metrics, commands,
// the database, or when it crashes, holds a secret that it was given or has made.
func TestSecretsAreNotShown(t *testing.T) {
	h := newHouse(t)
	said := make(map[string]string) // by where
	note := func(where, text string) { said[where] += text + "\n" }

	// Keys and tokens that are shown once, when they are made.
	ownKey := strings.TrimSpace(h.must("source", "create", "app"))
	rotated := strings.TrimSpace(h.must("source", "rotate", "app"))
	doomed := strings.TrimSpace(h.must("token", "create", "doomed"))
	h.must("token", "delete", "doomed")

	// Calls, with the key in every place where clients put it, rightly and wrongly.
	call := `{"type":"track","userId":"kim","event":"Seen","messageId":"s-%d","writeKey":%q,"traits":{"email":"kim@example.net"}}`
	for i, key := range []string{houseKey, ownKey, rotated, "wk-SECRET-that-nobody-has"} {
		text := fmt.Sprintf(call, i, key)
		for _, a := range []answer{
			h.ask("POST", "/v1/track", text),
			h.ask("POST", "/v1/track", text, basic(key)),
			h.ask("POST", "/v1/batch", `{"batch":[`+text+`,{"type":"track","event":""}],"writeKey":"`+key+`"}`),
			h.ask("POST", "/v1/batch", `{"writeKey":"`+key+`","batch":[{"type":"track"`),
			h.ask("POST", "/v1/batch", `{"writeKey":"`+key+`","batch":7}`),
			h.ask("POST", "/v1/track", `{"writeKey":"`+key+`","event":"`+strings.Repeat("x", 40_000)+`"}`, basic(key)),
			h.ask("POST", "/v1/track?writeKey="+key, text[:20]),
			h.ask("POST", "/v1/"+key, text),
			h.ask("PUT", "/v1/track", text, basic(key)),
			h.ask("GET", "/v1/projects/"+key+"/settings/x", ""),
			h.ask("DELETE", "/v1/projects/"+key+"/settings", ""),
			h.ask("GET", "/v1/pixel/track?data="+base64.URLEncoding.EncodeToString([]byte(text)), ""),
			h.ask("GET", "/v1/pixel/track?writeKey="+key+"&userId=kim&event=Seen", ""),
			h.ask("GET", "/v1/pixel/track?writeKey="+key+"&event="+strings.Repeat("y", 600), ""),
			h.ask("GET", "/"+key, ""),
		} {
			note("answers of the Tracking API", a.text)
		}
	}
	// Requests to the APIs, with the token where it belongs and where it does not.
	for _, token := range []string{h.read, h.write, doomed} {
		for _, path := range []string{
			"/api/v1/audiences", "/api/v1/audiences/seen", "/api/v1/audiences/seen/members", "/api/v1/audiences/seen/versions", "/api/v1/runs", "/api/v1/health",
			"/api/v1/sources", "/api/v1/sources/app", "/api/v1/calls", "/api/v1/calls?source=web", "/api/v1/destinations", "/api/v1/destinations/wrong", "/api/v1/dead-letters",
			"/api/v1/profiles/kim", "/api/v1/" + token, "/api/v1/runs?token=" + token, "/api/v1/profiles/user_id:" + token, "/openapi.json", "/metrics", "/healthz", "/readyz",
			"/v1/spaces/s/collections/users/profiles/user_id:kim/events",
		} {
			for _, header := range []string{bearer(token), basic(token), "Authorization: " + token} {
				// A path, or a parameter, that the client has sent may be quoted to it.
				note("answers of the APIs", strings.ReplaceAll(h.ask("GET", path, "", header).text, "user_id:"+token, ""))
			}
		}
		note("answers of the APIs", h.ask("POST", "/api/v1/sources", `{"name": "`+token[:8]+`!"}`, bearer(token), basic(token)).text)
		note("answers of the APIs", h.ask("POST", "/api/v1/audiences", `{"key": "x", "query": "event("}`, bearer(token)).text)
	}
	h.wait("a destination refuses, another is not there", func() bool {
		text := h.must("delivery", "lag")
		return strings.Contains(text, "halted") && strings.Contains(text, "failing")
	})
	h.wait("the debugger shows calls", func() bool { return strings.Contains(h.ask("GET", "/api/v1/calls", "", bearer(h.read)).text, "Seen") })
	for path, says := range map[string]string{
		"/metrics": "muster_calls_total", "/api/v1/destinations/wrong": "halted", "/api/v1/calls": "Seen", "/api/v1/sources": "app",
	} {
		a := h.ask("GET", path, "", bearer(h.read))
		if note("late answers", a.text); !strings.Contains(a.text, says) {
			t.Errorf("%s does not say %q: the test looks at nothing: %s", path, says, a)
		}
	}

	for _, args := range [][]string{
		{"doctor"},
		{"doctor", "-o", "json"},
		{"doctor", "--online"},
		{"export"},
		{"debug", "--limit", "0"},
		{"debug", "-o", "json", "--limit", "0"},
		{"delivery", "lag", "-o", "json"},
		{"delivery", "dead-letters", "-o", "json"},
		{"source", "list", "-o", "json"},
		{"source", "list", "-o", "csv"},
		{"token", "list", "-o", "json"},
		{"audience", "list", "-o", "json"},
		{"audience", "show", "seen", "-o", "json"},
		{"audience", "members", "seen", "-o", "json"},
		{"audience", "export", "seen"},
		{"run", "list", "-o", "json"},
		{"profile", "show", "kim", "-o", "json"},
		{"explain", "seen", "kim", "-o", "json"},
		{"destination", "check"},
		{"destination", "check", "-o", "json"},
		{"verify", "-o", "json"},
		{"plan"},
		{"plan", "-o", "json"},
		{"history", "seen", "-o", "json"},
		{"migrate", "status"},
		{"psql", "-c", "SELECT * FROM sources"},
		{"source", "create", "app"},
		{"token", "create", "reader"},
		{"audience", "list", "--database", strings.Replace(h.dsn, "port=", "port=1", 1)},
		{"audience", "list", "--database", "postgres://muster:" + housePassword + "@127.0.0.1:1/muster"},
		{"audience", "list", "--database", "postgres://muster:" + housePassword + "@127.0.0.1:port/muster"},
		{"audience", "list", "--database", "postgres://muster:" + housePassword + "@%zz/muster?sslmode=what"},
		{"audience", "list", "--database", "host=127.0.0.1 port=1 user=muster password=" + housePassword},
		{"audience", "list", "--database", "host=127.0.0.1 port='1 password='" + housePassword},
		{"migrate", "up", "--database", "postgres://muster:" + housePassword + "@127.0.0.1:1/muster?pool_max_conns=many"},
		{"serve", "--listen", "nowhere:x"},
	} {
		_, _, all := h.command(args...)
		note("muster "+strings.Join(args[:min(2, len(args))], " "), all)
	}
	// A configuration with mistakes around its secrets.
	path := filepath.Join(h.dir, "muster.yaml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"write_key: " + houseKey, "write_key: [" + houseKey + "]"},
		{"write_key: " + houseKey, "wrte_key: " + houseKey},
		{"token: " + houseToken, "token: {a: " + houseToken + "}"},
		{"api_secret: " + houseAPISecret, "api_secrt: " + houseAPISecret},
		{"name: web", "name: ''"},
		{"mixpanel_project_id: 42", "mixpanel_project_id: " + houseAccount},
		{"sources:", "database: postgres://muster:" + housePassword + "@127.0.0.1:port/x\nsources:"},
		{"sources:", "database: [" + housePassword + "]\nsources:"},
		{houseKey + "}", houseKey},
	} {
		if err := os.WriteFile(path, []byte(strings.Replace(string(good), change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"doctor"}, {"serve", "--listen", "127.0.0.1:0"}} {
			code, _, all := h.command(command...)
			if code != 1 {
				t.Errorf("with %q muster %s ends with %d: %s", change[1], command, code, all)
			}
			note("a wrong configuration", all)
		}
	}

	h.lookIntoDatabase(note)
	// It crashes, with everything at hand.
	if err := syscall.Kill(h.muster.PID(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if err := h.muster.Wait(); err == nil || !strings.Contains(h.log.String(), "goroutine ") {
		t.Errorf("it did not crash: %v", err)
	}
	note("the log", h.log.String())

	secrets := map[string]string{
		"the write key of the configuration": houseKey, "a write key": ownKey, "a newer write key": rotated, "a write key of nobody": "wk-SECRET-that-nobody-has",
		"a reader's token": h.read, "a writer's token": h.write, "an old token": doomed, "the password": housePassword, "a token of Mixpanel": houseToken[1:],
		"the API secret": houseAPISecret, "the secret of the service account": houseAccount,
	}
	if decoded, err := url.PathUnescape(housePassword); err != nil || decoded == housePassword {
		t.Fatal("the password has nothing to decode")
	} else {
		secrets["the password, decoded"] = decoded
	}
	for where, text := range said {
		if len(strings.TrimSpace(text)) == 0 {
			t.Logf("%s: nothing was said", where)
		}
		for name, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret + ":")), base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("%s shows %s: %s", where, name, text[max(0, i-200):min(len(text), i+len(form)+60)])
					break
				}
			}
		}
	}
}

// lookIntoDatabase notes all rows of all tables and views.
func (h *house) lookIntoDatabase(note func(where, text string)) {
	h.Helper()
	conn := h.connect()
	rows, err := conn.Query(h.Context(), `SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('muster', 'inspect')
		UNION ALL SELECT schemaname || '.' || viewname FROM pg_views WHERE schemaname IN ('muster', 'inspect')`)
	if err != nil {
		h.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(names) < 30 {
		h.Fatal(err, names)
	}
	for _, name := range names {
		rows, err := conn.Query(h.Context(), `SELECT coalesce(string_agg(t::text, E'\n'), '') FROM `+name+` t`)
		if err != nil {
			h.Fatal(err)
		}
		text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		if err != nil {
			h.Fatalf("%s: %v", name, err)
		}
		note(name, text)
	}
}
