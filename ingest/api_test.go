package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"muster/event"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// site is a running API with what stands around it.
type site struct {
	*memory
	*notebook
	url       string
	collector *Collector
	server    *httptest.Server
	clock     atomic.Int64 // nanoseconds since noon
	stop      func()       // ends the collector and waits for it
}

// open starts a site that ends with the test. The options change its configuration
// and its sink before it starts.
func open(t *testing.T, options ...func(*Config, *CollectorConfig, *memory)) *site {
	t.Helper()
	s := &site{memory: &memory{}, notebook: &notebook{}}
	cfg := Config{
		Sources: keys{
			"wk1": {ID: 1, Name: "shop", Rate: 1e6}, "wk2": {ID: 2, Name: "app"},
			"slow": {ID: 3, Name: "slow", Rate: 0.5},
		},
		Recorder: s.notebook,
		Now:      func() time.Time { return noon.Add(time.Duration(s.clock.Load())) },
	}
	collecting := CollectorConfig{Wait: time.Millisecond}
	for _, o := range options {
		o(&cfg, &collecting, s.memory)
	}
	s.collector = NewCollector(s.memory, collecting)
	cfg.Collector = s.collector
	api, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(api)
	Harden(s.server.Config)
	s.server.Start()
	s.url = s.server.URL
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.collector.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.server.Close()
		s.stop()
		transport.CloseIdleConnections()
	})
	return s
}

// transport is http.DefaultTransport that keeps a connection for each of many clients.
var transport = &http.Transport{MaxIdleConnsPerHost: 100}

// got is what a request came back with.
type got struct {
	status int
	header http.Header
	body   string
}

// code is the error code in the body, "" for success.
func (g got) code(t *testing.T) event.Code {
	t.Helper()
	var a struct {
		Success bool
		Error   struct {
			Code, Message, Field string
		}
	}
	if err := json.Unmarshal([]byte(g.body), &a); err != nil {
		t.Fatalf("answer %q: %v", g.body, err)
	}
	if a.Success != (a.Error.Code == "") {
		t.Fatalf("answer %q contradicts itself", g.body)
	}
	return event.Code(a.Error.Code)
}

// send makes a request with header lines like "Name: value".
func (s *site) send(t *testing.T, method, path string, body io.Reader, header ...string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got{resp.StatusCode, resp.Header, string(text)}
}

func basic(key string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"))
}

// post sends a body with the key of the first source.
func (s *site) post(t *testing.T, path, body string, header ...string) got {
	t.Helper()
	return s.send(t, http.MethodPost, path, strings.NewReader(body), append([]string{basic("wk1")}, header...)...)
}

// expect fails unless the answer has the status and the code.
func expect(t *testing.T, g got, status int, code event.Code) {
	t.Helper()
	if g.status != status || g.code(t) != code {
		t.Fatalf("answer %d %s, want %d with code %q", g.status, g.body, status, code)
	}
}

var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func zip(text string) string {
	var b bytes.Buffer
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

func visit(id string) string {
	return fmt.Sprintf(`{"type":"page","userId":"u","messageId":%q}`, id)
}

func batch(messages ...string) string {
	return `{"batch":[` + strings.Join(messages, ",") + `]}`
}

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
	s := open(t, func(c *Config, _ *CollectorConfig, _ *memory) { c.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
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
	s := open(t, func(c *Config, _ *CollectorConfig, _ *memory) { c.LenientAuth = true })
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

func TestSourcesUnreachable(t *testing.T) {
	s := open(t)
	g := s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m")), basic("broken"))
	expect(t, g, 503, CodeUnavailable)
	if g.header.Get("Retry-After") != "1" || strings.Contains(g.body, "database") {
		t.Errorf("answer %v %s", g.header, g.body)
	}
}

func TestAnswerToOneMessageTellsTheCode(t *testing.T) {
	s := open(t, func(_ *Config, _ *CollectorConfig, m *memory) { m.verdict = verdictOnUser })
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

func TestBrowsers(t *testing.T) {
	s := open(t)
	for _, path := range []string{"/v1/t", "/v1/batch", "/v1/m", "/v1/projects/wk1/settings", "/v1/pixel/track"} {
		g := s.send(t, http.MethodOptions, path, nil, "Origin: https://shop.test",
			"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
		want := map[string]string{
			"Access-Control-Allow-Origin":   "*",
			"Access-Control-Allow-Methods":  "GET, POST, OPTIONS",
			"Access-Control-Allow-Headers":  "authorization, content-type, x-retry-count",
			"Access-Control-Max-Age":        "86400",
			"Access-Control-Expose-Headers": "Retry-After, X-RateLimit-Reset",
		}
		if g.status != http.StatusNoContent || g.body != "" {
			t.Errorf("OPTIONS %s: %d %q", path, g.status, g.body)
		}
		for name, value := range want {
			if g.header.Get(name) != value {
				t.Errorf("OPTIONS %s: %s is %q", path, name, g.header.Get(name))
			}
		}
	}
	for name, g := range map[string]got{
		"success": s.post(t, "/v1/page", visit("m")),
		"refused": s.post(t, "/v1/page", `{`),
		"no key":  s.send(t, http.MethodPost, "/v1/page", strings.NewReader(visit("m"))),
	} {
		if g.header.Get("Access-Control-Allow-Origin") != "*" || g.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %v", name, g.header)
		}
	}
}

func TestSettings(t *testing.T) {
	s := open(t)
	g := s.send(t, http.MethodGet, "/v1/projects/wk1/settings", nil)
	host := strings.TrimPrefix(s.url, "http://")
	want := `{"integrations":{"Segment.io":{"apiKey":"wk1","apiHost":"` + host + `/v1","protocol":"http","unbundledIntegrations":[],"addBundledMetadata":true}},` +
		`"plan":{"track":{"__default":{"enabled":true,"integrations":{}}}},"metrics":{"sampleRate":0}}`
	if g.status != 200 || g.body != want || g.header.Get("Cache-Control") != "public, max-age=120" {
		t.Errorf("settings %d %v\n got %s\nwant %s", g.status, g.header, g.body, want)
	}
	if g := s.send(t, http.MethodGet, "/v1/projects/wk1/settings", nil, "X-Forwarded-Proto: https"); !strings.Contains(g.body, `"protocol":"https"`) {
		t.Errorf("behind a proxy: %s", g.body)
	}
	expect(t, s.send(t, http.MethodGet, "/v1/projects/nope/settings", nil), 404, CodeInvalidWriteKey)
	expect(t, s.send(t, http.MethodGet, "/v1/projects/broken/settings", nil), 503, CodeUnavailable)

	fixed := open(t, func(c *Config, _ *CollectorConfig, _ *memory) {
		c.PublicURL, c.LenientAuth = "https://events.shop.test/seg/", true
	})
	if g := fixed.send(t, http.MethodGet, "/v1/projects/nope/settings", nil); g.status != 200 ||
		!strings.Contains(g.body, `"apiHost":"events.shop.test/seg/v1","protocol":"https"`) {
		t.Errorf("public address: %d %s", g.status, g.body)
	}
}

func TestNewRefusesBadConfigurations(t *testing.T) {
	now := func() time.Time { return noon }
	collector := NewCollector(&memory{}, CollectorConfig{})
	for name, cfg := range map[string]Config{
		"nothing":   {},
		"no clock":  {Sources: keys{}, Collector: collector},
		"no scheme": {Sources: keys{}, Collector: collector, Now: now, PublicURL: "shop.test"},
		"other":     {Sources: keys{}, Collector: collector, Now: now, PublicURL: "ftp://shop.test"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPixel(t *testing.T) {
	s := open(t)
	call := `{"writeKey":"wk2","userId":"u>?","event":"Email Opened","messageId":"%s","properties":{"subject":"Daily"}}`
	std := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, call, "std"))
	for name, query := range map[string]string{
		"std, raw":     "data=" + std,
		"url alphabet": "data=" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, call, "url")),
		"plain": "writeKey=wk2&userId=user_1&event=Email%20Opened&messageId=plain&properties.subject=The+Daily" +
			"&properties.a.b=c&properties.subject.x=lost",
		"no base64":  "data=%%%",
		"not JSON":   "data=" + base64.StdEncoding.EncodeToString([]byte("{")),
		"no key":     "userId=u&event=E",
		"wrong key":  "writeKey=nope&userId=u&event=E",
		"no event":   "writeKey=wk2&userId=u",
		"bad UTF-8":  "writeKey=wk2&userId=%ff&event=E",
		"no query":   "",
		"key broken": "writeKey=broken&userId=u&event=E",
	} {
		g := s.send(t, http.MethodGet, "/v1/pixel/track?"+query, nil)
		if g.status != 200 || g.header.Get("Content-Type") != "image/gif" || g.body != pixelGIF || g.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %q", name, g.status, g.header, g.body)
		}
	}
	ids := s.messageIDs()
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"plain", "std", "url"}) {
		t.Fatalf("stored %v", ids)
	}
	for _, it := range s.stored {
		if it.SourceID != 2 || it.Call.Event != "Email Opened" {
			t.Errorf("stored %+v", it.Call)
		}
		if it.Call.MessageID == "plain" && string(it.Call.Properties) != `{"a":{"b":"c"},"subject":"The Daily"}` {
			t.Errorf("properties %s", it.Call.Properties)
		}
	}
	if g := s.send(t, http.MethodHead, "/v1/pixel/track?data="+std, nil); g.status != 200 || g.body != "" {
		t.Errorf("HEAD: %d %q", g.status, g.body)
	}
}
