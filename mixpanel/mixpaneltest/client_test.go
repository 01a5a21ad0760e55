package mixpaneltest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/mixpanel/mixpaneltest"
)

const token = mixpaneltest.DefaultToken

// noon is when the tests take place.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// start starts a server whose clock stands at noon.
func start(t *testing.T, options mixpaneltest.Options) *mixpaneltest.Server {
	t.Helper()
	if options.Now == nil {
		options.Now = at(noon)
	}
	return mixpaneltest.Start(t, options)
}

// reply is what a request was answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// request is a request to the fake; the zero values are what a good client sends.
type request struct {
	path        string // with the query
	body        string
	contentType string // application/json
	user        string // Basic, DefaultToken on /import; "-" for none
	password    string
	gzip        bool
	encoding    string
	get         bool
}

func (q request) send(t *testing.T, s *mixpaneltest.Server) reply {
	t.Helper()
	r, err := q.try(t, s)
	if err != nil {
		t.Fatalf("%s: %v", q.path, err)
	}
	return r
}

func (q request) try(t *testing.T, s *mixpaneltest.Server) (reply, error) {
	t.Helper()
	body := []byte(q.body)
	if q.gzip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(body); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		body, q.encoding = b.Bytes(), "gzip"
	}
	method := http.MethodPost
	if q.get {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+q.path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if q.contentType == "" {
		q.contentType = "application/json"
	}
	r.Header.Set("Content-Type", q.contentType)
	if q.encoding != "" {
		r.Header.Set("Content-Encoding", q.encoding)
	}
	if q.user == "" && strings.HasPrefix(q.path, "/import") {
		q.user = token
	}
	if q.user != "" && q.user != "-" {
		r.SetBasicAuth(q.user, q.password)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text)}, err
}

// want holds a reply to a status and a JSON body, whose layout does not matter.
func (r reply) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status {
		t.Errorf("status %d, want %d: %s", r.status, status, r.body)
	}
	if !sameJSON(t, r.body, body) {
		t.Errorf("answer %s\n  want %s", r.body, body)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Errorf("no JSON: %v: %q", err, a)
		return false
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("the test's JSON: %v: %q", err, b)
	}
	return reflect.DeepEqual(x, y)
}

// event is an event with everything that /import asks for; changes are JSON members
// that replace or, with the value "-", remove properties.
func event(name string, changes ...string) string {
	members := map[string]string{
		"time": fmt.Sprint(noon.UnixMilli()), "distinct_id": `"u1"`, "$insert_id": `"i-1"`, "ip": "0", "token": `"` + token + `"`,
	}
	for i := 0; i < len(changes); i += 2 {
		members[changes[i]] = changes[i+1]
		if changes[i+1] == "-" {
			delete(members, changes[i])
		}
	}
	var parts []string
	for k, v := range members {
		parts = append(parts, fmt.Sprintf("%q:%s", k, v))
	}
	return fmt.Sprintf(`{"event":%q,"properties":{%s}}`, name, strings.Join(parts, ","))
}

func list(records ...string) string { return "[" + strings.Join(records, ",") + "]" }

// update is a record of /engage; rest are its members after the token and the id.
func update(id, rest string) string {
	return fmt.Sprintf(`{"$token":%q,"$distinct_id":%q,"$ip":0,%s}`, token, id, rest)
}

func engage(t *testing.T, s *mixpaneltest.Server, records ...string) reply {
	t.Helper()
	return request{path: "/engage?ip=0&verbose=1", body: list(records...)}.send(t, s)
}

func send(t *testing.T, s *mixpaneltest.Server, events ...string) reply {
	t.Helper()
	return request{path: "/import?strict=1", body: list(events...)}.send(t, s)
}

const (
	engaged = `{"status":1,"error":null}`
	nobody  = `{"code":200,"num_records_imported":0,"status":"OK"}`
)

func imported(n int) string {
	return fmt.Sprintf(`{"code":200,"num_records_imported":%d,"status":"OK"}`, n)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// rules are the rules of the violations so far.
func rules(s *mixpaneltest.Server) []mixpaneltest.Rule {
	found := []mixpaneltest.Rule{}
	for _, v := range s.Violations() {
		found = append(found, v.Rule)
	}
	return found
}
