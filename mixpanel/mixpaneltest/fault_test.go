package mixpaneltest_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/mixpanel/mixpaneltest"
)

func TestFaults(t *testing.T) {
	one := list(event("A"))
	profile := list(update("u1", `"$append":{"l":1}`))
	const busy = `{"code":429,"error":"Project exceeded rate limits. Please retry the request with exponential backoff.","status":"Too Many Requests"}`
	for _, c := range []struct {
		name    string
		fault   mixpaneltest.Fault
		status  int    // 0: the connection breaks
		begins  string // the answer
		applied bool
		retry   string
	}{
		{"429", mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: 429, RetryAfter: 30 * time.Second}, 429, busy, false, "30"},
		{"503", mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus}, 503, "<html>", false, ""},
		{"502", mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: 502, RetryAfter: time.Millisecond}, 502, "<html>", false, "1"},
		{"500 applied", mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: 500, Applied: true}, 500, "<html>", true, ""},
		{"413", mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: 413}, 413, `{"code":413,"error":"request exceeds`, false, ""},
		{"401", mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: 401}, 401, `{"code":401,`, false, ""},
		{"close before", mixpaneltest.Fault{Kind: mixpaneltest.FaultCloseBefore}, 0, "", false, ""},
		{"close after", mixpaneltest.Fault{Kind: mixpaneltest.FaultCloseAfter}, 0, "", true, ""},
		{"wrong JSON", mixpaneltest.Fault{Kind: mixpaneltest.FaultWrongJSON}, 200, `{"code":200,"sta`, false, ""},
		{"wrong JSON, applied", mixpaneltest.Fault{Kind: mixpaneltest.FaultWrongJSON, Applied: true}, 200, `{"code":200,"sta`, true, ""},
		{"delay", mixpaneltest.Fault{Kind: mixpaneltest.FaultDelay, Delay: 20 * time.Millisecond}, 200, "{", true, ""},
		{"delay after", mixpaneltest.Fault{Kind: mixpaneltest.FaultDelay, Delay: 20 * time.Millisecond, Applied: true}, 200, "{", true, ""},
		{"zero", mixpaneltest.Fault{Kind: mixpaneltest.FaultZero}, -1, "", false, ""},
		{"strings", mixpaneltest.Fault{Kind: mixpaneltest.FaultStrings, Message: "no"}, -1, "", false, ""},
	} {
		for _, endpoint := range []mixpaneltest.Endpoint{mixpaneltest.Import, mixpaneltest.Engage} {
			t.Run(c.name+" "+string(endpoint), func(t *testing.T) {
				s := start(t, mixpaneltest.Options{})
				c.fault.Endpoint = endpoint
				s.SetFaults(c.fault)
				q := request{path: "/import?strict=1", body: one}
				if endpoint == mixpaneltest.Engage {
					q = request{path: "/engage?ip=0&verbose=1", body: profile}
				}
				began := time.Now()
				r, err := q.try(t, s)
				if took := time.Since(began); took < c.fault.Delay {
					t.Errorf("answered after %v, want %v", took, c.fault.Delay)
				}
				status, begins := c.status, c.begins
				if status < 0 { // differs between the endpoints
					status, begins = 200, `{"status":0,`
					if endpoint == mixpaneltest.Import {
						status, begins = 400, `{"code":400,`
					}
				}
				switch {
				case status == 0 && err == nil:
					t.Errorf("answered %d, want a broken connection", r.status)
				case status != 0 && (err != nil || r.status != status || !strings.HasPrefix(r.body, begins) || r.header.Get("Retry-After") != c.retry):
					t.Errorf("%v, status %d, %v: %s", err, r.status, r.header, r.body)
				}
				if c.name == "strings" && endpoint == mixpaneltest.Import && !strings.Contains(r.body, `"failed_records":["no"]`) {
					t.Errorf("answer %s", r.body)
				}
				if got := s.EventCount(token, mixpaneltest.Raw) + s.ProfileCount(token); (got == 1) != c.applied {
					t.Errorf("applied %v, want %v", got == 1, c.applied)
				}
				if r := q.send(t, s); r.status != 200 { // it strikes once
					t.Errorf("the next request: %d", r.status)
				}
			})
		}
	}
}

func TestPartialFault(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	fault := mixpaneltest.Fault{Kind: mixpaneltest.FaultPartial, Indexes: []int{0, 2, 9}, Message: "no"}
	s.SetFaults(fault)
	send(t, s, event("A", "$insert_id", `"a"`), event("B"), event("C", "$insert_id", `"c"`)).want(t, 400,
		`{"code":400,"error":"some data points in the request failed validation","status":"Bad Request","num_records_imported":1,
		"failed_records":[{"index":0,"insert_id":"a","field":"event","message":"no"},{"index":2,"insert_id":"c","field":"event","message":"no"}]}`)
	wantOwners(t, s, "B:u1")
	s.SetFaults(fault)
	engage(t, s, update("u0", `"$set":{}`), update("u1", `"$set":{}`), update("u2", `"$set":{}`)).want(t, 200, `{"status":0,"error":"no"}`)
	wantProperties(t, s, "u0", "")
	wantProperties(t, s, "u1", "{}")
	wantProperties(t, s, "u2", "")
}

func TestFaultsStrikeWhenTheyShould(t *testing.T) {
	strikes := func(script ...mixpaneltest.Fault) string {
		s := start(t, mixpaneltest.Options{})
		s.SetFaults(script...)
		var b strings.Builder
		for range 12 {
			if r := send(t, s, event("A")); r.status == 200 {
				b.WriteByte('.')
			} else {
				fmt.Fprint(&b, r.status%10)
			}
			engage(t, s, update("u", `"$set":{}`)) // counts for faults of every endpoint only
		}
		return b.String()
	}
	down := func(status, nth, count int) mixpaneltest.Fault {
		return mixpaneltest.Fault{Endpoint: mixpaneltest.Import, Kind: mixpaneltest.FaultStatus, Status: status, Nth: nth, Count: count}
	}
	for _, c := range []struct {
		script []mixpaneltest.Fault
		want   string
	}{
		{nil, "............"},
		{[]mixpaneltest.Fault{down(503, 0, 0)}, "3..........."},
		{[]mixpaneltest.Fault{down(503, 3, 2)}, "..33........"},
		{[]mixpaneltest.Fault{down(503, 11, -1)}, "..........33"},
		{[]mixpaneltest.Fault{down(503, 2, 3), down(429, 4, 2)}, ".3339......."},
		{[]mixpaneltest.Fault{{Kind: mixpaneltest.FaultStatus, Nth: 3, Count: 4}}, ".33........."},
	} {
		if got := strikes(c.script...); got != c.want {
			t.Errorf("%+v: %s, want %s", c.script, got, c.want)
		}
	}
	random := mixpaneltest.Fault{Endpoint: mixpaneltest.Import, Kind: mixpaneltest.FaultStatus, Probability: 0.5, Seed: 7}
	first := strikes(random)
	if hits := strings.Count(first, "3"); hits < 2 || hits > 10 || strikes(random) != first {
		t.Errorf("half of the requests at random, and the same each time: %s, %s", first, strikes(random))
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("waited in vain: %s", what)
			return
		}
	}
}

// TestStoppingInTheBody: a sender that breaks off has not broken a rule.
func TestStoppingInTheBody(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /engage?ip=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[{")
	conn.Close()
	eventually(t, "the request is over", func() bool { return s.Requests().Totals[mixpaneltest.Engage].Requests == 1 })
	if log := s.Requests(); log.Recent[0].Status != 0 {
		t.Errorf("request %+v", log.Recent[0])
	}
}

// TestGivingUpWhileDelayed: a request whose client left before its turn is never
// processed, and what the client does next does not overlap with it.
func TestGivingUpWhileDelayed(t *testing.T) {
	s := start(t, mixpaneltest.Options{})
	s.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultDelay, Delay: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/engage?ip=0", strings.NewReader(list(update("u1", `"$set":{"n":1}`))))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		eventually(t, "the first request is delayed", func() bool { return s.InFlight() == 1 })
		cancel()
	}()
	if res, err := http.DefaultClient.Do(r); err == nil {
		res.Body.Close()
		t.Fatal("answered in spite of the delay")
	}
	engage(t, s, update("u1", `"$set":{"n":2}`)).want(t, 200, engaged)
	eventually(t, "the first request is gone", func() bool { return s.Requests().Totals[mixpaneltest.Engage].Requests == 2 })
	wantProperties(t, s, "u1", `{"n":2}`)
}

func TestOverlaps(t *testing.T) {
	identify := list(event("$create_alias", "alias", `"b"`, "distinct_id", `"a"`))
	for _, c := range []struct {
		name          string
		first, second request
		overlaps      int
	}{
		{"one profile", request{path: "/engage?ip=0", body: list(update("a", `"$set":{}`))}, request{path: "/engage?ip=0", body: list(update("x", `"$set":{}`), update("a", `"$set":{}`))}, 1},
		{"two profiles", request{path: "/engage?ip=0", body: list(update("a", `"$set":{}`))}, request{path: "/engage?ip=0", body: list(update("b", `"$set":{}`))}, 0},
		{"events", request{path: "/import", body: list(event("A"))}, request{path: "/import", body: list(event("B"))}, 0},
		{"event and profile", request{path: "/import", body: list(event("A"))}, request{path: "/engage?ip=0", body: list(update("u1", `"$set":{}`))}, 0},
		{"alias and event", request{path: "/track?ip=0", body: identify}, request{path: "/import", body: list(event("A", "distinct_id", `"a"`))}, 1},
		{"alias and profile", request{path: "/track?ip=0", body: identify}, request{path: "/engage?ip=0", body: list(update("b", `"$set":{}`))}, 1},
		{"event and alias", request{path: "/import", body: list(event("A", "distinct_id", `"b"`))}, request{path: "/track?ip=0", body: identify}, 1},
		{"alias and another", request{path: "/track?ip=0", body: identify}, request{path: "/engage?ip=0", body: list(update("c", `"$set":{}`))}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, mixpaneltest.Options{AliasSettle: -1, Projects: []mixpaneltest.Project{{Token: token}}})
			s.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultDelay, Delay: time.Second})
			done := make(chan struct{})
			go func() {
				defer close(done)
				if r, err := c.first.try(t, s); err != nil || r.status != 200 {
					t.Errorf("%v, status %d", err, r.status)
				}
			}()
			eventually(t, "the first request is delayed", func() bool { return s.InFlight() == 1 })
			c.second.send(t, s)
			<-done
			if c.overlaps > 0 {
				s.Expect(mixpaneltest.RuleOverlap)
			}
			if got := rules(s); len(got) != c.overlaps {
				t.Errorf("violations %v, want %d", s.Violations(), c.overlaps)
			}
			c.second.send(t, s) // one after the other is no overlap
			if got := rules(s); len(got) != c.overlaps {
				t.Errorf("violations %v, want %d", s.Violations(), c.overlaps)
			}
		})
	}
}

// An identity event of an id that belongs to others already changes nothing, and may overlap
// with what it likes; the first one may not.
func TestOverlapsWithIdentify(t *testing.T) {
	const device = "5f3c3f39-21c2-4f1d-8d2c-3a2b1c0d9e8f"
	identify := request{path: "/track?ip=0", body: list(event("$identify", "$identified_id", `"u"`, "$anon_id", `"`+device+`"`))}
	for _, known := range []bool{false, true} {
		s := start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token, IDMerge: mixpaneltest.Original}}})
		if known {
			identify.send(t, s)
		}
		s.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultDelay, Delay: 300 * time.Millisecond})
		done := make(chan struct{})
		go func() {
			defer close(done)
			if r, err := (request{path: "/import", body: list(event("A", "distinct_id", `"`+device+`"`))}).try(t, s); err != nil || r.status != 200 {
				t.Errorf("%v, status %d", err, r.status)
			}
		}()
		eventually(t, "the event is delayed", func() bool { return s.InFlight() == 1 })
		identify.send(t, s)
		<-done
		if !known {
			s.Expect(mixpaneltest.RuleOverlap)
		}
		if got := rules(s); (len(got) == 0) != known {
			t.Errorf("the pair known: %v; violations %v", known, s.Violations())
		}
	}
}

func TestFaultValidate(t *testing.T) {
	for _, f := range []mixpaneltest.Fault{
		{},
		{Kind: "flood"},
		{Kind: mixpaneltest.FaultStatus, Status: 200},
		{Kind: mixpaneltest.FaultStatus, Endpoint: "lookup"},
		{Kind: mixpaneltest.FaultStatus, Probability: 1.5},
		{Kind: mixpaneltest.FaultDelay, Delay: -1},
		{Kind: mixpaneltest.FaultStatus, Count: -2},
	} {
		if f.Validate() == nil {
			t.Errorf("%+v is valid", f)
		}
	}
	if err := (mixpaneltest.Fault{Kind: mixpaneltest.FaultStatus, Status: 503, Count: -1}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestRequestLog(t *testing.T) {
	s := start(t, mixpaneltest.Options{KeepRequests: 2})
	s.Expect(mixpaneltest.RuleInvalid)
	body := list(event("A"), event(""))
	request{path: "/import", body: body, gzip: true}.send(t, s)
	engage(t, s, update("u1", `"$set":{}`))
	s.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultCloseAfter})
	if _, err := (request{path: "/engage?ip=0", body: list(update("u1", `"$set":{}`))}).try(t, s); err == nil {
		t.Error("the connection held")
	}
	log := s.Requests()
	imports, engages := log.Totals[mixpaneltest.Import], log.Totals[mixpaneltest.Engage]
	if imports.Requests != 1 || imports.Records != 2 || imports.Good != 1 || int(imports.Bytes) != len(body) || imports.Wire >= imports.Bytes || imports.Statuses[400] != 1 {
		t.Errorf("imports %+v", imports)
	}
	if engages.Requests != 2 || engages.Good != 2 || engages.Statuses[200] != 1 || engages.Statuses[0] != 1 || engages.Faults != 1 || engages.Longest <= 0 || engages.Sum < engages.Longest {
		t.Errorf("engages %+v", engages)
	}
	if len(log.Recent) != 2 || log.Recent[0].Number != 2 || log.Recent[1].Fault != mixpaneltest.FaultCloseAfter || log.Recent[1].Status != 0 {
		t.Errorf("recent %+v", log.Recent)
	}
	if _, err := json.Marshal(log.Totals[mixpaneltest.Track].Statuses); err != nil {
		t.Error(err)
	}
}
