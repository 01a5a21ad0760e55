package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const users = "/v1/spaces/mine/collections/users/profiles/"

// ask asks the Profile API, and expects success.
func (w *world) ask(t *testing.T, path string) object {
	t.Helper()
	status, answer := w.call(t, w.read, "GET", path, "")
	if status != http.StatusOK {
		t.Fatalf("GET %s answers %d: %v", path, status, answer)
	}
	return answer
}

func (w *world) profileRoutes(t *testing.T) {
	w.take(
		t, `{"type":"group","messageId":"g1","userId":"u4","groupId":"acme","traits":{"plan":"gold"}}`,
		`{"type":"page","messageId":"p1","anonymousId":"a-1","userId":"u4","name":"Docs","timestamp":"2026-05-11T10:00:00Z","context":{"ip":"1.2.3.4"}}`,
	)
	for _, base := range []string{"/v1/spaces/mine", "/v1/namespaces/mine"} {
		for _, part := range []string{"traits", "external_ids", "metadata", "links"} {
			w.ask(t, base+"/collections/accounts/profiles/group_id:acme/"+part)
		}
		base += "/collections/users/profiles/"
		got := w.ask(t, base+"email:u4@example.net/traits")
		if !cmp.Equal(in(got, "traits"), any(object{"big_spenders": true, "email": "u4@example.net", "orders": 5.0, "orders_30d": 5.0, "plan": "pro", "reader": true, "recent": true})) {
			t.Errorf("traits: %v", got)
		}
		got = w.ask(t, base+"anonymous_id:a-1/external_ids")
		ids := got["data"].([]any)
		if len(ids) != 3 || in(ids[0], "collection") != "users" || in(ids[2], "id") != "a-1" || in(ids[2], "first_message_id") != "p1" {
			t.Errorf("ids: %v", got)
		}
		got = w.ask(t, base+"user_id:u4/events?limit=3")
		page := got["data"].([]any)[0].(object)
		if page["event"] != "Page Viewed" || page["type"] != "track" || page["message_id"] != "p1" || page["source_id"] != "import" ||
			in(page, "properties", "page_name") != "Docs" || in(page, "context", "ip") != "1.2.3.4" || len(page["external_ids"].([]any)) != 3 ||
			!strings.HasPrefix(in(page, "related", "users").(string), "use_") {
			t.Errorf("the latest event: %v", page)
		}
		got = w.ask(t, base+"user_id:u4/metadata")
		if m := in(got, "metadata").(object); m["created_at"] != "2026-05-10T12:00:00Z" || m["expires_at"] != nil || m["last_message_id"] != "p1" || m["last_source_id"] != "import" || m["first_message_id"] != "i4" {
			t.Errorf("metadata: %v", m)
		}
		got = w.ask(t, base+"user_id:u4/links")
		if l := got["data"].([]any); len(l) != 1 || in(l[0], "to_collection") != "accounts" || in(l[0].(object)["external_ids"].([]any)[0], "id") != "acme" {
			t.Errorf("links: %v", got)
		}
	}
}

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	var calls []string
	for i := range 5 {
		calls = append(calls, fmt.Sprintf(`{"type":"group","messageId":"g%d","userId":"u%d","groupId":"acme","timestamp":"2026-05-0%dT00:00:00Z","traits":{"plan":"gold","seats":%d}}`, i, i, i+1, i))
	}
	w.take(t, calls...)
	for _, base := range []string{"/v1/spaces/mine/collections/accounts/profiles/group_id:acme/", "/v1/namespaces/mine/collections/accounts/profiles/group_id:acme/"} {
		if got := w.ask(t, base+"traits?include=plan,seats"); !cmp.Equal(in(got, "traits"), any(object{"plan": "gold", "seats": 4.0})) {
			t.Errorf("traits: %v", got)
		}
		if got := w.ask(t, base+"traits?class=audience"); len(in(got, "traits").(object)) != 0 {
			t.Errorf("computed traits of an account: %v", got)
		}
		if got := w.ask(t, base+"external_ids")["data"].([]any); len(got) != 1 || in(got[0], "id") != "acme" || in(got[0], "type") != "group_id" {
			t.Errorf("ids: %v", got)
		}
		if got := in(w.ask(t, base+"metadata"), "metadata").(object); got["created_at"] != "2026-05-10T12:00:00Z" || got["expires_at"] != nil {
			t.Errorf("metadata: %v", got)
		}
		var people []string
		pages := w.pages(t, base+"links?limit=2", []string{"data"}, []string{"cursor", "next"}, func(e any) string {
			return in(e.(object)["external_ids"].([]any)[0], "id").(string)
		}, "next")
		for _, page := range pages {
			people = append(people, page...)
		}
		if slices.Sort(people); len(pages) != 3 || !slices.Equal(people, []string{"u0", "u1", "u2", "u3", "u4"}) {
			t.Errorf("people: %v", pages)
		}
	}
	for _, path := range []string{"group_id:other/traits", "user_id:u0/metadata", "group_id:acme/events"} {
		if status, answer := w.call(t, w.read, "GET", "/v1/spaces/mine/collections/accounts/profiles/"+path, ""); status != http.StatusNotFound || in(answer, "error", "code") != "not_found" {
			t.Errorf("%s is answered %d: %v", path, status, answer)
		}
	}
}

func TestProfileTraits(t *testing.T) {
	w := newWorld(t)
	w.people(t, 3)
	w.must(t, "POST", "/api/v1/audiences", `{"key": "pros", "query": "trait('plan') = 'pro'"}`)
	w.must(t, "POST", "/api/v1/computed-traits", `{"key": "last_revenue", "query": "event('Order Completed').last(property('revenue'))"}`)
	w.settle(t)
	w.take(t, `{"type":"identify","messageId":"x1","userId":"u1","timestamp":"2026-05-10T11:00:00Z","traits":{"plan":"free","a b":[1,{"c":null}],"gone":1}}`,
		`{"type":"identify","messageId":"x2","userId":"u1","timestamp":"2026-05-10T11:30:00Z","traits":{"gone":null}}`)
	for query, want := range map[string]object{
		"":                        {"a b": []any{1.0, object{"c": nil}}, "email": "u1@example.net", "last_revenue": 10.0, "plan": "free", "pros": false},
		"?class=audience":         {"pros": false},
		"?class=computed_trait":   {"last_revenue": 10.0},
		"?include=plan,nothing":   {"plan": "free"},
		"?include=pros":           {"pros": false}, // left: false; who never was a member has no such key
		"?limit=1":                {"a b": []any{1.0, object{"c": nil}}},
		"?limit=1000&strange=yes": {"a b": []any{1.0, object{"c": nil}}, "email": "u1@example.net", "last_revenue": 10.0, "plan": "free", "pros": false},
	} {
		got := w.ask(t, users+"user_id:u1/traits"+query)
		if diff := cmp.Diff(any(want), in(got, "traits")); diff != "" {
			t.Errorf("traits%s: %s", query, diff)
		}
	}
	if got := w.ask(t, users+"user_id:u1/traits?limit=1000"); in(got, "cursor", "limit") != 200.0 {
		t.Errorf("the limit is not cut: %v", got["cursor"])
	}
	got := w.ask(t, users+"user_id:u1/traits?verbose=true&include=plan")
	if plan := in(got, "traits", "plan").(object); plan["value"] != "free" || plan["updated_at"] != "2026-05-10T11:00:00Z" {
		t.Errorf("verbose: %v", plan)
	}
	w.take(t, `{"type":"identify","messageId":"x3","userId":"new","traits":{"plan":"free"}}`)
	if got := w.ask(t, users+"user_id:new/traits?include=pros"); len(in(got, "traits").(object)) != 0 {
		t.Errorf("of who never was a member: %v", got)
	}
}

func TestProfileEvents(t *testing.T) {
	w := newWorld(t)
	w.take(
		t, `{"type":"track","messageId":"1","userId":"u","event":"A","timestamp":"2026-05-01T00:00:00Z"}`,
		`{"type":"track","messageId":"2","userId":"u","event":"B","timestamp":"2026-05-02T00:00:00Z"}`,
		`{"type":"track","messageId":"3","userId":"u","event":"A","timestamp":"2026-05-03T00:00:00Z"}`,
		`{"type":"track","messageId":"4","userId":"other","event":"A","timestamp":"2026-05-03T00:00:00Z"}`,
	)
	for query, want := range map[string]string{
		"":                                 "3 2 1",
		"?sort=asc":                        "1 2 3",
		"?include=A":                       "3 1",
		"?exclude=A":                       "2",
		"?start=2026-05-02":                "3 2",
		"?end=2026-05-02T00:00:00Z":        "2 1",
		"?start=2026-05-02&end=2026-05-02": "2",
		"?include=C":                       "",
	} {
		var got []string
		for _, e := range w.ask(t, users+"user_id:u/events"+query)["data"].([]any) {
			got = append(got, in(e, "message_id").(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("events%s: %v, want %s", query, got, want)
		}
	}
}

// Ids may hold any character, and are split at the first colon.
func TestProfilesAreFoundByAnyID(t *testing.T) {
	w := newWorld(t)
	w.take(t, `{"type":"identify","messageId":"1","userId":"a/b:c d+%2F..//é?#","traits":{"email":"Kim+x@Example.net","n":1}}`)
	for _, id := range []string{"user_id:a/b:c d+%2F..//é?#", "email:kim+x@example.net", "EMAIL: KIM+X@example.net"} {
		if got := w.ask(t, users+url.PathEscape(id)+"/traits?include=n"); in(got, "traits", "n") != 1.0 {
			t.Errorf("%s: %v", id, got)
		}
	}
}
