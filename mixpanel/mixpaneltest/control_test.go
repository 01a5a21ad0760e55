package mixpaneltest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/mixpanel/mixpaneltest"
)

func get(t *testing.T, s *mixpaneltest.Server, path string, v any) reply {
	t.Helper()
	r := request{path: path, get: true}.send(t, s)
	if v != nil {
		if err := json.Unmarshal([]byte(r.body), v); err != nil {
			t.Fatalf("%s: %v: %s", path, err, r.body)
		}
	}
	return r
}

func TestInspectionOverHTTP(t *testing.T) {
	s := start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token, GroupKeys: []string{"company"}}}})
	s.Expect(mixpaneltest.RuleOrphan, mixpaneltest.RuleTooOld)
	engage(t, s, update("u1", `"$set":{"plan":"pro"}`), `{"$token":"x","$distinct_id":"lost","$set":{}}`)
	request{path: "/groups?ip=0", body: `{"$token":"` + token + `","$group_key":"company","$group_id":"acme","$set":{"n":3}}`}.send(t, s)
	send(t, s, event("A"), event("A"), event("B", "distinct_id", `"u2"`))
	request{path: "/track?ip=0", body: event("Old", "time", "86400000")}.send(t, s)

	var profile mixpaneltest.Profile
	get(t, s, "/_fake/profile?token="+token+"&distinct_id=u1", &profile)
	if profile.DistinctID != "u1" || profile.Properties["plan"] != "pro" || !profile.LastSeen.Equal(noon) {
		t.Errorf("profile %+v", profile)
	}
	if r := get(t, s, "/_fake/profile?distinct_id=u2", nil); r.status != 404 || !strings.Contains(r.body, "u2") {
		t.Errorf("%d: %s", r.status, r.body)
	}
	if r := get(t, s, "/_fake/profile?token=x&distinct_id=u1", nil); r.status != 404 {
		t.Errorf("%d: %s", r.status, r.body)
	}
	var group mixpaneltest.Group
	get(t, s, "/_fake/group?key=company&id=acme", &group)
	if group.Properties["n"] != 3.0 {
		t.Errorf("group %+v", group)
	}
	for path, want := range map[string]int{
		"/_fake/profiles":                           1,
		"/_fake/groups":                             1,
		"/_fake/groups?limit=0":                     0,
		"/_fake/events":                             2,
		"/_fake/events?view=dedup":                  2,
		"/_fake/events?view=raw":                    3,
		"/_fake/events?view=raw&limit=1":            1,
		"/_fake/events?view=raw&name=A":             2,
		"/_fake/events?distinct_id=u2":              1,
		"/_fake/activity?distinct_id=u1":            1,
		"/_fake/orphans":                            1,
		"/_fake/dropped":                            1,
		"/_fake/violations":                         2,
		"/_fake/activity?distinct_id=u1&limit=1000": 1,
	} {
		var list []map[string]any
		if get(t, s, path, &list); len(list) != want {
			t.Errorf("%s: %d, want %d: %v", path, len(list), want, list)
		}
	}
	for _, path := range []string{"/_fake/events?view=cooked", "/_fake/events?limit=x", "/_fake/profiles?limit=-1"} {
		if r := get(t, s, path, nil); r.status != 400 {
			t.Errorf("%s: %d: %s", path, r.status, r.body)
		}
	}
	var log struct {
		Totals map[string]struct {
			Requests int            `json:"requests"`
			Statuses map[string]int `json:"statuses"`
			Longest  string         `json:"longest"`
		} `json:"totals"`
		Recent []struct {
			Endpoint string `json:"endpoint"`
		} `json:"recent"`
	}
	get(t, s, "/_fake/requests?limit=2", &log)
	if log.Totals["import"].Statuses["200"] != 1 || len(log.Recent) != 2 || log.Recent[1].Endpoint != "track" {
		t.Errorf("requests %+v", log)
	}
	if _, err := time.ParseDuration(log.Totals["import"].Longest); err != nil {
		t.Error(err)
	}
}

func TestIndex(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	send(t, s, event("A"))
	r := get(t, s, "/", nil)
	for _, want := range []string{"This is not Mixpanel", "POST /engage", "GET  /_fake/profile ", "POST /_fake/clock", token, "1 events", "2026-11-24T12:00:00Z"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the index does not say %q:\n%s", want, r.body)
		}
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept", "application/json")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var index struct {
		Requests int `json:"requests"`
		Paths    []struct {
			Method string `json:"method"`
			Path   string `json:"path"`
		} `json:"paths"`
	}
	if err := json.UnmarshalRead(res.Body, &index); err != nil || index.Requests != 1 || len(index.Paths) < 10 {
		t.Fatalf("%v: %+v", err, index)
	}
	for _, p := range index.Paths { // what is listed is there
		r := request{path: p.Path, get: p.Method == "GET"}.send(t, s)
		if r.status == 405 || strings.Contains(r.body, "no such path") {
			t.Errorf("%s %s: %d", p.Method, p.Path, r.status)
		}
	}
	if r := get(t, s, "/_fake/nothing", nil); r.status != 404 {
		t.Errorf("unknown path: %d", r.status)
	}
	if r := get(t, s, "/_fake/reset", nil); r.status != 405 || r.header.Get("Allow") != "POST" {
		t.Errorf("GET of reset: %d", r.status)
	}
	if r := get(t, s, "/import", nil); r.status != 405 {
		t.Errorf("GET of import: %d", r.status)
	}
}

func TestSteeringOverHTTP(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	post := func(path, body string, status int) reply {
		t.Helper()
		r := request{path: path, body: body}.send(t, s)
		if r.status != status {
			t.Errorf("%s %s: %d: %s", path, body, r.status, r.body)
		}
		return r
	}
	post("/_fake/clock", `{"now":"2030-01-02T03:04:05Z"}`, 200).want(t, 200, `{"now":"2030-01-02T03:04:05Z"}`)
	post("/_fake/clock", `{"advance":"90m"}`, 200).want(t, 200, `{"now":"2030-01-02T04:34:05Z"}`)
	post("/_fake/clock", `{"run":true}`, 200).want(t, 200, `{"now":"2026-11-24T12:00:00Z"}`)
	post("/_fake/clock", `{"advance":"-12h"}`, 200).want(t, 200, `{"now":"2026-11-24T00:00:00Z"}`)
	post("/_fake/clock", `{"advance":5}`, 400)
	post("/_fake/clock", `{"later":true}`, 400)
	post("/_fake/clock", ``, 400)

	post("/_fake/faults", `[{"endpoint":"engage","kind":"status","status":429,"retry_after":"7s","count":-1}]`, 200)
	if r := engage(t, s, update("u1", `"$set":{}`)); r.status != 429 || r.header.Get("Retry-After") != "7" {
		t.Errorf("status %d, %v", r.status, r.header)
	}
	post("/_fake/faults", `{"kind":"zero"}`, 200)
	engage(t, s, update("u1", `"$set":{}`)).want(t, 200, `{"status":0,"error":"refused by the fault script"}`)
	post("/_fake/faults", `[]`, 200)
	engage(t, s, update("u1", `"$set":{}`)).want(t, 200, engaged)
	for _, bad := range []string{`[{"kind":"flood"}]`, `[{"kind":"zero","when":"now"}]`, `[`, `{"kind":"delay","delay":"soon"}`, `{"kind":"delay","delay":3}`} {
		post("/_fake/faults", bad, 400)
	}

	post("/_fake/reset", "", 200)
	if s.ProfileCount(token) != 0 || s.Requests().Totals[mixpaneltest.Engage].Requests != 0 || !s.Now().Equal(noon) {
		t.Error("something is left after the reset")
	}
}

func TestReset(t *testing.T) {
	s := start(t, mixpaneltest.Options{AliasSettle: -1, Projects: []mixpaneltest.Project{{Token: token, GroupKeys: []string{"g"}}}})
	engage(t, s, update("u1", `"$set":{}`), `{"$token":"x","$distinct_id":"lost","$set":{}}`)
	request{path: "/groups?ip=0", body: `{"$token":"` + token + `","$group_key":"g","$group_id":"x","$set":{}}`}.send(t, s)
	identity(t, s, "$create_alias", "distinct_id", `"a"`, "alias", `"b"`)
	send(t, s, event("A"), event("I", "$ignore", "true"))
	s.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultZero})
	s.Reset()
	if len(s.Violations())+len(s.Orphans())+len(s.DroppedEvents())+s.ProfileCount(token)+s.EventsReceived(token) != 0 {
		t.Error("something is left")
	}
	for range s.Groups(token) {
		t.Error("a group is left")
	}
	engage(t, s, update("b", `"$set":{"n":1}`)).want(t, 200, engaged) // no fault, no alias
	wantProperties(t, s, "a", "")
}

func TestProfileValues(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	engage(t, s, update("u1", `"$set":{"vip":true}`), update("u2", `"$set":{"vip":false}`), update("u3", `"$set":{"other":1}`), update("u4", `"$set":{"vip":[1]}`))
	got := s.AllProfileValues(token, "vip")
	if len(got) != 3 || got["u1"] != true || got["u2"] != false || got["u4"].([]any)[0] != 1.0 {
		t.Errorf("values %v", got)
	}
	got["u4"].([]any)[0] = 2.0 // a caller cannot reach into the server
	wantProperties(t, s, "u4", `{"vip":[1]}`)
	for id := range s.ProfileValues(token, "vip") { // nor does a loop that asks for more block
		if _, ok := s.Profile(token, id); !ok {
			t.Error(id)
		}
		break
	}
	if n := len(s.AllProfileValues("nobody", "vip")); n != 0 {
		t.Errorf("%d values of an unknown project", n)
	}
}
