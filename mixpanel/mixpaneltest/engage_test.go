package mixpaneltest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/mixpanel/mixpaneltest"
)

// TestOperations holds every operation to the state that it leaves. before and
// after are the properties of the profile as JSON, "" when there is none.
func TestOperations(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name, before, record, after string
	}{
		{"set creates", "", `"$set":{"a":1,"b":"x"}`, `{"a":1,"b":"x"}`},
		{"set nothing creates", "", `"$set":{}`, `{}`},
		{"set overwrites", `{"a":1,"b":2}`, `"$set":{"a":[]}`, `{"a":[],"b":2}`},
		{"set objects", "", `"$set":{"o":{"k":[1,{"x":null}]},"t":true}`, `{"o":{"k":[1,{"x":null}]},"t":true}`},
		{"set cuts", "", `"$set":{"` + long + `":"` + long + `"}`, `{"` + long[:255] + `":"` + long[:255] + `"}`},
		{"set huge number", "", `"$set":{"n":1e999}`, `{"n":1.7976931348623157e308}`},
		{"set deep", "", `"$set":{"a":` + strings.Repeat("[", 100) + `"[["` + strings.Repeat("]", 100) + `}`, `{"a":` + strings.Repeat("[", 100) + `"[["` + strings.Repeat("]", 100) + `}`},
		{"set escapes", "", `"$set":{"a\u0041\n":"\ud83d\ude00\""}`, `{"aA\n":"😀\""}`},

		{"set_once creates", "", `"$set_once":{"a":1}`, `{"a":1}`},
		{"set_once keeps", `{"a":1,"f":false,"e":[]}`, `"$set_once":{"a":2,"f":true,"e":[1],"b":3}`, `{"a":1,"f":false,"e":[],"b":3}`},

		{"add creates", "", `"$add":{"a":2.5}`, `{"a":2.5}`},
		{"add adds", `{"a":1}`, `"$add":{"a":2,"b":-3}`, `{"a":3,"b":-3}`},
		{"add subtracts", `{"a":39.95}`, `"$add":{"a":-39.95}`, `{"a":0}`},
		{"add to text", `{"a":"1"}`, `"$add":{"a":2}`, `{"a":"1"}`},

		{"append creates", "", `"$append":{"a":1}`, `{"a":[1]}`},
		{"append appends", `{"a":[1]}`, `"$append":{"a":1,"b":{"x":2}}`, `{"a":[1,1],"b":[{"x":2}]}`},
		{"append a list", `{"a":[1]}`, `"$append":{"a":[2]}`, `{"a":[1,[2]]}`},
		{"append to a number", `{"a":1}`, `"$append":{"a":2}`, `{"a":1}`},

		{"union creates", "", `"$union":{"a":["x",1,"x"]}`, `{"a":["x",1]}`},
		{"union keeps order", `{"a":["b","a"]}`, `"$union":{"a":["c","a","0"]}`, `{"a":["b","a","c","0"]}`},
		{"union knows types", `{"a":["1",{"x":1}]}`, `"$union":{"a":[1,1.0]}`, `{"a":["1",{"x":1},1]}`},
		{"union with text", `{"a":"x"}`, `"$union":{"a":["y"]}`, `{"a":"x"}`},

		{"remove all equal", `{"a":[1,2,1,"1"]}`, `"$remove":{"a":1}`, `{"a":[2,"1"]}`},
		{"remove an object", `{"a":[{"x":1},{"x":2}]}`, `"$remove":{"a":{"x":1}}`, `{"a":[{"x":2}]}`},
		{"remove the last", `{"a":[1]}`, `"$remove":{"a":1}`, `{"a":[]}`},
		{"remove no match", `{"a":[1],"b":2}`, `"$remove":{"a":3,"b":2,"c":1}`, `{"a":[1],"b":2}`},
		{"remove of nobody", "", `"$remove":{"a":1}`, ""},

		{"unset", `{"a":1,"b":2}`, `"$unset":["a","z"]`, `{"b":2}`},
		{"unset the last", `{"a":1}`, `"$unset":["a"]`, `{}`},
		{"unset of nobody", "", `"$unset":["a"]`, ""},

		{"delete", `{"a":1}`, `"$delete":""`, ""},
		{"delete null", `{"a":1}`, `"$delete":null`, ""},
		{"delete of nobody", "", `"$delete":true`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, mixpaneltest.Options{})
			if c.before != "" {
				engage(t, s, update("u1", `"$set":`+c.before)).want(t, 200, engaged)
			}
			engage(t, s, update("u1", c.record)).want(t, 200, engaged)
			wantProperties(t, s, "u1", c.after)
		})
	}
}

// wantProperties holds a profile to the properties in want; "" is no profile.
func wantProperties(t *testing.T, s *mixpaneltest.Server, id, want string) {
	t.Helper()
	profile, ok := s.Profile(token, id)
	if !ok || want == "" {
		if ok || want != "" {
			t.Errorf("profile of %s: %+v (there: %v), want %q", id, profile, ok, want)
		}
		return
	}
	got, err := json.Marshal(profile.Properties)
	if err != nil {
		t.Fatal(err)
	}
	if !sameJSON(t, string(got), want) {
		t.Errorf("profile of %s: %s, want %s", id, got, want)
	}
}

func TestEngageRefuses(t *testing.T) {
	invalid := []mixpaneltest.Rule{mixpaneltest.RuleInvalid}
	and := func(r mixpaneltest.Rule) []mixpaneltest.Rule { return []mixpaneltest.Rule{r, mixpaneltest.RuleInvalid} }
	for _, c := range []struct {
		name, record, message string
		rules                 []mixpaneltest.Rule
	}{
		{"no object", `[]`, "the record is not an object", invalid},
		{"no token", `{"$distinct_id":"u2","$set":{"a":1}}`, "$token, missing or empty", invalid},
		{"no distinct id", `{"$token":"` + token + `","$set":{"a":1}}`, "$distinct_id, missing or empty", invalid},
		{"empty distinct id", update("", `"$set":{"a":1}`), "$distinct_id, missing or empty", invalid},
		{"set of a list", update("u2", `"$set":[1]`), "$set, must be an object", invalid},
		{"add of text", update("u2", `"$add":{"a":"1"}`), `$add, "a": must be a number`, invalid},
		{"union of text", update("u2", `"$union":{"a":"x"}`), `$union, "a": must be a list`, invalid},
		{"union of nothing", update("u2", `"$union":{"a":[]}`), `$union, "a": must not be an empty list`, invalid},
		{"union of booleans", update("u2", `"$union":{"a":["x",true]}`), `$union, "a": must be a list of strings and numbers only`, invalid},
		{"union of objects", update("u2", `"$union":{"a":[{}]}`), `$union, "a": must be a list of strings and numbers only`, invalid},
		{"unset of an object", update("u2", `"$unset":{"a":""}`), "$unset, must be a list of property names", invalid},
		{"unset of numbers", update("u2", `"$unset":[1]`), "$unset, must be a list of property names", invalid},
		{"unset of nothing", update("u2", `"$unset":[]`), "$unset, must not be an empty list", invalid},
		{"bad text", update("u2", "\"$set\":{\"a\":\"K\xf6ln\"}"), "strings should be valid utf8", invalid},
		{"large list", update("u2", `"$set":{"a":["`+strings.Repeat("x", 256<<10)+`"]}`), `$set, "a": must not be larger than 262144 bytes`, invalid},
		{"deep", update("u2", `"$set":{"a":`+strings.Repeat("[", 101)+`"]["`+strings.Repeat("]", 101)+`}`), `$set, "a": must not be nested more than 100 deep`, invalid},
		{"two operations", update("u2", `"$set":{"a":1},"$add":{"b":1}`), "the record has more than one operation", and(mixpaneltest.RuleTwoOperations)},
		{"no operation", strings.Replace(update("u2", ""), ",}", "}", 1), "the record has no operation", and(mixpaneltest.RuleNoOperation)},
		{"time with a fraction", update("u2", `"$time":1.5,"$set":{"a":1}`), "$time, must be specified as seconds since epoch", and(mixpaneltest.RuleTimeNotInteger)},
		{"a megabyte", update("u2", `"$set":{"a":"`+strings.Repeat("x", 1<<20)+`"}`), "the record must be smaller than 1048576 bytes", and(mixpaneltest.RuleOversize)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, mixpaneltest.Options{})
			s.Expect(c.rules...)
			engage(t, s, update("u1", `"$set":{"a":1}`), c.record, update("u3", `"$set":{"a":3}`)).want(t, 200,
				fmt.Sprintf(`{"status":0,"error":%q}`, c.message))
			wantProperties(t, s, "u1", `{"a":1}`) // the good ones are applied all the same
			wantProperties(t, s, "u2", "")
			wantProperties(t, s, "u3", `{"a":3}`)
		})
	}
}

// TestBreaches are records that Mixpanel takes and a good sender does not send.
func TestBreaches(t *testing.T) {
	for _, c := range []struct {
		name string
		q    request
		rule mixpaneltest.Rule
	}{
		{"unknown key", request{path: "/engage?ip=0", body: list(update("u1", `"mp_lib":"x","$set":{}`))}, mixpaneltest.RuleUnknownKey},
		{"group key on a user", request{path: "/engage?ip=0", body: list(update("u1", `"$group_key":"x","$set":{}`))}, mixpaneltest.RuleUnknownKey},
		{"null", request{path: "/engage?ip=0", body: list(update("u1", `"$set":{"a":null}`))}, mixpaneltest.RuleNull},
		{"null once", request{path: "/engage?ip=0", body: list(update("u1", `"$set_once":{"a":null}`))}, mixpaneltest.RuleNull},
		{"one key twice", request{path: "/engage?ip=0", body: list(update("u1", `"$ip":0,"$set":{}`))}, mixpaneltest.RuleDuplicateName},
		{"one property twice", request{path: "/engage?ip=0", body: list(update("u1", `"$set":{"a":1,"a":2}`))}, mixpaneltest.RuleDuplicateName},
		{"brand", request{path: "/engage?ip=0", body: list(update("u1", `"$set":{"$brand":"x"}`))}, mixpaneltest.RuleForbidden},
		{"no ip=0", request{path: "/engage", body: list(update("u1", `"$set":{}`))}, mixpaneltest.RuleMissingIP},
		{"ip=1", request{path: "/engage?ip=1", body: list(update("u1", `"$set":{}`))}, mixpaneltest.RuleMissingIP},
		{"unknown token", request{path: "/engage?ip=0", body: `{"$token":"x","$distinct_id":"u1","$set":{}}`}, mixpaneltest.RuleOrphan},
		{"event key", request{path: "/import", body: list(strings.Replace(event("A"), "{", `{"x":1,`, 1))}, mixpaneltest.RuleUnknownKey},
		{"event key twice", request{path: "/import", body: list(strings.Replace(event("A"), "{", `{"event":"B",`, 1))}, mixpaneltest.RuleDuplicateName},
		{"property twice", request{path: "/import"}, mixpaneltest.RuleDuplicateName},
		{"lib version", request{path: "/import", body: list(event("A", "$lib_version", `"1"`))}, mixpaneltest.RuleForbidden},
		{"event brand", request{path: "/import", body: list(event("A", "$brand", `"1"`))}, mixpaneltest.RuleForbidden},
		{"other token", request{path: "/import", body: list(event("A", "token", `"x"`))}, mixpaneltest.RuleTokenMismatch},
		{"no ip", request{path: "/import", body: list(event("A", "ip", "-"))}, mixpaneltest.RuleGeoByRequest},
		{"no address", request{path: "/import", body: list(event("A", "ip", `"localhost"`))}, mixpaneltest.RuleGeoByRequest},
		{"track ip=1", request{path: "/track?ip=1", body: list(event("A", "ip", "-"))}, mixpaneltest.RuleGeoByRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "property twice" {
				e := event("A", "x", "1")
				c.q.body = list(e[:len(e)-2] + `,"x":2}}`)
			}
			s := start(t, mixpaneltest.Options{})
			s.Expect(c.rule)
			r := c.q.send(t, s)
			if r.status != 200 || r.body != "1" && !strings.Contains(r.body, `"code":200`) {
				t.Errorf("status %d: %s; a breach is not an error", r.status, r.body)
			}
			if got := rules(s); !reflect.DeepEqual(got, []mixpaneltest.Rule{c.rule}) {
				t.Errorf("violations %v, want only %s", s.Violations(), c.rule)
			}
		})
	}
}

func TestGzipIsNotForProfiles(t *testing.T) {
	for _, path := range []string{"/engage", "/groups"} {
		s := start(t, mixpaneltest.Options{})
		s.Expect(mixpaneltest.RuleGzip, mixpaneltest.RuleMalformed)
		request{path: path + "?ip=0&verbose=1", body: list(update("u1", `"$set":{}`)), gzip: true}.send(t, s).
			want(t, 200, `{"status":0,"error":"the endpoint does not support gzip encoding"}`)
		wantProperties(t, s, "u1", "")
	}
}

func TestEngageLimits(t *testing.T) {
	t.Run("records", func(t *testing.T) {
		s := start(t, mixpaneltest.Options{})
		records := strings.Split(strings.Repeat(update("u1", `"$add":{"n":1}`)+"\n", 1999)+update("u1", `"$add":{"n":1}`), "\n")
		engage(t, s, records...).want(t, 200, engaged)
		s.Expect(mixpaneltest.RuleTooManyRecords)
		engage(t, s, append(records, records[0])...).want(t, 200, `{"status":0,"error":"request has 2001 records, the limit is 2000"}`)
		wantProperties(t, s, "u1", `{"n":2000}`)
	})
	t.Run("properties", func(t *testing.T) {
		s := start(t, mixpaneltest.Options{Limits: mixpaneltest.Limits{ProfileProperties: 100}})
		object := func(from, to int) string {
			var parts []string
			for i := from; i < to; i++ {
				parts = append(parts, fmt.Sprintf(`"p%d":1`, i))
			}
			return `"$set":{` + strings.Join(parts, ",") + `}`
		}
		engage(t, s, update("u1", object(0, 99))).want(t, 200, engaged)
		engage(t, s, update("u1", object(50, 100))).want(t, 200, engaged)
		s.Expect(mixpaneltest.RuleInvalid)
		engage(t, s, update("u1", object(99, 101))).want(t, 200, `{"status":0,"error":"the profile would have more than 100 properties"}`)
		if p, _ := s.Profile(token, "u1"); len(p.Properties) != 100 {
			t.Errorf("%d properties", len(p.Properties))
		}
		engage(t, s, update("u1", `"$unset":["p0"]`), update("u1", `"$set":{"q":1}`)).want(t, 200, engaged)
	})
	t.Run("growing list", func(t *testing.T) {
		s := start(t, mixpaneltest.Options{Limits: mixpaneltest.Limits{ProfileValueBytes: 100}})
		text := `"` + strings.Repeat("x", 40) + `"`
		engage(t, s, update("u1", `"$append":{"l":`+text+`}`), update("u1", `"$append":{"l":`+text+`}`)).want(t, 200, engaged)
		s.Expect(mixpaneltest.RuleInvalid)
		engage(t, s, update("u1", `"$append":{"l":`+text+`}`)).want(t, 200, `{"status":0,"error":"the list \"l\" would be larger than 100 bytes"}`)
	})
	t.Run("body", func(t *testing.T) {
		s := start(t, mixpaneltest.Options{Limits: mixpaneltest.Limits{RequestBytes: 1000}})
		s.Expect(mixpaneltest.RuleOversize)
		if r := engage(t, s, update("u1", `"$set":{"a":"`+strings.Repeat("x", 1000)+`"}`)); r.status != 413 {
			t.Errorf("status %d: %s", r.status, r.body)
		}
	})
}

func TestEngageAnswers(t *testing.T) {
	good, bad := update("u1", `"$set":{}`), update("u1", `"$set":1`)
	for _, c := range []struct {
		name    string
		options mixpaneltest.Options
		q       request
		want    string
	}{
		{"plain", mixpaneltest.Options{}, request{path: "/engage?ip=0", body: list(good)}, "1"},
		{"plain bad", mixpaneltest.Options{}, request{path: "/engage?ip=0", body: list(bad)}, "0"},
		{"one object", mixpaneltest.Options{}, request{path: "/engage?ip=0", body: good}, "1"},
		{"trailing slash", mixpaneltest.Options{}, request{path: "/engage/?ip=0", body: good}, "1"},
		{"verbose 2", mixpaneltest.Options{}, request{path: "/engage?ip=0&verbose=2", body: good}, `{"status":1,"error":null}`},
		{"verbose 0", mixpaneltest.Options{}, request{path: "/engage?ip=0&verbose=0", body: good}, `1`},
		{"mixed", mixpaneltest.Options{}, request{path: "/engage?ip=0", body: list(good, bad)}, "0"},
		{"mixed, lenient", mixpaneltest.Options{LenientAnswers: true}, request{path: "/engage?ip=0", body: list(good, bad)}, "1"},
		{"all bad, lenient", mixpaneltest.Options{LenientAnswers: true}, request{path: "/engage?ip=0", body: list(bad)}, "0"},
		{"empty", mixpaneltest.Options{}, request{path: "/engage?ip=0", body: "[]"}, "0"},
		{"a number", mixpaneltest.Options{}, request{path: "/engage?ip=0&verbose=1", body: "7"}, `{"status":0,"error":"the body cannot be read: the data is neither a list of records nor a record"}`},
		{"form", mixpaneltest.Options{}, request{path: "/engage?ip=0", body: "data=" + b64(list(good)), contentType: "application/x-www-form-urlencoded"}, "1"},
		{"form with options", mixpaneltest.Options{}, request{path: "/engage", body: "ip=0&verbose=1&data=" + b64(good), contentType: "application/x-www-form-urlencoded"}, `{"status":1,"error":null}`},
		{"form, plain", mixpaneltest.Options{}, request{path: "/engage?ip=0", body: "data=%5B%5D", contentType: "application/x-www-form-urlencoded"}, "0"},
		{"form, empty", mixpaneltest.Options{}, request{path: "/engage?ip=0&verbose=1", body: "x=1", contentType: "application/x-www-form-urlencoded"}, `{"status":0,"error":"data, missing or empty"}`},
		{"form, garbage", mixpaneltest.Options{}, request{path: "/engage?ip=0&verbose=1", body: "data=%C3%BC", contentType: "application/x-www-form-urlencoded"}, `{"status":0,"error":"data, must be JSON or base64 of JSON"}`},
		{"get", mixpaneltest.Options{}, request{path: "/engage?ip=0&data=" + strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(b64(good)), get: true}, "1"},
		{"callback", mixpaneltest.Options{}, request{path: "/engage?ip=0&callback=f.g", body: good}, "f.g(1);"},
		{"bad callback", mixpaneltest.Options{}, request{path: "/engage?ip=0&callback=f<g", body: good}, "1"},
		{"strict is off", mixpaneltest.Options{}, request{path: "/engage?ip=0&strict=1", body: bad}, "0"},
		{"strict", mixpaneltest.Options{EngageStrictAnswers: true}, request{path: "/engage?ip=0&strict=1", body: list(good, bad)}, `{"code":400,"error":"some data points in the request failed validation","status":"Bad Request","num_good_events":1,"failed_records":[{"index":1,"field":"$set","message":"$set, must be an object"}]}`},
		{"strict good", mixpaneltest.Options{EngageStrictAnswers: true}, request{path: "/engage?ip=0&strict=1", body: list(good)}, `{"code":200,"status":"OK","num_good_events":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.options)
			s.Allow(mixpaneltest.RuleInvalid, mixpaneltest.RuleMalformed)
			if r := c.q.send(t, s); r.status != 200 || r.body != c.want {
				t.Errorf("status %d: %s\n  want %s", r.status, r.body, c.want)
			}
		})
	}
}

func TestLastSeenAndGeo(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	s.SetNow(noon)
	before := noon.Add(-time.Hour)
	for _, c := range []struct {
		record   string
		lastSeen time.Time
		geo      mixpaneltest.GeoSource
	}{
		{`"$ignore_time":true,"$set":{"a":1}`, time.Time{}, mixpaneltest.GeoSkipped},
		{`"$set":{"a":1}`, noon, mixpaneltest.GeoSkipped},
		{`"$time":` + ms(before) + `,"$unset":["a"]`, before, mixpaneltest.GeoSkipped},
		{`"$ignore_time":false,"$time":` + fmt.Sprint(before.Unix()+60) + `,"$add":{"a":1}`, before.Add(time.Minute), mixpaneltest.GeoSkipped},
		{`"$ignore_time":true,"$time":` + ms(noon) + `,"$set":{"a":1}`, before.Add(time.Minute), mixpaneltest.GeoSkipped},
	} {
		engage(t, s, update("u1", c.record)).want(t, 200, engaged)
		p, _ := s.Profile(token, "u1")
		if !p.LastSeen.Equal(c.lastSeen) || p.Geo != c.geo {
			t.Errorf("%s: last seen %v, geo %q; want %v, %q", c.record, p.LastSeen, p.Geo, c.lastSeen, c.geo)
		}
	}
	for _, c := range []struct {
		query, ip string
		geo       mixpaneltest.GeoSource
	}{
		{"?ip=0", "", mixpaneltest.GeoSkipped},
		{"?ip=0", `"$ip":"2001:db8::1",`, mixpaneltest.GeoGiven},
		{"?ip=1", `"$ip":0,`, mixpaneltest.GeoSkipped},
		{"?ip=1", `"$ip":"0",`, mixpaneltest.GeoSkipped},
		{"?ip=1", "", mixpaneltest.GeoRequest},
		{"", "", mixpaneltest.GeoRequest},
	} {
		s.Expect(mixpaneltest.RuleMissingIP)
		request{path: "/engage" + c.query, body: `{"$token":"` + token + `","$distinct_id":"u1",` + c.ip + `"$set":{"a":1}}`}.send(t, s)
		if p, _ := s.Profile(token, "u1"); p.Geo != c.geo {
			t.Errorf("query %q and %q: geo %q, want %q", c.query, c.ip, p.Geo, c.geo)
		}
	}
}

func TestReplayByTime(t *testing.T) {
	s := start(t, mixpaneltest.Options{ReplayByTime: true})
	step := func(seconds int, rest string) string {
		return update("u1", fmt.Sprintf(`"$time":%d,%s`, noon.Unix()+int64(seconds), rest))
	}
	engage(t, s, step(10, `"$set":{"a":"later"}`)).want(t, 200, engaged)
	engage(t, s, step(5, `"$set":{"a":"earlier","b":1}`)).want(t, 200, engaged) // arrives late, is replayed first
	wantProperties(t, s, "u1", `{"a":"later","b":1}`)
	engage(t, s, step(10, `"$set":{"a":"vanishes"}`)).want(t, 200, engaged) // shares its time and key
	wantProperties(t, s, "u1", `{"a":"later","b":1}`)
	engage(t, s, step(10, `"$union":{"l":["x"]}`), step(12, `"$union":{"l":["y"]}`), step(11, `"$append":{"l":"z"}`)).want(t, 200, engaged)
	wantProperties(t, s, "u1", `{"a":"later","b":1,"l":["x","z","y"]}`)
	engage(t, s, step(13, `"$set":{"l":[1,2,1]}`), step(14, `"$remove":{"l":1}`), step(15, `"$unset":["a"]`)).want(t, 200, engaged)
	wantProperties(t, s, "u1", `{"b":1,"l":[2]}`) // each replay starts from what was sent
	engage(t, s, step(20, `"$delete":""`)).want(t, 200, engaged)
	wantProperties(t, s, "u1", "")
}

func TestGroups(t *testing.T) {
	s := start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token, GroupKeys: []string{"company"}}}})
	group := func(rest string) reply {
		return request{
			path: "/groups?ip=0&verbose=1",
			body: `[{"$token":"` + token + `","$group_key":"company","$group_id":"acme",` + rest + `}]`,
		}.send(t, s)
	}
	want := func(properties string) {
		t.Helper()
		g, ok := s.Group(token, "company", "acme")
		if !ok || properties == "" {
			if ok || properties != "" {
				t.Errorf("group %+v (there: %v), want %q", g, ok, properties)
			}
			return
		}
		got, err := json.Marshal(g.Properties)
		if err != nil || g.Key != "company" || g.ID != "acme" {
			t.Fatal(g, err)
		}
		if !sameJSON(t, string(got), properties) {
			t.Errorf("group %s, want %s", got, properties)
		}
	}
	for _, c := range []struct{ record, after string }{
		{`"$unset":["a"]`, ""},
		{`"$set":{"name":"Acme","n":1}`, `{"name":"Acme","n":1}`},
		{`"$set_once":{"name":"x","plan":"pro"}`, `{"name":"Acme","n":1,"plan":"pro"}`},
		{`"$union":{"tags":["a","b"]}`, `{"name":"Acme","n":1,"plan":"pro","tags":["a","b"]}`},
		{`"$remove":{"tags":"a"}`, `{"name":"Acme","n":1,"plan":"pro","tags":["b"]}`},
		{`"$unset":["tags","plan"]`, `{"name":"Acme","n":1}`},
		{`"$delete":""`, ""},
	} {
		group(c.record).want(t, 200, engaged)
		want(c.after)
	}
	if n := s.ProfileCount(token); n != 0 {
		t.Errorf("%d user profiles came from groups", n)
	}

	s.Expect(mixpaneltest.RuleInvalid, mixpaneltest.RuleOrphan, mixpaneltest.RuleUnknownKey)
	for _, op := range []string{"$add", "$append"} {
		group(`"`+op+`":{"n":1}`).want(t, 200, `{"status":0,"error":"is not supported for groups"}`)
	}
	for _, c := range []struct{ body, message string }{
		{`{"$token":"` + token + `","$group_id":"acme","$set":{}}`, "$group_key, missing or empty"},
		{`{"$token":"` + token + `","$group_key":"company","$set":{}}`, "$group_id, missing or empty"},
		{`{"$token":"` + token + `","$group_key":"company","$group_id":7,"$set":{}}`, "$group_id, missing or empty"},
	} {
		request{path: "/groups?ip=0&verbose=1", body: c.body}.send(t, s).want(t, 200, fmt.Sprintf(`{"status":0,"error":%q}`, c.message))
	}
	request{path: "/groups?ip=0&verbose=1", body: `{"$token":"` + token + `","$group_key":"city","$group_id":"x","$distinct_id":"u","$set":{}}`}.
		send(t, s).want(t, 200, engaged)
	if o := s.Orphans(); len(o) != 1 || o[0].Reason != mixpaneltest.OrphanUnknownGroupKey {
		t.Errorf("orphans %+v", o)
	}
	for range s.Groups(token) {
		t.Error("a group is left")
	}
}

func TestOrphans(t *testing.T) {
	options := mixpaneltest.Options{Region: "eu", Projects: []mixpaneltest.Project{{Token: "here", Region: "eu"}, {Token: "there", Region: "us"}}}
	s := start(t, options)
	s.Expect(mixpaneltest.RuleOrphan)
	record := func(token string) string {
		return fmt.Sprintf(`{"$token":%q,"$distinct_id":"u","$set":{"a":1}}`, token)
	}
	request{path: "/engage?ip=0&verbose=1", body: list(record("nowhere"), record("here"), record("there"))}.send(t, s).want(t, 200, engaged)
	request{path: "/import?strict=1", body: list(event("A", "token", "-")), user: "there"}.send(t, s).want(t, 200, imported(1))
	request{path: "/track?ip=0&verbose=1", body: list(event("A", "token", `"nowhere"`))}.send(t, s).want(t, 200, engaged)
	var got []string
	for _, o := range s.Orphans() {
		got = append(got, fmt.Sprintf("%s %d %s %s", o.Endpoint, o.Index, o.Token, o.Reason))
	}
	want := []string{"engage 0 nowhere unknown_token", "engage 2 there foreign_token", "import 0 there foreign_token", "track 0 nowhere unknown_token"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("orphans %q\n  want %q", got, want)
	}
	if s.ProfileCount("here") != 1 || s.ProfileCount("there") != 0 || s.EventCount("there", mixpaneltest.Raw) != 0 {
		t.Error("an orphan was kept in a project")
	}
}
