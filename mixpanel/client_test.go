package mixpanel

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/engine"
)

// request is one request as a server saw it.
type seen struct {
	path, query, user, pass, encoding, agent string
	records                                  []map[string]any
}

// server answers what its test says and remembers what it was asked.
type server struct {
	*httptest.Server
	mu   sync.Mutex
	seen []seen
}

func (s *server) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// listen starts a server; answer gets the number of the request, from 1.
func listen(t *testing.T, answer func(w http.ResponseWriter, r seen, number int)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		n := seen{path: r.URL.Path, query: r.URL.RawQuery, encoding: r.Header.Get("Content-Encoding"), agent: r.UserAgent()}
		n.user, n.pass, _ = r.BasicAuth()
		if err := json.NewDecoder(body).Decode(&n.records); err != nil {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		s.mu.Lock()
		s.seen = append(s.seen, n)
		number := len(s.seen)
		s.mu.Unlock()
		answer(w, n, number)
	}))
	t.Cleanup(s.Close)
	return s
}

func good(w http.ResponseWriter, r seen, _ int) {
	if r.path == string(Import) {
		fmt.Fprintf(w, `{"code":200,"num_records_imported":%d,"status":"OK"}`, len(r.records))
		return
	}
	fmt.Fprint(w, `{"status":1,"error":null}`)
}

func status(code int) func(http.ResponseWriter, seen, int) {
	return func(w http.ResponseWriter, _ seen, _ int) { w.WriteHeader(code) }
}

func newClient(t *testing.T, s Settings) *Client {
	t.Helper()
	s.Token = Secret(cmp.Or(string(s.Token), "tok_demo"))
	c, err := NewClient(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// records makes n messages that name their number.
func records(n int, e Endpoint, class Class) []Message {
	messages := make([]Message, n)
	for i := range messages {
		messages[i] = Message{Endpoint: e, Class: class, DistinctID: fmt.Sprint("u", i), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return messages
}

// numbers are the records of a request by their number.
func (n seen) numbers() []int {
	var is []int
	for _, r := range n.records {
		is = append(is, int(r["n"].(float64)))
	}
	return is
}

func verdicts(outcomes []engine.Outcome) string {
	letters := make([]byte, len(outcomes))
	for i, o := range outcomes {
		letters[i] = "DRXUH"[o.Verdict]
	}
	return string(letters)
}

func TestRequests(t *testing.T) {
	account := Settings{Token: "tok", APISecret: "sec", ServiceAccountUsername: "svc", ServiceAccountSecret: "pw", MixpanelProjectID: 42}
	secret := Settings{Token: "tok", APISecret: "sec"}
	lax := Settings{Token: "tok", Strict: new(false)}
	tests := []struct {
		name     string
		settings Settings
		endpoint Endpoint
		class    Class
		want     seen
	}{
		{"import by token", Settings{Token: "tok"}, Import, ClassEvent, seen{query: "strict=1", user: "tok", encoding: "gzip"}},
		{"import by secret", secret, Import, ClassEvent, seen{query: "strict=1", user: "sec", encoding: "gzip"}},
		{"import by service account", account, Import, ClassEvent, seen{query: "project_id=42&strict=1", user: "svc", pass: "pw", encoding: "gzip"}},
		{"import, not strict", lax, Import, ClassEvent, seen{query: "strict=0", user: "tok", encoding: "gzip"}},
		{"track", account, Track, ClassIdentity, seen{query: "ip=0&verbose=1"}},
		{"engage", account, Engage, ClassProfile, seen{query: "ip=0&verbose=1"}},
		{"groups", account, Groups, ClassProfile, seen{query: "ip=0&verbose=1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, good)
			test.settings.BaseURL = s.URL
			outcomes := newClient(t, test.settings).Send(t.Context(), records(1, test.endpoint, test.class))
			if verdicts(outcomes) != "D" {
				t.Fatal(outcomes)
			}
			got := s.requests()[0]
			want := test.want
			want.path, want.agent = string(test.endpoint), userAgent
			if got.records = nil; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestRequestsAreCut(t *testing.T) {
	s := listen(t, good)
	c := newClient(t, Settings{BaseURL: s.URL, MaxEventsPerRequest: 3, MaxProfilesPerRequest: 2, MaxRequestBytes: 1000})
	large := records(2, Engage, ClassProfile)
	for i := range large {
		large[i].Body = fmt.Appendf(nil, `{"n":%d,"x":"%s"}`, i, strings.Repeat("x", 1200))
	}
	var messages []Message
	messages = append(messages, records(4, Import, ClassEvent)...)
	messages = append(messages, records(2, Import, ClassIdentity)...)
	messages = append(messages, records(3, Engage, ClassProfile)...)
	messages = append(messages, records(1, Engage, ClassIncrement)...)
	messages = append(messages, records(1, Groups, ClassProfile)...)
	messages = append(messages, large...)
	outcomes := c.Send(t.Context(), messages)
	if verdicts(outcomes) != strings.Repeat("D", len(messages)) {
		t.Fatal(verdicts(outcomes))
	}
	var got []string
	for _, r := range s.requests() {
		got = append(got, fmt.Sprint(r.path, r.numbers()))
	}
	want := []string{
		"/import[0 1 2]", "/import[3]", "/import[0]", "/import[1]",
		"/engage[0 1]", "/engage[2]", "/engage[0]", "/groups[0]", "/engage[0]", "/engage[1]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAnswers(t *testing.T) {
	// bad refuses requests with a record whose number is among ns, without saying which.
	bad := func(answer string, ns ...int) func(http.ResponseWriter, seen, int) {
		return func(w http.ResponseWriter, r seen, number int) {
			if !slices.ContainsFunc(r.numbers(), func(n int) bool { return slices.Contains(ns, n) }) {
				good(w, r, number)
				return
			}
			code, body, _ := strings.Cut(answer, " ")
			n, err := strconv.Atoi(code)
			if err != nil {
				panic(err)
			}
			w.WriteHeader(n)
			fmt.Fprint(w, body)
		}
	}
	// after fails from the n-th request on.
	after := func(n, code int) func(http.ResponseWriter, seen, int) {
		return func(w http.ResponseWriter, r seen, number int) {
			if number < n {
				good(w, r, number)
				return
			}
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(code)
		}
	}
	dropped := func(http.ResponseWriter, seen, int) { panic(http.ErrAbortHandler) }
	tests := []struct {
		name     string
		endpoint Endpoint
		class    Class
		answer   func(http.ResponseWriter, seen, int)
		want     string
		requests int
		code     string // of the first record that is not delivered
	}{
		{"good", Import, ClassEvent, good, "DDDDDDDD", 2, ""},
		{"partial failure", Import, ClassEvent, func(w http.ResponseWriter, r seen, n int) {
			if n > 1 {
				good(w, r, n)
				return
			}
			w.WriteHeader(400)
			fmt.Fprint(w, `{"code":400,"failed_records":[{"index":2,"message":"bad"},{"index":0,"message":"bad"}]}`)
		}, "XDXDDDDD", 2, "refused"},
		{"string failures isolate the bad ones", Import, ClassEvent, bad(`400 {"failed_records":["bad"]}`, 1, 6), "DXDDDDXD", 10, "refused"},
		{"413 halves", Import, ClassEvent, bad("413", 3), "DDDXDDDD", 6, "too_large"},
		{"0 isolates the bad one", Engage, ClassProfile, bad(`200 {"status":0,"error":"bad"}`, 5), "DDDDDXDD", 6, "refused"},
		{"0 parks increments", Engage, ClassIncrement, bad(`200 0`, 5), "DDDDUUUU", 2, "refused"},
		{"413 halves increments", Engage, ClassIncrement, bad(`413`, 5), "DDDDDXDD", 6, "too_large"},
		{"429 stops", Import, ClassEvent, after(2, 429), "DDDDRRRR", 2, "rate_limited"},
		{"429 with increments", Engage, ClassIncrement, after(1, 429), "RRRRRRRR", 1, "rate_limited"},
		{"503 stops", Engage, ClassProfile, after(1, 503), "RRRRRRRR", 1, "server_error"},
		{"503 with increments: what was not sent can be", Engage, ClassIncrement, after(1, 503), "UUUURRRR", 1, "server_error"},
		{"401 halts", Import, ClassEvent, after(2, 401), "DDDDHHHH", 2, "unauthorized"},
		{"a broken connection", Engage, ClassProfile, dropped, "RRRRRRRR", 1, "connection_lost"},
		{"a broken connection with increments", Engage, ClassIncrement, dropped, "UUUURRRR", 1, "connection_lost"},
		{"a redirect is not followed", Import, ClassEvent, func(w http.ResponseWriter, _ seen, _ int) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(302)
		}, "HHHHHHHH", 1, "redirected"},
		{"nonsense with increments", Engage, ClassIncrement, func(w http.ResponseWriter, _ seen, _ int) { fmt.Fprint(w, "<html>") }, "UUUURRRR", 1, "unreadable_answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, test.answer)
			c := newClient(t, Settings{BaseURL: s.URL, MaxEventsPerRequest: 4, MaxProfilesPerRequest: 4})
			outcomes := c.Send(t.Context(), records(8, test.endpoint, test.class))
			if got := verdicts(outcomes); got != test.want {
				t.Errorf("got %s, want %s: %+v", got, test.want, outcomes)
			}
			if n := len(s.requests()); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			first := slices.IndexFunc(outcomes, func(o engine.Outcome) bool { return o.Verdict != engine.Delivered })
			if first >= 0 && (outcomes[first].Code != test.code || outcomes[first].Reason == "") {
				t.Errorf("got %+v, want %s", outcomes[first], test.code)
			}
			if test.code == "rate_limited" && outcomes[7].RetryAfter != 3*time.Second {
				t.Errorf("wait %v", outcomes[7].RetryAfter)
			}
		})
	}
}

func TestWithoutAnswer(t *testing.T) {
	stuck := make(chan struct{})
	slow := listen(t, func(http.ResponseWriter, seen, int) { <-stuck })
	t.Cleanup(func() { close(stuck) })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	closed.Close()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()

	tests := []struct {
		name  string
		ctx   context.Context
		base  string
		class Class
		want  string
		code  string
	}{
		{"too slow", t.Context(), slow.URL, ClassProfile, "R", "timeout"},
		{"too slow for an increment", t.Context(), slow.URL, ClassIncrement, "U", "timeout"},
		{"nobody there: nothing can have been applied", t.Context(), nobody, ClassIncrement, "R", "unreachable"},
		{"stopped before sending", canceled, slow.URL, ClassIncrement, "R", "canceled"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, Settings{BaseURL: test.base, RequestTimeout: Duration(100 * time.Millisecond)})
			outcomes := c.Send(test.ctx, records(1, Engage, test.class))
			if verdicts(outcomes) != test.want || outcomes[0].Code != test.code {
				t.Errorf("got %+v, want %s %s", outcomes, test.want, test.code)
			}
			if strings.Contains(outcomes[0].Reason, "127.0.0.1/") {
				t.Errorf("the reason shows the request: %s", outcomes[0].Reason)
			}
		})
	}
}

func TestReasonsShowNoSecret(t *testing.T) {
	s := listen(t, func(w http.ResponseWriter, _ seen, _ int) {
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"error":"who is tok_hush, sec_hush\nand pw_hush? %s"}`, strings.Repeat("é", 600))
	})
	c := newClient(t, Settings{
		BaseURL: s.URL, Token: "tok_hush", APISecret: "sec_hush",
		ServiceAccountUsername: "u", ServiceAccountSecret: "pw_hush", MixpanelProjectID: 1,
	})
	reason := c.Send(t.Context(), records(1, Import, ClassEvent))[0].Reason
	if strings.Contains(reason, "hush") || strings.Contains(reason, "\n") || len(reason) > maxReason+3 || strings.Count(reason, mask) != 3 {
		t.Errorf("%q", reason)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var mu sync.Mutex
	opened := 0
	s := &server{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "1")
	}))}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			mu.Lock()
			opened++
			mu.Unlock()
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := newClient(t, Settings{BaseURL: s.URL, MaxProfilesPerRequest: 1})
	c.Send(t.Context(), records(20, Engage, ClassProfile))
	mu.Lock()
	defer mu.Unlock()
	if opened != 1 {
		t.Errorf("%d connections for 20 requests", opened)
	}
}

func TestPace(t *testing.T) {
	s := listen(t, good)
	c := newClient(t, Settings{BaseURL: s.URL, EventsPerSecond: 100, MaxEventsPerRequest: 10})
	start := time.Now()
	if got := verdicts(c.Send(t.Context(), records(120, Import, ClassEvent))); got != strings.Repeat("D", 120) {
		t.Fatal(got)
	}
	// 100 at once, 20 at 100 a second.
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("120 events took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got := c.Send(ctx, records(50, Import, ClassEvent)); got[49].Verdict != engine.Retry || got[49].Code != codeCanceled {
		t.Errorf("got %+v", got[49])
	}
}
