package mixpaneltest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/mixpanel/mixpaneltest"
)

func TestTrack(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	good := event("A")
	old := event("Old", "time", ms(noon.AddDate(0, 0, -5).Add(-time.Millisecond)))
	for _, c := range []struct {
		name string
		q    request
		want string
		kept int
		rule mixpaneltest.Rule
	}{
		{"list", request{path: "/track?ip=0", body: list(good)}, "1", 1, ""},
		{"object", request{path: "/track?ip=0", body: good}, "1", 1, ""},
		{"gzip", request{path: "/track?ip=0", body: list(good), gzip: true}, "1", 1, ""},
		{"form", request{path: "/track?ip=0", body: "data=" + strings.ReplaceAll(b64(good), "+", "%2B"), contentType: form}, "1", 1, ""},
		{"get", request{path: "/track?ip=0&data=" + strings.NewReplacer("+", "%2B", "/", "%2F").Replace(b64(good)), get: true}, "1", 1, ""},
		{"image", request{path: "/track?ip=0&img=1", body: good}, "GIF89a", 1, ""},
		{"no time", request{path: "/track?ip=0", body: event("A", "time", "-")}, "1", 1, ""},
		{"no distinct id", request{path: "/track?ip=0", body: event("A", "distinct_id", "-")}, "1", 1, ""},
		{"five days", request{path: "/track?ip=0", body: event("A", "time", ms(noon.AddDate(0, 0, -5)))}, "1", 1, ""},
		{"older", request{path: "/track?ip=0", body: list(good, old)}, "1", 1, mixpaneltest.RuleTooOld},
		{"no token", request{path: "/track?ip=0&verbose=1", body: event("A", "token", "-")}, `{"status":0,"error":"token, missing or empty"}`, 0, mixpaneltest.RuleInvalid},
		{"no event", request{path: "/track?ip=0&verbose=1", body: event("")}, `{"status":0,"error":"event, missing or empty"}`, 0, mixpaneltest.RuleInvalid},
		{"mixed", request{path: "/track?ip=0", body: list(good, event(""))}, "0", 1, mixpaneltest.RuleInvalid},
		{"bad time", request{path: "/track?ip=0", body: event("A", "time", "-5")}, "0", 0, mixpaneltest.RuleInvalid},
		{"merge", request{path: "/track?ip=0&verbose=1", body: event("$merge", "$distinct_ids", `["a","b"]`)}, `{"status":0,"error":"$merge, must be sent to /import"}`, 0, mixpaneltest.RuleInvalid},
		{"alias without ids", request{path: "/track?ip=0&verbose=1", body: event("$create_alias", "distinct_id", "-", "alias", `"a"`)}, `{"status":0,"error":"distinct_id, missing or empty"}`, 0, mixpaneltest.RuleInvalid},
		{"alias without alias", request{path: "/track?ip=0&verbose=1", body: event("$create_alias")}, `{"status":0,"error":"alias, missing or empty"}`, 0, mixpaneltest.RuleInvalid},
		{"nothing", request{path: "/track?ip=0", body: "[]"}, "0", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, mixpaneltest.Options{})
			if c.rule != "" {
				s.Expect(c.rule)
			}
			r := c.q.send(t, s)
			if r.status != 200 || !strings.HasPrefix(r.body, c.want) || c.want != "GIF89a" && r.body != c.want {
				t.Errorf("status %d: %s\n  want %s", r.status, r.body, c.want)
			}
			if n := s.EventCount(token, mixpaneltest.Raw); n != c.kept {
				t.Errorf("%d events are kept, want %d", n, c.kept)
			}
			for _, e := range s.Events(token, mixpaneltest.Raw) {
				if e.Geo != mixpaneltest.GeoSkipped || e.Endpoint != mixpaneltest.Track || e.Time.Before(noon.AddDate(0, 0, -5)) {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

func TestDeduplication(t *testing.T) {
	day := noon.Truncate(24 * time.Hour)
	sent := []struct{ changes []string }{
		{nil},
		{[]string{"n", "2"}}, // a copy: the later one wins
		{[]string{"$insert_id", `"i-2"`}},
		{[]string{"distinct_id", `"u2"`}},
		{[]string{"time", ms(noon.Add(-time.Second))}},
		{[]string{"time", ms(day.Add(-time.Millisecond))}},
	}
	for _, c := range []struct {
		compact bool
		want    int
	}{{false, 5}, {true, 4}} {
		s := start(t, mixpaneltest.Options{CompactByDay: c.compact})
		for _, e := range sent {
			send(t, s, event("A", e.changes...)).want(t, 200, imported(1))
		}
		send(t, s, event("B")).want(t, 200, imported(1))
		if n := s.EventCount(token, mixpaneltest.Raw); n != len(sent)+1 {
			t.Errorf("%d raw events, want %d", n, len(sent)+1)
		}
		view := s.Events(token, mixpaneltest.Deduped)
		if len(view) != c.want+1 {
			t.Errorf("compact %v: %d events, want %d: %+v", c.compact, len(view), c.want+1, view)
		}
		copies := 0
		for _, e := range view {
			if e.Name == "A" && e.InsertID == "i-1" && e.DistinctID == "u1" && e.Time.Equal(noon) {
				copies++
				if e.Properties["n"] != 2.0 {
					t.Errorf("the first copy won: %+v", e)
				}
			}
		}
		if want := map[bool]int{false: 1, true: 0}[c.compact]; copies != want { // with compaction the one a second earlier arrived later
			t.Errorf("compact %v: %d events at noon, want %d", c.compact, copies, want)
		}
	}
}

func TestKeepEvents(t *testing.T) {
	s := start(t, mixpaneltest.Options{KeepEvents: 3})
	for i := range 5 {
		send(t, s, event("A", "$insert_id", fmt.Sprintf(`"i-%d"`, i)), event("B", "$insert_id", fmt.Sprintf(`"i-%d"`, i)))
	}
	var kept []string
	for _, e := range s.Events(token, mixpaneltest.Raw) {
		kept = append(kept, e.Name+e.InsertID)
	}
	if want := []string{"Bi-3", "Ai-4", "Bi-4"}; !reflect.DeepEqual(kept, want) {
		t.Errorf("kept %v, want %v", kept, want)
	}
	if n := s.EventsReceived(token); n != 10 {
		t.Errorf("%d events received, want 10", n)
	}
}

func TestActivity(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	send(t, s, event("First", "time", ms(noon.Add(-time.Hour))), event("Second"), event("Second"), event("Else", "distinct_id", `"u2"`))
	var names []string
	for _, e := range s.Activity(token, "u1") {
		names = append(names, e.Name)
	}
	if want := []string{"Second", "First"}; !reflect.DeepEqual(names, want) {
		t.Errorf("activity %v, want %v", names, want)
	}
}
