package ingest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
)

func TestEveryEndpointStores(t *testing.T) {
	s := open(t)
	bodies := map[event.Type]string{
		event.Identify: `{"userId":"u","traits":{"a":1},"messageId":"%s"}`,
		event.Track:    `{"userId":"u","event":"E","messageId":"%s"}`,
		event.Page:     `{"userId":"u","messageId":"%s"}`,
		event.Screen:   `{"anonymousId":"a","messageId":"%s"}`,
		event.Group:    `{"userId":"u","groupId":"g","messageId":"%s"}`,
		event.Alias:    `{"userId":"u","previousId":"p","messageId":"%s"}`,
	}
	want := map[string]event.Type{}
	for kind, body := range bodies {
		for _, path := range []string{"/v1/" + string(kind), "/v1/" + string(kind[:1]), "//v1/" + string(kind) + "/"} {
			expect(t, s.post(t, path, fmt.Sprintf(body, path), "Content-Type: text/plain"), 200, "")
			want[path] = kind
		}
	}
	for _, path := range []string{"/v1/batch", "/v1/import", "/v1/b"} {
		expect(t, s.post(t, path, batch(visit(path))), 200, "")
		want[path] = event.Page
	}
	for _, it := range s.stored {
		if want[it.Call.MessageID] != it.Call.Type || it.SourceID != 1 {
			t.Errorf("stored %+v", it.Call)
		}
		delete(want, it.Call.MessageID)
	}
	if len(want) > 0 {
		t.Errorf("not stored: %v", want)
	}
	if g := s.post(t, "/v1/m", `{"series":[]}`); g.status != 200 || len(s.stored) != 21 {
		t.Errorf("metrics: %d, %d stored", g.status, len(s.stored))
	}
}

// The bodies have the shape of what Segment's libraries send.
func TestBodiesOfTheLibraries(t *testing.T) {
	for _, tt := range []struct {
		name, path, body string
		header           []string
		channel, ip      string
	}{
		{
			"node", "/v1/batch", `{"batch":[{"timestamp":"2026-03-01T11:59:59.022Z","integrations":{},"type":"identify","userId":"u1","traits":{"plan":"pro"},
			  "context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},
			  "messageId":"node-next-1-a","_metadata":{"nodeVersion":"v20.20.2","jsRuntime":"node"}},
			 {"timestamp":"2026-03-01T11:59:59.023Z","integrations":{},"type":"page","properties":{"category":"c"},"category":"c","name":"Home","anonymousId":"an",
			  "context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},"messageId":"node-next-1-b"}],
			 "writeKey":"wk1","sentAt":"2026-03-01T11:59:59.042Z"}`,
			[]string{basic("wk1"), "Content-Type: application/json"},
			event.ChannelServer, "",
		},
		{
			"go", "/v1/batch", `{"messageId":"b1","sentAt":"2026-03-01T11:59:59.000000123Z","batch":[
			  {"type":"track","messageId":"5f0c","userId":"u1","event":"E","timestamp":"2026-03-01T11:59:58.000000123Z","properties":{"a":1}}],
			  "context":{"library":{"name":"analytics-go","version":"3.0.0"}}}`,
			[]string{basic("wk1")},
			event.ChannelServer, "",
		},
		{
			"browser", "/v1/p", `{"timestamp":"2026-03-01T11:59:59.022Z","integrations":{"Segment.io":true},"type":"page","properties":{"path":"/","name":"Home"},
			  "context":{"page":{"path":"/"},"userAgent":"x","locale":"en","library":{"name":"analytics.js","version":"npm:next-1.84.3"},"timezone":"UTC"},
			  "messageId":"ajs-next-1-c","anonymousId":"an","userId":null,"writeKey":"wk1","sentAt":"2026-03-01T11:59:59.030Z",
			  "_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`,
			[]string{basic("wk1"), "Content-Type: text/plain", "Origin: https://shop.test"},
			event.ChannelBrowser, `"127.0.0.1"`,
		},
		{
			"browser in batches", "/v1/b", `{"writeKey":"wk1","batch":[{"type":"track","event":"E","anonymousId":"an","userId":null,"messageId":"ajs-next-1-d",
			  "timestamp":"2026-03-01T11:59:59.022Z","context":{"library":{"name":"analytics.js"}}}],"sentAt":"2026-03-01T11:59:59.030Z"}`,
			[]string{"Content-Type: text/plain"},
			event.ChannelBrowser, `"127.0.0.1"`,
		},
		{
			"kotlin, zipped and chunked", "/v1/b", zip(`{"writeKey":"wk1","batch":[{"type":"screen","name":"Start","anonymousId":"an","messageId":"k1",
			  "timestamp":"2026-03-01T11:59:59.022Z","context":{"library":{"name":"analytics-kotlin"}}}],"sentAt":"2026-03-01T11:59:59.030Z"}`),
			[]string{"Content-Type: text/plain", "Content-Encoding: gzip"},
			event.ChannelMobile, `"127.0.0.1"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			chunked := struct{ io.Reader }{strings.NewReader(tt.body)}
			expect(t, s.send(t, http.MethodPost, tt.path, chunked, tt.header...), 200, "")
			if len(s.stored) == 0 {
				t.Fatal("nothing is stored")
			}
			for _, it := range s.stored {
				c := it.Call
				if c.Channel != tt.channel || string(c.Lookup(event.InContext, "ip")) != tt.ip {
					t.Errorf("channel %q, context %s", c.Channel, c.Context)
				}
				if age := noon.Sub(c.Timestamp); age < 0 || age > 2*time.Second || !c.ReceivedAt.Equal(noon) {
					t.Errorf("timestamp %v, received %v", c.Timestamp, c.ReceivedAt)
				}
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	message := `{"type":"page","userId":"u"%s}`
	for _, tt := range []struct {
		name, header, inBody string
		status               int
		source               int64
	}{
		{"basic", "Basic " + encode("wk1:"), "", 200, 1},
		{"basic in lower case", "basic " + encode("wk1:"), "", 200, 1},
		{"basic without the colon", "Basic " + encode("wk1"), "", 200, 1},
		{"basic without padding", "Basic " + strings.TrimRight(encode("wk1"), "="), "", 200, 1},
		{"basic with a password", "Basic " + encode("wk1:secret"), "", 200, 1},
		{"in the body", "", `,"writeKey":"wk2"`, 200, 2},
		{"bearer token and key in the body", "Bearer abc", `,"writeKey":"wk2"`, 200, 2},
		{"the header wins", "Basic " + encode("wk1:"), `,"writeKey":"wk2"`, 200, 1},
		{"a wrong header wins too", "Basic " + encode("nope:"), `,"writeKey":"wk2"`, 401, 0},
		{"no base64, key in the body", "Basic %%%", `,"writeKey":"wk2"`, 200, 2},
		{"unknown in the body", "", `,"writeKey":"nope"`, 401, 0},
		{"none", "", "", 401, 0},
		{"empty", "Basic " + encode(":"), "", 401, 0},
		{"a number", "", `,"writeKey":1`, 401, 0},
		{"very long", "Basic " + encode(strings.Repeat("k", 1000)), "", 401, 0},
		{"bearer alone", "Bearer wk1", "", 401, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			var header []string
			if tt.header != "" {
				header = append(header, "Authorization: "+tt.header)
			}
			want := event.Code("")
			if tt.status == 401 {
				want = CodeInvalidWriteKey
			}
			single := fmt.Sprintf(message, tt.inBody)
			inFirst := batch(single, `{"type":"page","userId":"u","writeKey":"other"}`)
			for path, body := range map[string]string{"/v1/page": single, "/v1/batch": inFirst} {
				expect(t, s.send(t, http.MethodPost, path, strings.NewReader(body), header...), tt.status, want)
			}
			for _, it := range s.stored {
				if it.SourceID != tt.source {
					t.Errorf("stored for source %d, want %d", it.SourceID, tt.source)
				}
			}
			if stored := len(s.stored); stored != 3*min(1, int(tt.source)) {
				t.Errorf("%d calls stored", stored)
			}
		})
	}
}

// Two different keys in one request are a fault in an app; it is told once, without the keys.
func TestTwoKeysAreLogged(t *testing.T) {
	var logged bytes.Buffer
	s := open(t, func(c *APIConfig, _ *CollectorConfig, _ *memory) { c.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
	for range 3 {
		expect(t, s.post(t, "/v1/page", `{"userId":"u","writeKey":"wk2"}`), 200, "")
		expect(t, s.post(t, "/v1/page", `{"userId":"u","writeKey":"wk1"}`), 200, "")
	}
	s.server.Close()
	if text := logged.String(); strings.Count(text, "differ") != 1 || strings.Contains(text, "wk") {
		t.Errorf("log:\n%s", text)
	}
}

func TestLenientAuthDiscards(t *testing.T) {
	s := open(t, func(c *APIConfig, _ *CollectorConfig, _ *memory) { c.LenientAuth = true })
	expect(t, s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m")), basic("nope")), 200, "")
	expect(t, s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m"))), 200, "")
	if len(s.stored) != 0 {
		t.Errorf("%d calls stored", len(s.stored))
	}
	expect(t, s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m")), basic("wk1")), 200, "")
	if len(s.stored) != 1 {
		t.Errorf("%d calls stored", len(s.stored))
	}
}

// Whatever is not taken is counted, by the reason that the client is given or is not.
func TestAnswersAreCounted(t *testing.T) {
	var mu sync.Mutex
	codes := map[event.Code]int{}
	count := func(c *APIConfig, _ *CollectorConfig, _ *memory) {
		c.OnAnswer = func(code event.Code) { mu.Lock(); defer mu.Unlock(); codes[code]++ }
	}
	s := open(t, count)
	s.post(t, "/v1/page", visit("m1"))
	s.post(t, "/v1/batch", batch(visit("m2"), `{"type":"track","userId":"u"}`)) // a bad message is not the request's fault
	s.post(t, "/v1/track", `{"userId":"u"}`)
	s.post(t, "/v1/page", "{")
	s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m3")), basic("nope"))
	s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m4")), basic("broken"))
	for range 2 {
		s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("")), basic("slow"))
	}
	s.send(t, http.MethodGet, "/v1/pixel/page?writeKey=wk1&userId=u", nil)
	s.send(t, http.MethodGet, "/v1/pixel/page?writeKey=nope&userId=u", nil)
	s.send(t, http.MethodGet, "/v1/pixel/page?data=%21", nil)
	s.send(t, http.MethodGet, "/v1/projects/nope/settings", nil) // brings no calls
	s.setFailing(true)
	s.post(t, "/v1/page", visit("m5"))
	lenient := open(t, count, func(c *APIConfig, _ *CollectorConfig, _ *memory) { c.LenientAuth = true })
	lenient.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m6")), basic("nope"))

	want := map[event.Code]int{
		"ok": 4, "discarded": 1, CodeInvalidWriteKey: 2, CodeUnavailable: 2, CodeRateLimited: 1,
		event.CodeMissingEvent: 1, event.CodeInvalidJSON: 1, event.CodeInvalidFormat: 1,
	}
	mu.Lock()
	defer mu.Unlock()
	if !maps.Equal(codes, want) {
		t.Errorf("counted %v, want %v", codes, want)
	}
}

func TestSourcesUnreachable(t *testing.T) {
	s := open(t)
	g := s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m")), basic("broken"))
	expect(t, g, 503, CodeUnavailable)
	if g.header.Get("Retry-After") != "1" || strings.Contains(g.body, "database") {
		t.Errorf("answer %v %s", g.header, g.body)
	}
}

func TestAnswerToOneMessageTellsTheCode(t *testing.T) {
	s := open(t, func(_ *APIConfig, _ *CollectorConfig, m *memory) { m.verdict = verdictOnUser })
	expect(t, s.post(t, "/v1/track", `{"userId":"u"}`), 400, event.CodeMissingEvent)
	expect(t, s.post(t, "/v1/track", `{"event":"E"}`), 400, event.CodeNoUserAnonID)
	expect(t, s.post(t, "/v1/track", `{"event":`), 400, event.CodeInvalidJSON)
	expect(t, s.post(t, "/v1/track", ``), 400, event.CodeInvalidJSON)
	expect(t, s.post(t, "/v1/page", `{"userId":"odd"}`), 400, "no_identifiers")
	expect(t, s.post(t, "/v1/page", `{"userId":"gone"}`), 200, "")
	expect(t, s.post(t, "/v1/page", `{"userId":"apart"}`), 200, "")
	expect(t, s.post(t, "/v1/page", visit("m")), 200, "")
	expect(t, s.post(t, "/v1/page", visit("m")), 200, "") // a duplicate

	// The same in a batch is success, and the neighbours are stored.
	expect(t, s.post(t, "/v1/batch", batch(visit("b1"), `{"type":"track"}`, `{"type":"page","userId":"odd"}`, visit("b2"))), 200, "")
	if ids := s.messageIDs(); !slices.Equal(ids, []string{"m", "b1", "b2"}) {
		t.Errorf("stored %v", ids)
	}

	var seen []string
	for _, x := range s.all() {
		for i, r := range x.Results {
			seen = append(seen, fmt.Sprint(x.Calls[i].Type, " ", r.Outcome, " ", r.Code))
		}
		for _, r := range x.Refused {
			seen = append(seen, fmt.Sprint("refused ", r.Index, " ", r.Code))
		}
		if x.Whole != nil {
			seen = append(seen, fmt.Sprint("whole ", x.Whole.Code))
		}
		if x.Source.Name != "shop" || !x.At.Equal(noon) {
			t.Errorf("exchange of %+v at %v", x.Source, x.At)
		}
	}
	want := []string{
		"refused 0 missing_event", "refused 0 no_user_anon_id", "whole invalid_json", "whole invalid_json",
		"page rejected no_identifiers", "page suppressed ", "page skipped personas_disabled", "page accepted ", "page duplicate ",
		"page accepted ", "page rejected no_identifiers", "page accepted ", "refused 1 no_user_anon_id",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("recorded\n%q, want\n%q", seen, want)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	s := open(t)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/track", 405, "POST, OPTIONS"},
		{"PUT", "/v1/batch", 405, "POST, OPTIONS"},
		{"POST", "/v1/projects/wk1/settings", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/v1/pixel/track", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/v1/pixel/t", 404, ""},
		{"GET", "/v1/pixel/unknown", 404, ""},
		{"POST", "/v1/unknown", 404, ""},
		{"POST", "/track", 404, ""},
		{"POST", "/batch", 404, ""},
		{"GET", "/", 404, ""},
		{"GET", "/v1/projects//settings", 404, ""},
		{"GET", "/v1/projects/a/b/settings", 404, ""},
		{"OPTIONS", "/v1/spaces/x", 404, ""},
	} {
		g := s.send(t, tt.method, tt.path, nil, basic("wk1"))
		if g.status != tt.status || g.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q", tt.method, tt.path, g.status, g.header.Get("Allow"))
		}
		if open := g.header.Get("Access-Control-Allow-Origin") != ""; open != (tt.status == 405) {
			t.Errorf("%s %s: open to browsers: %v", tt.method, tt.path, open)
		}
	}
}

func TestNewRefusesBadConfigurations(t *testing.T) {
	now := func() time.Time { return noon }
	collector := NewCollector(&memory{}, CollectorConfig{})
	with := func(source, integration, settings string) APIConfig {
		return APIConfig{
			Sources: keys{}, Collector: collector, Now: now,
			Integrations: map[string]map[string]jsontext.Value{source: {integration: jsontext.Value(settings)}},
		}
	}
	if _, err := NewAPI(with("shop", "Alpha", `{"a":1}`)); err != nil {
		t.Error(err)
	}
	for name, cfg := range map[string]APIConfig{
		"nothing":   {},
		"no clock":  {Sources: keys{}, Collector: collector},
		"no scheme": {Sources: keys{}, Collector: collector, Now: now, PublicURL: "shop.test"},
		"other":     {Sources: keys{}, Collector: collector, Now: now, PublicURL: "ftp://shop.test"},

		"own integration":     with("shop", "Segment.io", `{}`),
		"unnamed integration": with("shop", "", `{}`),
		"unnamed source":      with("", "Alpha", `{}`),
		"settings not JSON":   with("shop", "Alpha", `{"a":`),
		"settings no object":  with("shop", "Alpha", `[]`),
		"settings not there":  with("shop", "Alpha", ``),
	} {
		if _, err := NewAPI(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
