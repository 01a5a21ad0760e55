package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/store"
)

// pages follows a list to its end, by what names the next page, and returns what is in each.
func (w *world) pages(t *testing.T, path string, list, next []string, name func(any) string, cursorParam string) (pages [][]string) {
	t.Helper()
	address, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		status, answer := w.call(t, w.read, "GET", address.String(), "")
		if status != http.StatusOK {
			t.Fatalf("%s answers %d: %v", address, status, answer)
		}
		var page []string
		switch entries := in(answer, list...).(type) {
		case []any:
			for _, e := range entries {
				page = append(page, name(e))
			}
		case object:
			for key := range entries {
				page = append(page, key)
			}
			slices.Sort(page)
		}
		pages = append(pages, page)
		cursor, _ := in(answer, next...).(string)
		if more := in(answer, "cursor", "has_more"); more != nil && more != (cursor != "") {
			t.Errorf("%s: has_more is %v with the cursor %q", address, more, cursor)
		}
		if cursor == "" {
			return pages
		}
		query := address.Query()
		query.Set(cursorParam, cursor)
		address.RawQuery = query.Encode()
	}
	t.Fatalf("%s does not end", path)
	return nil
}

// field reads a field of an entry.
func field(path ...string) func(any) string {
	return func(e any) string { return fmt.Sprint(in(e, path...)) }
}

// Pages of a list together are the list: nothing twice, nothing left out.
func TestPages(t *testing.T) {
	w := newWorld(t)
	w.people(t, 7)
	var calls []string
	for i := range 5 {
		calls = append(calls, fmt.Sprintf(`{"type":"group","messageId":"g%d","userId":"u0","groupId":"acme-%d"}`, i, i),
			fmt.Sprintf(`{"type":"identify","messageId":"e%d","userId":"u0","anonymousId":"a-%d","traits":{"trait %d":%d}}`, i, i, i, i),
			fmt.Sprintf(`{"type":"track","messageId":"t%d","userId":"u0","event":"Seen","timestamp":"2026-05-05T00:00:00Z"}`, i)) // all at once
	}
	w.wait(time.Minute)
	w.take(t, calls...)
	for i := range 5 {
		w.must(t, "POST", "/api/v1/audiences", fmt.Sprintf(`{"key": "a%d", "query": "event('Order Completed').count() >= 1"}`, i))
		w.must(t, "POST", "/api/v1/sources", fmt.Sprintf(`{"name": "s%d"}`, i))
	}
	w.settle(t)
	profileNext := []string{"cursor", "next"}
	for _, c := range []struct {
		path       string
		list, next []string
		name       func(any) string
		want       string // "" only says that there are seven, each once
	}{
		{"/api/v1/audiences?pagination.count=2", []string{"data", "audiences"}, []string{"data", "pagination", "next"}, field("key"), "a0 a1|a2 a3|a4"},
		{"/api/v1/audiences?pagination.count=5", []string{"data", "audiences"}, []string{"data", "pagination", "next"}, field("key"), "a0 a1 a2 a3 a4"},
		{"/api/v1/sources?pagination.count=4", []string{"data", "sources"}, []string{"data", "pagination", "next"}, field("name"), "import s0 s1 s2|s3 s4"},
		{"/api/v1/audiences/a0/members?pagination.count=3", []string{"data", "members"}, []string{"data", "pagination", "next"}, field("profile"), ""},
		{"/api/v1/runs?pagination.count=2&kind=backfill", []string{"data", "runs"}, []string{"data", "pagination", "next"}, field("key"), "a4 a3|a2 a1|a0"},
		{users + "user_id:u0/traits?limit=3&include=plan,trait 0,trait 1,trait 2,a0,a1", []string{"traits"}, profileNext, nil, "a0 a1 plan|trait 0 trait 1 trait 2"},
		{users + "user_id:u0/external_ids?limit=4", []string{"data"}, profileNext, field("id"), "u0@example.net u0 a-0 a-1|a-2 a-3 a-4"},
		{users + "user_id:u0/events?limit=4", []string{"data"}, profileNext, field("message_id"), "t4 t3 t2 t1|t0 o0-0"},
		{users + "user_id:u0/events?limit=4&sort=asc", []string{"data"}, profileNext, field("message_id"), "o0-0 t0 t1 t2|t3 t4"},
		{users + "user_id:u0/links?limit=2", []string{"data"}, profileNext, func(e any) string {
			return in(e.(object)["external_ids"].([]any)[0], "id").(string)
		}, "acme-0 acme-1|acme-2 acme-3|acme-4"},
	} {
		param := "pagination.cursor"
		if strings.HasPrefix(c.path, users) {
			param = "next"
		}
		var texts, all []string
		for _, page := range w.pages(t, strings.ReplaceAll(c.path, " ", "%20"), c.list, c.next, c.name, param) {
			texts, all = append(texts, strings.Join(page, " ")), append(all, page...)
		}
		slices.Sort(all)
		if got := strings.Join(texts, "|"); c.want != "" && got != c.want || c.want == "" && (len(texts) != 3 || len(slices.Compact(all)) != 7) {
			t.Errorf("%s: %s, want %s", c.path, got, c.want)
		}
	}
}

// A cursor leads on in its own list only, for the token that it was given to.
func TestCursorsAreSealed(t *testing.T) {
	w := newWorld(t)
	w.people(t, 4)
	for _, key := range []string{"a", "b"} {
		w.must(t, "POST", "/api/v1/audiences", fmt.Sprintf(`{"key": %q, "query": "event('Order Completed').count() >= 1"}`, key))
	}
	w.settle(t)
	const list = "/api/v1/audiences/a/members?pagination.count=2"
	_, answer := w.call(t, w.read, "GET", list, "")
	cursor := in(answer, "data", "pagination", "next").(string)
	if status, answer := w.call(t, w.read, "GET", list+"&pagination.cursor="+cursor, ""); status != http.StatusOK || in(answer, "data", "pagination", "current") != cursor {
		t.Fatalf("the second page is answered %d: %v", status, answer)
	}
	if status, _ := w.call(t, w.read, "GET", "/api/v1/audiences/a/members?pagination.count=1&pagination.cursor="+cursor, ""); status != http.StatusOK {
		t.Errorf("another length of pages is answered %d", status)
	}
	other := w.token(t, "other", store.ScopeRead)
	w.wait(time.Second)
	for name, c := range map[string]struct{ token, path, cursor string }{
		"another token": {other, list, cursor},
		"another list":  {w.read, "/api/v1/audiences/b/members?pagination.count=2", cursor},
		"another API":   {w.read, users + "user_id:u0/events", cursor},
		"shortened":     {w.read, list, cursor[:len(cursor)-3]},
		"extended":      {w.read, list, cursor + "AAAA"},
		"changed":       {w.read, list, strings.Map(func(r rune) rune { return r ^ 1 }, cursor[:1]) + cursor[1:]},
		"made up":       {w.read, list, "eyJCdWNrZXQiOjAsIlByb2ZpbGVJRCI6MH0"},
	} {
		param, sign := "pagination.cursor", "&"
		if strings.HasPrefix(c.path, users) {
			param, sign = "next", "?"
		}
		if status, answer := w.call(t, c.token, "GET", c.path+sign+param+"="+url.QueryEscape(c.cursor), ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	for _, page := range w.pages(t, users+"user_id:u0/events?limit=1&include=Order%20Completed", []string{"data"}, []string{"cursor", "next"}, field("event"), "next") {
		if len(page) != 1 {
			t.Errorf("a page of events: %v", page)
		}
	}
}
