package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// What is asked for badly is refused, with its place and in words.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	w.people(t, 2)
	w.must(t, "POST", "/api/v1/audiences", `{"key": "buyers", "query": "event('Order Completed').count() >= 1"}`)
	w.must(t, "POST", "/api/v1/sources", `{"name": "web"}`)
	w.settle(t)
	const audiences = "/api/v1/audiences"
	for _, c := range []struct {
		method, path, body string
		status             int
		field, says        string
	}{
		{"POST", audiences, `{"key": "x"`, 400, "", "no JSON"},
		{"POST", audiences, `{"key": "x", "key": "y"}`, 400, "key", "duplicate"},
		{"POST", audiences, `[]`, 422, "", "JSON object"},
		{"POST", audiences, `null`, 422, "", "JSON object"},
		{"POST", audiences, ``, 422, "query", "missing"},
		{"POST", audiences, `{"key": "x", "qery": "1"}`, 422, "qery", "no such field"},
		{"POST", audiences, `{"key": 7, "query": "1"}`, 422, "key", "number stands where"},
		{"POST", audiences, "{\"key\": \"a\\u0000b\"}", 422, "key", "U+0000"},
		{"POST", audiences, `{"key": "x", "query": "event('A').cuont() > 1"}`, 422, "query", "did you mean `count`?"},
		{"POST", audiences, `{"key": "x y", "query": "event('A').count() > 1"}`, 422, "", "a-z, 0-9 and _"},
		{"POST", audiences, `{"query": "event('A').count() > 1"}`, 422, "", "no key can be made"},
		{"POST", audiences, `{"key": "email", "query": "event('A').count() > 1"}`, 422, "", "choose another"},
		{"POST", audiences, `{"key": "x", "query": "event('A').within(1 day).count() > 1", "schedule": "often"}`, 422, "schedule", "often"},
		{"POST", audiences, `{"key": "x", "query": "event('A').count() > 1", "refresh": "never"}`, 422, "refresh", "use realtime"},
		{"POST", audiences, `{"key": "x", "query": "event('A').count() > 1", "backfill_days": -1}`, 422, "", "backfill_days"},
		{"POST", audiences, `{"key": "x", "query": "event('A').count() > 1", "connections": [{"destination": "nowhere"}]}`, 422, "", `no destination "nowhere"`},
		{"POST", audiences, `{"key": "x", "query": "event('A').count() > 1", "connections": [{"destination": "mixpanel"}, {"destination": "mixpanel"}]}`, 422, "connections[1].destination", "twice"},
		{"POST", audiences, `{"key": "x", "query": "event('A').count() > 1", "connections": [{"destination": "mixpanel", "emmit": "x"}]}`, 422, "connections[0].emmit", "no such field"},
		{"POST", audiences, `{"key": "x", "query": "event('A').count() > 1", "connections": [{"destination": "mixpanel", "emit": "x"}]}`, 422, "", "identify, track or both"},
		{"POST", audiences, `{"key": "buyers", "query": "event('A').count() > 1"}`, 409, "key", "PATCH"},
		{"POST", "/api/v1/computed-traits", `{"key": "buyers", "query": "event('A').count()"}`, 409, "key", "another key"},
		{"PATCH", audiences + "/buyers", `{"key": "sellers"}`, 422, "key", "cannot be changed"},
		{"PATCH", audiences + "/buyers", `{"include_anonymous": true}`, 422, "", "cannot be edited"},
		{"PATCH", audiences + "/nobody", `{}`, 404, "", "nobody: there is no such audience"},
		{"PATCH", "/api/v1/computed-traits/buyers", `{}`, 404, "", "buyers"},
		{"GET", "/api/v1/computed-traits/buyers", "", 404, "", "buyers"},
		{"DELETE", "/api/v1/computed-traits/buyers", "", 404, "", "buyers"},
		{"DELETE", audiences + "/buyers?cleanup=all", "", 400, "cleanup", "none, exit, unset"},
		{"POST", audiences + "/buyers/runs", "", 409, "", "realtime"},
		{"POST", audiences + "/nobody/runs", "", 404, "", "nobody"},
		{"POST", audiences + "/buyers/resync", `{"destination": "nowhere"}`, 422, "destination", "told to nobody"},
		{"POST", audiences + "/previews", `{}`, 422, "query", "missing"},
		{"POST", audiences + "/previews", `{"query": "event('A')"}`, 422, "query", ""},
		{"POST", audiences + "/previews", `{"query": "event('A').count() > 1", "timeout_seconds": 600}`, 422, "timeout_seconds", "1 to 60"},
		{"POST", audiences + "/previews", `{"query": "event('A').count() > 1", "samples": -1}`, 422, "samples", "0 to 100"},
		{"POST", audiences + "/previews", `{"query": "event('A').count() > 1", "profiles": -1}`, 422, "profiles", "negative"},
		{"GET", audiences + "?page=2", "", 400, "page", "pagination.count"},
		{"GET", audiences + "?pagination.count=0", "", 400, "pagination.count", "1 to 1000"},
		{"GET", audiences + "?pagination.count=1001", "", 400, "pagination.count", ""},
		{"GET", audiences + "?pagination.cursor=x", "", 400, "pagination.cursor", "no cursor"},
		{"GET", audiences + "?pagination.count=1&pagination.count=2", "", 400, "pagination.count", "twice"},
		{"GET", audiences + "?a=%zz", "", 400, "", "query cannot be read"},
		{"GET", audiences + "/buyers/size?days=-1", "", 400, "days", ""},
		{"GET", audiences + "/nobody/size", "", 404, "", "nobody"},
		{"GET", audiences + "/nobody/members", "", 404, "", "nobody"},
		{"GET", audiences + "/nobody/versions", "", 404, "", "nobody"},
		{"GET", audiences + "/nobody/references", "", 404, "", "nobody"},
		{"GET", audiences + "/buyers/explanation", "", 400, "profile", "TYPE:VALUE"},
		{"GET", audiences + "/buyers/explanation?profile=nobody", "", 404, "", "not found"},
		{"GET", audiences + "/nobody/explanation?profile=u1", "", 404, "", "nobody"},
		{"GET", audiences + "/buyers/explanation?profile=u1&at=yesterday", "", 400, "at", "2026-05-01"},
		{"GET", audiences + "/buyers/explanation?profile=u1&at=2030-01-01", "", 400, "at", "not come yet"},
		{"GET", "/api/v1/runs?kind=fast", "", 400, "kind", "slot, backfill"},
		{"GET", "/api/v1/runs?pagination.count=many", "", 400, "pagination.count", "1 to 1000"},
		{"GET", "/api/v1/runs/x", "", 400, "id", "number of a run"},
		{"GET", "/api/v1/runs/99999999999999999999", "", 400, "id", "number of a run"},
		{"GET", "/api/v1/runs/999999", "", 404, "id", "no such run"},
		{"POST", "/api/v1/sources", `{"name": "web"}`, 409, "", "already"},
		{"POST", "/api/v1/sources", `{"name": ""}`, 422, "", "1 to 64"},
		{"POST", "/api/v1/sources", `{"name": "app", "rate": -1}`, 422, "", "0.001 to 1000000"},
		{"PATCH", "/api/v1/sources/web", `{"rate": 1e300}`, 422, "", "0.001 to 1000000"},
		{"PATCH", "/api/v1/sources/nobody", `{"enabled": true}`, 404, "", "no such source"},
		{"GET", "/api/v1/sources/nobody", "", 404, "", "no such source"},
		{"POST", "/api/v1/sources/nobody/rotate", "", 404, "", "no such source"},
		{"POST", "/api/v1/sources/web/rotate", `{"grace_seconds": -1}`, 422, "grace_seconds", "0 to"},
		{"GET", "/api/v1/calls?source=nobody", "", 404, "", "no such source"},
		{"GET", "/api/v1/calls?outcome=good", "", 400, "outcome", "accepted"},
		{"GET", "/api/v1/calls?limit=501", "", 400, "limit", "500"},
		{"GET", "/api/v1/calls?after=x", "", 400, "after", "id of a call"},
		{"GET", "/api/v1/calls?id=:", "", 400, "id", "TYPE:VALUE"},
		{"GET", "/api/v1/destinations/nowhere", "", 404, "", "no such destination"},
		{"POST", "/api/v1/destinations/nowhere/pause", "", 404, "", "no such destination"},
		{"POST", "/api/v1/destinations/nowhere/resume", "", 404, "", "no such destination"},
		{"POST", "/api/v1/destinations/mixpanel/pause", `{"until": "tomorrow"}`, 422, "until", "no such field"},
		{"GET", "/api/v1/dead-letters?kind=lost", "", 400, "kind", "rejected"},
		{"POST", "/api/v1/dead-letters/retry", `{}`, 422, "", `"all": true`},
		{"POST", "/api/v1/dead-letters/drop", `{"ids": []}`, 422, "", `"all": true`},
		{"POST", "/api/v1/dead-letters/drop", `{"kind": "lost"}`, 422, "kind", "rejected"},
		{"POST", "/api/v1/dead-letters/drop", `{"ids": ["x"]}`, 422, "ids[0]", "string stands where"},
		{"GET", "/api/v1/profiles/nobody", "", 404, "", "not found"},
		{"GET", "/api/v1/profiles/email:", "", 400, "profile", "TYPE:VALUE"},
		{"GET", "/api/v1/profiles/u1?limit=1001", "", 400, "limit", "0 to 1000"},
		{"POST", "/api/v1/regulations", `{"regulationType": "FORGET", "subjectType": "USER_ID", "subjectIds": ["u1"]}`, 422, "regulationType", "SUPPRESS_ONLY"},
		{"POST", "/api/v1/regulations", `{"regulationType": "DELETE_ONLY", "subjectType": "USER_ID", "subjectIds": ["u1"]}`, 422, "regulationType", "ask Mixpanel"},
		{"POST", "/api/v1/regulations", `{"regulationType": "SUPPRESS_ONLY", "subjectIds": ["u1"]}`, 422, "subjectType", "EXTERNAL_ID"},
		{"POST", "/api/v1/regulations", `{"regulationType": "SUPPRESS_ONLY", "subjectType": "USER_ID", "subjectIds": []}`, 422, "subjectIds", "1 to 5000"},
		{"POST", "/api/v1/regulations", `{"regulationType": "SUPPRESS_ONLY", "subjectType": "USER_ID", "subjectIds": ["u1", ""]}`, 422, "subjectIds[1]", "empty"},
		{"POST", "/api/v1/regulations", `{"regulationType": "SUPPRESS_ONLY", "subjectType": "EXTERNAL_ID", "subjectIds": ["u1"]}`, 422, "subjectIds[0]", "TYPE:VALUE"},
		{"GET", "/api/v1/nothing", "", 404, "", "openapi.yaml"},
		{"GET", "/api/v1/audiences/", "", 404, "", "openapi.yaml"},
		{"PUT", "/api/v1/audiences/buyers", "{}", 405, "", "takes"},
		{"DELETE", "/api/v1/health", "", 405, "", "takes GET"},
	} {
		status, answer := w.call(t, w.write, c.method, c.path, c.body)
		errors, _ := answer["errors"].([]any)
		if len(errors) != 1 {
			t.Errorf("%s %s %s answers %d: %v", c.method, c.path, c.body, status, answer)
			continue
		}
		field, _ := in(errors[0], "field").(string)
		if status != c.status || field != c.field || !strings.Contains(in(errors[0], "message").(string), c.says) {
			t.Errorf("%s %s %s answers %d: %v, want %d about %q saying %q", c.method, c.path, c.body, status, errors[0], c.status, c.field, c.says)
		}
	}
	if d := w.diagnostics(t, `{"query": "event('A').cuont() > 1"}`); len(d) != 1 || in(d[0], "line") != 1.0 || in(d[0], "column") == nil {
		t.Errorf("diagnostics: %v", d)
	}
	if strings.Contains(w.log.String(), `"level":"ERROR"`) {
		t.Errorf("something failed:\n%s", w.log.String())
	}
}

func (w *world) diagnostics(t *testing.T, body string) []any {
	t.Helper()
	_, answer := w.call(t, w.write, "POST", "/api/v1/audiences/previews", body)
	list, _ := in(answer["errors"].([]any)[0], "data", "diagnostics").([]any)
	return list
}

func TestBadInputOfTheProfileAPI(t *testing.T) {
	w := newWorld(t)
	w.people(t, 1)
	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{users + "user_id:nobody/traits", 404, "not_found"},
		{users + "user_id:nobody/metadata", 404, "not_found"},
		{users + "u0/traits", 400, "validation_error"},
		{users + ":/traits", 400, "validation_error"},
		{users + "user_id:u0/traits?class=robot", 400, "validation_error"},
		{users + "user_id:u0/traits?verbose=perhaps", 400, "validation_error"},
		{users + "user_id:u0/traits?limit=0", 400, "validation_error"},
		{users + "user_id:u0/traits?limit=x", 400, "validation_error"},
		{users + "user_id:u0/traits?next=x", 400, "validation_error"},
		{users + "user_id:u0/events?start=yesterday", 400, "validation_error"},
		{users + "user_id:u0/events?sort=up", 400, "validation_error"},
		{users + "user_id:u0/events?end=%00", 400, "validation_error"},
		{users + "user_id:u0/secrets", 404, "not_found"},
		{"/v1/spaces/s/collections/accounts/profiles/group_id:acme/traits", 404, "not_found"},
		{"/v1/spaces/", 404, "not_found"},
	} {
		status, answer := w.call(t, w.read, "GET", c.path, "")
		if status != c.status || in(answer, "error", "code") != c.code {
			t.Errorf("%s answers %d: %v, want %d %s", c.path, status, answer, c.status, c.code)
		}
	}
	if _, answer := w.call(t, w.read, "GET", users+"user_id:nobody/traits", ""); in(answer, "error", "message") != "Profile was not found." {
		t.Errorf("nobody: %v", answer)
	}
	if status, answer := w.call(t, w.write, "POST", users+"user_id:u0/traits", ""); status != http.StatusMethodNotAllowed || in(answer, "error", "code") != "invalid_request_error" {
		t.Errorf("a POST answers %d: %v", status, answer)
	}
}

// Texts of clients reach the database as values only, wherever they stand.
func TestInjection(t *testing.T) {
	w := newWorld(t)
	w.people(t, 2)
	w.must(t, "POST", "/api/v1/audiences", `{"key": "buyers", "query": "event('Order Completed').count() >= 1", "connections": []}`)
	w.settle(t)
	texts := []string{
		`' OR '1'='1`, `'; DROP TABLE muster.profiles; --`, `buyers' UNION SELECT token_hash FROM muster.api_tokens --`, `%`, `_`, `\`, `"`, `$1`, `{}`,
		"a\x00b", "\xff\xfe", "..", "../../health", "/", "buyers/../buyers", "\u202e", strings.Repeat("x", 4000), "a\nb", "{key}", "%2e%2e", "${PATH}", "<script>", "😀",
	}
	for _, rt := range w.api.Routes() {
		if rt.Path == "/api/v1/regulations" {
			continue // takes its time; its ids come in the body, below
		}
		for _, text := range texts {
			path := rt.Path
			for _, name := range []string{"{key}", "{name}", "{id}", "{profile}", "{space}"} {
				path = strings.ReplaceAll(path, name, url.PathEscape(text))
			}
			query := make(url.Values)
			for _, name := range rt.Params {
				query.Set(name, text)
			}
			bodies := []string{""}
			if rt.Method != http.MethodGet && rt.Method != http.MethodDelete {
				bodies = []string{"", fmt.Sprintf(`{"name": %[1]q, "key": %[1]q, "query": %[1]q}`, text), fmt.Sprintf(`{"destination": %q}`, text), `{"connections": 1}`, text}
			}
			for _, body := range bodies {
				for _, address := range []string{path, path + "?" + query.Encode()} {
					token := w.write
					a := w.send(t, rt.Method, address, body, as(address, token))
					if a.status >= 500 || a.status < 300 && strings.Contains(path, url.PathEscape(`'`)) && rt.Method == http.MethodGet {
						t.Errorf("%s %.200s %.200s answers %d: %.300s", rt.Method, address, body, a.status, a.text)
					}
				}
			}
		}
	}
	for _, text := range texts[:8] {
		w.must(t, "POST", "/api/v1/dead-letters/drop", fmt.Sprintf(`{"destination": %q}`, text))
	}
	status, _ := w.call(t, w.write, "POST", "/api/v1/regulations", `{"regulationType": "DELETE_INTERNAL", "subjectType": "USER_ID", "subjectIds": ["' OR '1'='1", "%"]}`)
	if status != http.StatusOK {
		t.Errorf("nobody is deleted: %d", status)
	}
	var profiles, tokens, computations int
	err := w.store.Pool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM profiles), (SELECT count(*) FROM api_tokens), (SELECT count(*) FROM computations WHERE deleted_at IS NULL)`).
		Scan(&profiles, &tokens, &computations)
	if err != nil || profiles != 2 || tokens != 2 || computations != 1 {
		t.Errorf("%d profiles, %d tokens, %d computations are left: %v", profiles, tokens, computations, err)
	}
	if strings.Contains(w.log.String(), `"level":"ERROR"`) {
		t.Errorf("something failed:\n%.3000s", w.log.String())
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	if status, answer := w.call(t, w.write, "POST", "/api/v1/audiences", `{"description": "`+strings.Repeat("x", 3<<20)+`"}`); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body is answered %d: %v", status, answer)
	}
	if status, answer := w.call(t, w.write, "POST", "/api/v1/audiences", strings.Repeat(`{"a":`, 100_000)); status != http.StatusBadRequest {
		t.Errorf("a deep body is answered %d: %v", status, answer)
	}
	ids := strings.Repeat(`"u",`, 5000)
	if status, answer := w.call(t, w.write, "POST", "/api/v1/regulations", `{"regulationType": "UNSUPPRESS", "subjectType": "USER_ID", "subjectIds": [`+ids+`"u"]}`); status != http.StatusUnprocessableEntity {
		t.Errorf("5,001 subjects are answered %d: %v", status, answer)
	}
}

// Only so many requests work at a time: the others wait for their turn, and not for long.
func TestOnlySoManyWorkAtATime(t *testing.T) {
	w := newWorld(t)
	preview := func() int {
		status, _ := w.call(t, w.read, "POST", "/api/v1/audiences/previews", `{"query": "event('A').count() >= 1"}`)
		return status
	}
	runs := func() int {
		status, _ := w.call(t, w.read, "GET", "/api/v1/runs", "")
		return status
	}
	leave := w.api.Occupy(true, 50*time.Millisecond)
	if p, r := preview(), runs(); p != http.StatusServiceUnavailable || r != http.StatusOK {
		t.Errorf("while those that take long are at work, another is answered %d, and a quick one %d", p, r)
	}
	leave()
	leave = w.api.Occupy(false, 50*time.Millisecond)
	if p, r := preview(), runs(); p != http.StatusServiceUnavailable || r != http.StatusServiceUnavailable {
		t.Errorf("while all are at work, others are answered %d and %d", p, r)
	}
	if a := w.send(t, "GET", "/api/v1/runs", "", as("/api", w.read)); a.header.Get("Retry-After") != "5" {
		t.Errorf("a busy API says: %v", a.header)
	}
	leave()
	leave = w.api.Occupy(false, time.Minute)
	go func() {
		time.Sleep(50 * time.Millisecond)
		leave()
	}()
	if p := preview(); p != http.StatusOK {
		t.Errorf("after its turn has come, it is answered %d", p)
	}
	for range 3 {
		if p, r := preview(), runs(); p != http.StatusOK || r != http.StatusOK {
			t.Errorf("afterwards they are answered %d and %d", p, r)
		}
	}
}
