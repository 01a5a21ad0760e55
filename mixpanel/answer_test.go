package mixpanel

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	two := []Message{{InsertID: "id-0"}, {InsertID: "id-1"}}
	tests := []struct {
		name     string
		endpoint Endpoint
		status   int
		body     string
		want     verdict
		code     string
		failed   map[int]string
		about    string
	}{
		{name: "imported", endpoint: Import, status: 200, body: `{"code":200,"num_records_imported":2,"status":"OK"}`, want: accepted},
		{name: "imported, said differently", endpoint: Import, status: 200, body: `{"code":200,"num_records_imported":2,"status":1}`, want: accepted},
		{name: "imported, says somebody else", endpoint: Import, status: 200, body: `<html>`, want: unclear, code: "unreadable_answer"},
		{name: "imported, cut off", endpoint: Import, status: 200, body: `{"code":200,"num`, want: unclear, code: "unreadable_answer"},
		{name: "imported, empty", endpoint: Import, status: 200, want: unclear, code: "unreadable_answer"},
		{name: "1 on import", endpoint: Import, status: 200, body: `1`, want: unclear, code: "unreadable_answer"},
		{
			name: "failed by index", endpoint: Import, status: 400, want: partly, code: "refused",
			body:   `{"code":400,"error":"some","num_records_imported":1,"failed_records":[{"index":1,"insert_id":"id-1","field":"properties.time","message":"'properties.time' is invalid"}]}`,
			failed: map[int]string{1: "Mixpanel refuses the record: 'properties.time' is invalid"},
		},
		{
			name: "the index counts, not the id", endpoint: Import, status: 400, want: partly, code: "refused",
			body:   `{"failed_records":[{"index":0,"insert_id":"id-1","field":"x","message":"bad"}]}`,
			failed: map[int]string{0: "Mixpanel refuses the record: x: bad"},
		},
		{
			name: "failed by id", endpoint: Import, status: 400, want: partly, code: "refused",
			body:   `{"failed_records":[{"insert_id":"id-0","message":"bad"},{"$insert_id":"id-1","message":"worse"}]}`,
			failed: map[int]string{0: "Mixpanel refuses the record: bad", 1: "Mixpanel refuses the record: worse"},
		},
		{name: "failed, but which", endpoint: Import, status: 400, body: `{"failed_records":[{"index":2,"message":"bad"}]}`, want: refused, code: "refused", about: "bad"},
		{name: "failed as text", endpoint: Import, status: 400, body: `{"num_records_imported":0,"failed_records":["odd one"]}`, want: refused, code: "refused", about: "odd one"},
		{
			name: "identity events", endpoint: Import, status: 400, want: refused, code: "identity_events_refused", about: "set id_merge to simplified",
			body: `{"failed_records":["identity events are not allowed when project is using simplified identity management"]}`,
		},
		{name: "bad without a list", endpoint: Import, status: 400, body: `{"error":"no JSON"}`, want: refused, code: "refused", about: "no JSON"},
		{name: "bad without a body", endpoint: Engage, status: 400, want: refused, code: "refused"},

		{name: "1", endpoint: Engage, status: 200, body: "1\n", want: accepted},
		{name: "verbose 1", endpoint: Engage, status: 200, body: `{"status":1,"error":null}`, want: accepted},
		{name: "verbose 1 for track", endpoint: Track, status: 200, body: `{"status":1,"error":""}`, want: accepted},
		{name: "code 200", endpoint: Groups, status: 200, body: `{"code":200,"status":"OK"}`, want: accepted},
		{name: "0", endpoint: Engage, status: 200, body: "0", want: refused, code: "refused"},
		{name: "verbose 0", endpoint: Groups, status: 200, body: `{"status":0,"error":"$distinct_id, missing or empty"}`, want: refused, code: "refused", about: "missing or empty"},
		{
			name: "failed by index with status 200", endpoint: Engage, status: 200, want: partly, code: "refused",
			body:   `{"code":400,"status":"Bad Request","num_good_events":1,"failed_records":[{"index":0,"field":"$set","message":"bad"}]}`,
			failed: map[int]string{0: "Mixpanel refuses the record: $set: bad"},
		},
		{name: "a login page", endpoint: Engage, status: 200, body: "<html>", want: unclear, code: "unreadable_answer"},

		{name: "credentials", endpoint: Import, status: 401, body: `{"code":401,"error":"Invalid credentials"}`, want: halted, code: "unauthorized", about: "Invalid credentials"},
		{name: "forbidden", endpoint: Engage, status: 403, want: halted, code: "unauthorized"},
		{name: "not there", endpoint: Engage, status: 404, want: halted, code: "unexpected_status", about: "base_url"},
		{name: "elsewhere", endpoint: Engage, status: 301, want: halted, code: "redirected"},
		{name: "too large", endpoint: Import, status: 413, body: `{"error":"request exceeds max limit of 10485760 bytes"}`, want: tooBig, code: "too_large", about: "exceeds"},
		{name: "too fast", endpoint: Engage, status: 429, want: unprocessed, code: "rate_limited"},
		{name: "server error", endpoint: Engage, status: 500, body: "<html>", want: unclear, code: "server_error"},
		{name: "bad gateway", endpoint: Import, status: 502, want: unclear, code: "server_error"},
		{name: "unavailable", endpoint: Import, status: 503, want: unclear, code: "server_error"},
		{name: "request timeout", endpoint: Import, status: 408, want: unclear, code: "server_error"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := judge(test.endpoint, two, test.status, http.Header{}, []byte(test.body))
			if a.verdict != test.want || a.code != test.code || !strings.Contains(a.reason, test.about) {
				t.Errorf("got %+v, want verdict %d with %q about %q", a, test.want, test.code, test.about)
			}
			if len(a.failed)+len(test.failed) > 0 && !reflect.DeepEqual(a.failed, test.failed) {
				t.Errorf("failed are %v, want %v", a.failed, test.failed)
			}
			if a.verdict != accepted && a.verdict != partly && a.reason == "" {
				t.Error("no reason")
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		retry, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"7", "", 7 * time.Second},
		{"-7", "", 0},
		{"soon", "", 0},
		{"Tue, 10 Mar 2026 12:01:30 GMT", "Tue, 10 Mar 2026 12:00:00 GMT", 90 * time.Second},
		{"Tue, 10 Mar 2026 11:00:00 GMT", "Tue, 10 Mar 2026 12:00:00 GMT", 0},
		{"Tue, 10 Mar 2026 12:01:30 GMT", "", 0},
	} {
		header := http.Header{"Retry-After": {test.retry}, "Date": {test.date}}
		if got := retryAfter(header); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
