package mixpaneltest_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/mixpanel/mixpaneltest"
)

func ms(t time.Time) string { return fmt.Sprint(t.UnixMilli()) }

func TestImportJudgesEveryEvent(t *testing.T) {
	const (
		badTime  = "'properties.time' is invalid: must be specified as seconds since epoch"
		badID    = "'properties.distinct_id' is invalid: must not be a placeholder such as 'null' or 'anonymous'"
		badWords = "'$insert_id' is invalid: must not be a placeholder such as 'null' or '0'"
		badChars = "'$insert_id' is invalid: must only contain alphanumeric or hyphen '-' characters"
	)
	deep := func(levels int) string {
		return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
	}
	many := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]"
	}
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":1`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	cases := []struct {
		name    string
		event   string
		field   string // "" when the event is good
		message string
		rules   []mixpaneltest.Rule // besides invalid_record
		idMerge mixpaneltest.IDMerge
	}{
		{name: "good", event: event("A")},
		{name: "seconds", event: event("A", "time", fmt.Sprint(noon.Unix()))},
		{name: "an old event", event: event("A", "time", ms(noon.AddDate(-20, 0, 0)))},
		{name: "first good instant", event: event("A", "time", "31536000")},
		{name: "1e11 is milliseconds", event: event("A", "time", "100000000000")},
		{name: "below are seconds", event: event("A", "time", "99999999999"), field: "properties.time", message: badTime},
		{name: "an hour ahead", event: event("A", "time", ms(noon.Add(time.Hour)))},
		{name: "empty distinct id", event: event("A", "distinct_id", `""`)},
		{name: "numeric distinct id", event: event("A", "distinct_id", `17`)},
		{name: "36 bytes of insert id", event: event("A", "$insert_id", `"92322da4-9fad-581d-9be4-0cba4b7cfd19"`)},
		{name: "an address", event: event("A", "ip", `"203.0.113.9"`)},
		{name: "three levels", event: event("A", "o", deep(3))},
		{name: "254 elements", event: event("A", "l", many(254))},
		{name: "254 keys", event: event("A", "o", keys(254))},
		{name: "long string", event: event("A", "s", `"`+strings.Repeat("x", 5000)+`"`)},

		{name: "not an object", event: `17`, field: "event", message: "'event' is invalid: must not be missing"},
		{name: "no name", event: `{"properties":{}}`, field: "event", message: "'event' is invalid: must not be missing"},
		{name: "empty name", event: event(""), field: "event", message: "'event' is invalid: must not be missing"},
		{name: "no properties", event: `{"event":"A"}`, field: "properties.time", message: "'properties.time' is invalid: must not be missing"},
		{name: "no time", event: event("A", "time", "-"), field: "properties.time", message: "'properties.time' is invalid: must not be missing"},
		{name: "null time", event: event("A", "time", "null"), field: "properties.time", message: "'properties.time' is invalid: must not be missing"},
		{
			name: "time with a fraction", event: event("A", "time", "1790000000.5"), field: "properties.time", message: badTime,
			rules: []mixpaneltest.Rule{mixpaneltest.RuleTimeNotInteger},
		},
		{
			name: "time as text", event: event("A", "time", `"1790000000"`), field: "properties.time", message: badTime,
			rules: []mixpaneltest.Rule{mixpaneltest.RuleTimeNotInteger},
		},
		{name: "before 1971", event: event("A", "time", "31535999"), field: "properties.time", message: badTime},
		{name: "negative time", event: event("A", "time", "-9223372036854775808"), field: "properties.time", message: badTime},
		{name: "more than an hour ahead", event: event("A", "time", ms(noon.Add(time.Hour+time.Millisecond))), field: "properties.time", message: badTime},
		{name: "no distinct id", event: event("A", "distinct_id", "-"), field: "properties.distinct_id", message: "'properties.distinct_id' is invalid: must not be missing"},
		{name: "no insert id", event: event("A", "$insert_id", "-"), field: "$insert_id", message: "'$insert_id' is invalid: must not be missing"},
		{name: "37 bytes of insert id", event: event("A", "$insert_id", `"`+strings.Repeat("x", 37)+`"`), field: "$insert_id", message: "'$insert_id' is invalid: must have at most 36 bytes"},
		{name: "insert id with a colon", event: event("A", "$insert_id", `"ajs-next:1"`), field: "$insert_id", message: badChars},
		{name: "insert id with an umlaut", event: event("A", "$insert_id", `"grün"`), field: "$insert_id", message: badChars},
		{name: "insert id undefined", event: event("A", "$insert_id", `"undefined"`), field: "$insert_id", message: badWords},
		{name: "insert id 0", event: event("A", "$insert_id", `0`), field: "$insert_id", message: badWords},
		{name: "bad text", event: event("A", "city", "\"K\xf6ln\""), field: "properties.city", message: "'properties.city' is invalid: string should be valid utf8"},
		{name: "bad text inside", event: event("A", "city", "[{\"x\":\"K\xf6ln\"}]"), field: "properties.city", message: "'properties.city' is invalid: string should be valid utf8"},
		{name: "bad text in the name", event: strings.Replace(event("A"), `"A"`, "\"\xff\"", 1), field: "event", message: "'event' is invalid: string should be valid utf8"},
		{name: "255 properties", event: event("A", propertyList(250)...), field: "properties", message: "'properties' is invalid: must have at most 254 properties"},
		{name: "254 properties", event: event("A", propertyList(249)...)},
		{name: "four levels", event: event("A", "o", deep(4)), field: "properties", message: "'properties' is invalid: o: objects must be nested at most 3 deep"},
		{name: "four levels in lists", event: event("A", "o", `[{"a":[{"a":{"a":[{}]}}]}]`), field: "properties", message: "'properties' is invalid: o: objects must be nested at most 3 deep"},
		{name: "255 elements", event: event("A", "l", many(255)), field: "properties", message: "'properties' is invalid: l: a list must have at most 254 elements"},
		{name: "a large list", event: event("A", "l", `["`+strings.Repeat("x", 8<<10)+`"]`), field: "properties", message: "'properties' is invalid: l: a list must have at most 8192 bytes"},
		{name: "255 keys", event: event("A", "o", keys(255)), field: "properties", message: "'properties' is invalid: o: an object must have at most 254 keys"},
		{
			name: "a megabyte", event: event("A", "s", `"`+strings.Repeat("x", 1<<20)+`"`), field: "properties",
			message: "'properties' is invalid: the event must be smaller than 1048576 bytes", rules: []mixpaneltest.Rule{mixpaneltest.RuleOversize},
		},

		{name: "simplified, no id", event: event("A", "distinct_id", "-"), field: "properties.distinct_id", message: "'properties.distinct_id' is invalid: must not be missing", idMerge: mixpaneltest.Simplified},
		{name: "simplified, device", event: event("A", "distinct_id", "-", "$device_id", `"d"`), idMerge: mixpaneltest.Simplified},
		{name: "simplified, user", event: event("A", "distinct_id", "-", "$user_id", `"u"`), idMerge: mixpaneltest.Simplified},
		{name: "original, device", event: event("A", "distinct_id", "-", "$device_id", `"d"`), field: "properties.distinct_id", message: "'properties.distinct_id' is invalid: must not be missing", idMerge: mixpaneltest.Original},
	}
	for _, id := range []string{
		`"00000000-0000-0000-0000-000000000000"`, `"anon"`, `"anonymous"`, `"Anonymous"`, `"nil"`, `"none"`, `"null"`, `"n/a"`, `"NA"`,
		`"undefined"`, `"unknown"`, `"<nil>"`, `"0"`, `0`, `"-1"`, `-1`, `"true"`, `true`, `false`, `[]`, `"[]"`, `{}`, `"{}"`,
	} {
		c := cases[0]
		c.name, c.event, c.field, c.message = "distinct id "+id, event("A", "distinct_id", id), "properties.distinct_id", badID
		cases = append(cases, c)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token, IDMerge: c.idMerge}}})
			good := event("Good", "$insert_id", `"good"`)
			r := send(t, s, good, c.event)
			if c.field == "" {
				r.want(t, 200, imported(2))
				if n := s.EventCount(token, mixpaneltest.Raw); n != 2 {
					t.Errorf("%d events are kept, want 2", n)
				}
				return
			}
			s.Expect(append(c.rules, mixpaneltest.RuleInvalid)...)
			var got struct {
				Code     int                         `json:"code"`
				Error    string                      `json:"error"`
				Imported int                         `json:"num_records_imported"`
				Status   string                      `json:"status"`
				Failed   []mixpaneltest.FailedRecord `json:"failed_records"`
			}
			if err := json.Unmarshal([]byte(r.body), &got, json.RejectUnknownMembers(true)); err != nil {
				t.Fatal(err, r.body)
			}
			if r.status != 400 || got.Code != 400 || got.Imported != 1 || got.Status != "Bad Request" ||
				got.Error != "some data points in the request failed validation" || len(got.Failed) != 1 {
				t.Fatalf("status %d: %s", r.status, r.body)
			}
			if f := got.Failed[0]; f.Index != 1 || f.Field != c.field || f.Message != c.message {
				t.Errorf("failed record %+v\n  want index 1, field %s: %s", f, c.field, c.message)
			}
			events := s.Events(token, mixpaneltest.Raw)
			if len(events) != 1 || events[0].Name != "Good" {
				t.Errorf("kept %v, want only the good event", events)
			}
		})
	}
}

func propertyList(n int) (changes []string) {
	for i := range n {
		changes = append(changes, fmt.Sprintf("p%d", i), "1")
	}
	return changes
}

func TestImportFailedRecordNamesTheInsertID(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	s.Expect(mixpaneltest.RuleInvalid)
	send(t, s, event("A", "$insert_id", `"abc-1"`, "time", "1")).want(t, 400, `{"code":400,
		"error":"some data points in the request failed validation","status":"Bad Request","num_records_imported":0,
		"failed_records":[{"index":0,"insert_id":"abc-1","field":"properties.time",
		"message":"'properties.time' is invalid: must be specified as seconds since epoch"}]}`)
}

func TestImportWithoutStrict(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	s.Expect(mixpaneltest.RuleInvalid)
	r := request{path: "/import?strict=0", body: list(
		event("Dropped", "distinct_id", `"null"`),
		event("Twice", "$insert_id", "-"),
		event("Twice", "$insert_id", "-"),
		event("Ahead", "time", ms(noon.Add(48*time.Hour))),
	)}.send(t, s)
	r.want(t, 200, imported(3))
	events := s.Events(token, mixpaneltest.Deduped)
	if len(events) != 3 || events[0].Name != "Twice" || events[1].Name != "Twice" || !events[2].Time.Equal(noon) {
		t.Errorf("events %+v; want both without an insert id, and the one ahead at noon", events)
	}
	if d := s.DroppedEvents(); len(d) != 1 || !strings.Contains(d[0].Record, "Dropped") {
		t.Errorf("dropped %+v", d)
	}
}

func TestImportBodies(t *testing.T) {
	a, b := event("A", "$insert_id", `"a"`), event("B", "$insert_id", `"b"`)
	refused := func(text string) string {
		return fmt.Sprintf(`{"code":400,"error":%q,"status":"Bad Request","num_records_imported":0,"failed_records":[]}`, text)
	}
	cases := []struct {
		name   string
		q      request
		status int
		answer string // its beginning, when it is no whole JSON
		rule   mixpaneltest.Rule
	}{
		{"array", request{body: list(a, b)}, 200, imported(2), ""},
		{"charset", request{body: list(a, b), contentType: "application/json; charset=utf-8"}, 200, imported(2), ""},
		{"gzip", request{body: list(a, b), gzip: true}, 200, imported(2), ""},
		{"ndjson", request{body: a + "\n\n" + b + "\r\n", contentType: "application/x-ndjson"}, 200, imported(2), ""},
		{"ndjson gzip", request{body: a + "\n" + b, contentType: "application/x-ndjson", gzip: true}, 200, imported(2), ""},
		{"trailing slash", request{path: "/import/?strict=1", body: list(a)}, 200, imported(1), ""},
		{"no strict is strict", request{path: "/import", body: list(a)}, 200, imported(1), ""},
		{"nothing", request{body: "[]"}, 200, nobody, ""},
		{"one object", request{body: a}, 400, refused("the body cannot be read: the body must be a list of events, it is one object"), mixpaneltest.RuleMalformed},
		{"text", request{body: list(a), contentType: "text/plain"}, 400, refused(`unsupported content type "text/plain", use application/json or application/x-ndjson`), mixpaneltest.RuleMalformed},
		{"deflate", request{body: list(a), encoding: "deflate"}, 400, refused(`unknown content encoding "deflate"`), mixpaneltest.RuleMalformed},
		{"broken JSON", request{body: "[" + a}, 400, `{"code":400,`, mixpaneltest.RuleMalformed},
		{"broken line", request{body: a + "\n{", contentType: "application/x-ndjson"}, 400, refused("the body cannot be read: line 2 is not JSON"), mixpaneltest.RuleMalformed},
		{"more behind", request{body: list(a) + "[]"}, 400, refused("the body cannot be read: there is something behind the end of the data"), mixpaneltest.RuleMalformed},
		{"empty", request{}, 400, `{"code":400,`, mixpaneltest.RuleMalformed},
		{"no gzip", request{body: list(a), encoding: "gzip"}, 400, `{"code":400,`, mixpaneltest.RuleMalformed},
		{"2000", request{body: list(strings.Split(strings.Repeat(a+"\n", 1999)+a, "\n")...)}, 200, imported(2000), ""},
		{"2001", request{body: list(strings.Split(strings.Repeat(a+"\n", 2000)+a, "\n")...)}, 400, refused("request has 2001 records, the limit is 2000"), mixpaneltest.RuleTooManyRecords},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, mixpaneltest.Options{})
			if c.rule != "" {
				s.Expect(c.rule)
			}
			if c.q.path == "" {
				c.q.path = "/import?strict=1"
			}
			r := c.q.send(t, s)
			if strings.HasSuffix(c.answer, ",") {
				if r.status != c.status || !strings.HasPrefix(r.body, c.answer) {
					t.Errorf("status %d: %s", r.status, r.body)
				}
			} else {
				r.want(t, c.status, c.answer)
			}
			if c.status != 200 && s.EventCount(token, mixpaneltest.Raw) != 0 {
				t.Error("something was imported")
			}
		})
	}
}

func TestImportTooLarge(t *testing.T) {
	for _, c := range []struct {
		limit int
		text  string
	}{{0, "10485760"}, {2 << 20, "2097152"}} {
		for _, zipped := range []bool{false, true} {
			s := start(t, mixpaneltest.Options{Limits: mixpaneltest.Limits{RequestBytes: c.limit}})
			s.Expect(mixpaneltest.RuleOversize)
			body := list(event("A")) + strings.Repeat(" ", cmp.Or(c.limit, 10<<20))
			request{path: "/import?strict=1", body: body, gzip: zipped}.send(t, s).want(t, 413,
				`{"code":413,"error":"request exceeds max limit of `+c.text+` bytes","status":"Request Entity Too Large"}`)
		}
	}
}

func TestImportCredentials(t *testing.T) {
	const wrong = `{"code":401,"error":"Invalid credentials","status":"Unauthorized"}`
	const wrongAccount = `{"code":401,"error":"Invalid service account credentials","status":"Unauthorized"}`
	options := mixpaneltest.Options{Projects: []mixpaneltest.Project{
		{Token: token, Secret: "s3cret", ProjectID: "42", ServiceAccounts: map[string]string{"bot": "pw"}},
		{Token: "other", ProjectID: "43"},
	}, SecretAuthEnd: mixpaneltest.SecretRetirement}
	for _, c := range []struct {
		name, query, user, password string
		answer                      string
	}{
		{"token", "", token, "", ""},
		{"token and its project", "&project_id=42", token, "", ""},
		{"token and another project", "&project_id=43", token, "", wrong},
		{"secret", "", "s3cret", "", ""},
		{"account", "&project_id=42", "bot", "pw", ""},
		{"account without project", "", "bot", "pw", wrong},
		{"account in another project", "&project_id=43", "bot", "pw", wrongAccount},
		{"account with a wrong secret", "&project_id=42", "bot", "wp", wrongAccount},
		{"unknown account", "&project_id=42", "cat", "pw", wrongAccount},
		{"unknown token", "", "nope", "", wrong},
		{"token with a password", "", token, "x", wrong},
		{"nothing", "", "-", "", wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, options)
			q := request{path: "/import?strict=1" + c.query, body: list(event("A")), user: c.user, password: c.password}
			if c.answer != "" {
				q.send(t, s).want(t, 401, c.answer)
			} else {
				q.send(t, s).want(t, 200, imported(1))
			}
		})
	}
	t.Run("secret after its end", func(t *testing.T) {
		s := start(t, options)
		s.SetNow(mixpaneltest.SecretRetirement)
		request{path: "/import?strict=1", body: list(event("A")), user: "s3cret"}.send(t, s).want(t, 401, wrong)
	})
}

func TestImportedEventAsHeld(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	long := strings.Repeat("ä", 200)
	send(t, s, event(strings.Repeat("n", 300), "ip", `"203.0.113.9"`, long, `"`+long+`"`, "deep", `[{"x":"`+long+`"}]`, "n", "1.5"))
	e := s.Events(token, mixpaneltest.Raw)[0]
	if e.Name != strings.Repeat("n", 255) {
		t.Errorf("name of %d bytes, want 255", len(e.Name))
	}
	half := strings.Repeat("ä", 127) // 254 bytes: the 255th would split a character
	if e.Properties[half] != half {
		t.Errorf("the long string is not cut to %d bytes: %v", len(half), e.Properties)
	}
	if got := e.Properties["deep"].([]any)[0].(map[string]any)["x"]; got != half {
		t.Errorf("the long string inside is %q", got)
	}
	for _, gone := range []string{"ip", "token"} {
		if v, ok := e.Properties[gone]; ok {
			t.Errorf("%s is %v, want nothing", gone, v)
		}
	}
	for name, want := range map[string]any{
		"n": 1.5, "$import": true, "$mp_api_endpoint": "api.mixpanel.com", "distinct_id": "u1", "$insert_id": "i-1",
		"time": float64(noon.UnixMilli()), "$mp_api_timestamp_ms": float64(noon.UnixMilli()), "mp_processing_time_ms": float64(noon.UnixMilli()),
	} {
		if e.Properties[name] != want {
			t.Errorf("%s is %v, want %v", name, e.Properties[name], want)
		}
	}
	if e.Geo != mixpaneltest.GeoGiven || !e.Time.Equal(noon) || !strings.Contains(string(e.Sent), long) {
		t.Errorf("event %+v", e)
	}
}

func TestImportIgnore(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	send(t, s, event("A", "$ignore", "true")).want(t, 200, imported(1))
	if d := s.DroppedEvents(); s.EventCount(token, mixpaneltest.Raw) != 0 || len(d) != 1 || d[0].Reason != mixpaneltest.DroppedIgnore {
		t.Errorf("dropped %+v", d)
	}
}

func TestImportRate(t *testing.T) {
	s := start(t, mixpaneltest.Options{Limits: mixpaneltest.Limits{EventsPerMinute: 3}})
	s.SetNow(noon)
	send(t, s, event("A"), event("B")).want(t, 200, imported(2))
	s.Advance(30 * time.Second)
	send(t, s, event("C"), event("D")).want(t, 429,
		`{"code":429,"error":"Project exceeded rate limits. Please retry the request with exponential backoff.","status":"Too Many Requests"}`)
	s.Advance(31 * time.Second) // the first two are out of the minute, the refused two still count
	send(t, s, event("E")).want(t, 200, imported(1))
	if n := s.EventCount(token, mixpaneltest.Raw); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}
