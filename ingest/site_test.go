package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	api       *API
	server    *httptest.Server
	clock     atomic.Int64 // nanoseconds since noon
	stop      func()       // ends the collector and waits for it
}

// open starts a site that ends with the test. The options change its configuration
// and its sink before it starts.
func open(t *testing.T, options ...func(*APIConfig, *CollectorConfig, *memory)) *site {
	t.Helper()
	s := &site{memory: &memory{}, notebook: &notebook{}}
	cfg := APIConfig{
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
	api, err := NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.api = api
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
