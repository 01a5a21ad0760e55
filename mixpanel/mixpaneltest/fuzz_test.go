package mixpaneltest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"muster/mixpanel/mixpaneltest"
)

// FuzzBodies sends arbitrary bodies to every endpoint in every id merge mode: the
// server never panics, always answers, and afterwards can show all that it holds.
func FuzzBodies(f *testing.F) {
	paths := []string{"/import?strict=1", "/import?strict=0", "/track?verbose=1", "/engage?verbose=1&strict=1", "/groups", "/_fake/faults", "/_fake/clock"}
	for i := range paths {
		for _, body := range []string{
			list(event("A"), event("B", "a", `[{"x":{"y":[1,2]}}]`)),
			list(event("$create_alias", "alias", `"b"`)),
			list(event("$merge", "$distinct_ids", `["a","b"]`)),
			list(event("$identify", "$identified_id", `"u"`, "$anon_id", quote(anon1))),
			list(update("u1", `"$set":{"a":1,"l":[{"x":null}]}`), update("u1", `"$union":{"l":["x",1]}`)),
			list(update("u1", `"$append":{"l":{}}`), update("u1", `"$remove":{"l":{}}`), update("u1", `"$add":{"n":1e308}`), update("u1", `"$unset":["n"]`)),
			`{"$token":"` + token + `","$group_key":"g","$group_id":"x","$set":{"a":"` + strings.Repeat("ü", 200) + `"}}`,
			`[{"kind":"partial","indexes":[0],"delay":"1ns"}]`, `{"now":"2026-01-01T00:00:00Z","advance":"1h"}`,
			"data=" + b64("[{}]"), "", "[", "null", "[[]]", "{\"event\":\"\xff\"}", `{"\u0000":"\ud800"}`, strings.Repeat("[", 500),
		} {
			f.Add(byte(i), byte(0), body)
			f.Add(byte(i), byte(1), body)
			f.Add(byte(i), byte(2), body)
		}
	}
	kinds := []string{"application/json", "application/x-ndjson", "application/x-www-form-urlencoded"}
	f.Fuzz(func(t *testing.T, path, kind byte, body string) {
		if len(body) > 64<<10 {
			return
		}
		for _, mode := range []mixpaneltest.IDMerge{mixpaneltest.Legacy, mixpaneltest.Original, mixpaneltest.Simplified} {
			s := mixpaneltest.NewServer(mixpaneltest.Options{
				Now: at(noon), ReplayByTime: path&128 != 0, EngageStrictAnswers: true,
				Projects: []mixpaneltest.Project{{Token: token, IDMerge: mode, GroupKeys: []string{"g"}}},
			})
			for range 2 {
				r := httptest.NewRequest(http.MethodPost, paths[int(path&127)%len(paths)], strings.NewReader(body))
				r.Header.Set("Content-Type", kinds[int(kind)%len(kinds)])
				r.SetBasicAuth(token, "")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code == 0 || w.Code >= 500 || w.Body.Len() == 0 {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				if b := jsontext.Value(w.Body.Bytes()); !b.IsValid() {
					t.Errorf("the answer is no JSON: %s", b)
				}
			}
			s.SetFaults()
			for _, show := range []string{"/_fake/profiles", "/_fake/groups", "/_fake/events?view=raw", "/_fake/events", "/_fake/violations", "/_fake/orphans", "/_fake/dropped", "/_fake/requests"} {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, show, nil))
				if w.Code != 200 {
					t.Errorf("%s: %d: %s", show, w.Code, w.Body)
				}
			}
			for _, e := range s.Events(token, mixpaneltest.Deduped) {
				s.Activity(token, e.DistinctID)
			}
		}
	})
}
