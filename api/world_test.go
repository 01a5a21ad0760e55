package api_test

import (
	"bytes"
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

	"github.com/go-json-experiment/json"

	"muster/api"
	"muster/app"
	"muster/identity"
	"muster/ingest"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/store"
)

// noon is when the tests begin.
var noon = time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)

// world is a Muster with its APIs served over HTTP, on a clock that the test moves.
type world struct {
	app         *app.App
	api         *api.API
	store       *store.Store
	fake        *mixpaneltest.Server
	url         string
	read, write string // tokens
	log         *safeBuffer

	now  atomic.Pointer[time.Time]
	mu   sync.Mutex
	done map[string]bool // operations that were answered with success
}

func newWorld(t *testing.T) *world { return newWorldAt(t, 10_000) }

// newWorldAt serves tokens at a rate.
func newWorldAt(t *testing.T, rate float64) *world {
	t.Helper()
	w := &world{done: make(map[string]bool), log: &safeBuffer{}}
	w.now.Store(&noon)
	w.fake = mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: "tok"}}, Now: w.clock})
	w.store = store.New(pgtest.New(t))
	var err error
	w.app, err = app.New(t.Context(), app.Options{
		Store: w.store, Identity: identity.DefaultSettings(), Now: w.clock,
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: "tok", BaseURL: w.fake.URL()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.app.Close)
	w.read, w.write = w.token(t, "reader", store.ScopeRead), w.token(t, "writer", store.ScopeWrite)
	w.api, err = api.New(api.Config{App: w.app, Tokens: w.store.TokenBook(w.clock), Now: w.clock, Log: w.log.logger(), Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.api)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) clock() time.Time { return *w.now.Load() }

func (w *world) wait(d time.Duration) { w.now.Store(new(w.clock().Add(d))) }

func (w *world) token(t *testing.T, name string, scope store.Scope) string {
	t.Helper()
	token, err := w.store.CreateToken(t.Context(), name, scope, w.clock())
	if err != nil {
		t.Fatal(err)
	}
	return token.Reveal()
}

// take has the world take calls, one a line.
func (w *world) take(t *testing.T, calls ...string) {
	t.Helper()
	src, err := w.store.EnsureSource(t.Context(), "import", w.clock())
	if err != nil {
		t.Fatal(err)
	}
	summary, err := ingest.Import{Sink: w.app.Sink(), SourceID: src.ID, Now: w.clock}.Run(t.Context(), strings.NewReader(strings.Join(calls, "\n")))
	if err != nil || summary.Refused > 0 {
		t.Fatal(err, summary)
	}
}

// people are some who have ordered; the nth has the user id u<n>, and orders n times.
func (w *world) people(t *testing.T, n int) {
	t.Helper()
	var calls []string
	for i := range n {
		calls = append(calls, fmt.Sprintf(`{"type":"identify","messageId":"i%d","userId":"u%d","timestamp":"2026-05-01T00:00:00Z","traits":{"email":"u%d@example.net","plan":"pro"}}`, i, i, i))
		for k := range i + 1 {
			calls = append(calls, fmt.Sprintf(`{"type":"track","messageId":"o%d-%d","userId":"u%d","event":"Order Completed","timestamp":"2026-05-0%dT0%d:00:00Z","properties":{"revenue":%d}}`,
				i, k, i, 1+i%9, k%10, 10*i))
		}
	}
	w.take(t, calls...)
}

func (w *world) settle(t *testing.T) {
	t.Helper()
	if err := w.app.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// answer is what a request was answered.
type answer struct {
	status int
	header http.Header
	text   string
	path   string // of the request, as it was sent
}

// send makes a request as it stands.
func (w *world) send(t *testing.T, method, path, body string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name := range header {
		req.Header.Set(name, header.Get(name))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text), resp.Request.URL.EscapedPath()}
}

// as is the header with a token, in the way of the API that answers at the path.
func as(path, token string) http.Header {
	req := http.Request{Header: make(http.Header)}
	if strings.HasPrefix(path, "/v1/") {
		req.SetBasicAuth(token, "")
	} else {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req.Header
}

// call makes a request with a token, and holds the answer against openapi.yaml.
func (w *world) call(t *testing.T, token, method, path, body string) (int, object) {
	t.Helper()
	a := w.send(t, method, path, body, as(path, token))
	var v any
	if err := json.Unmarshal([]byte(a.text), &v); err != nil {
		t.Fatalf("%s %s answers %d with what is no JSON: %s", method, path, a.status, a.text)
	}
	operation, op := w.operation(method, a.path)
	if op == nil {
		return a.status, v.(object)
	}
	responses := op["responses"].(object)
	declared := resolved(responses[fmt.Sprint(a.status)])
	success := declared != nil
	if !success {
		declared = resolved(responses["default"])
		if a.status < 400 {
			t.Errorf("%s answers %d, which is not described", operation, a.status)
		}
	}
	for _, fault := range fits("answer", v, in(declared, "content", "application/json", "schema")) {
		t.Errorf("%s %s answers %d: %s", method, path, a.status, fault)
	}
	if sent := in(resolved(op["requestBody"]), "content", "application/json", "schema"); success && body != "" {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil || sent == nil {
			t.Errorf("%s takes a body that is not described: %v", operation, err)
		}
		for _, fault := range fits("body", v, sent) {
			t.Errorf("%s takes what is not described: %s", operation, fault)
		}
	}
	if success {
		w.mu.Lock()
		w.done[operation] = true
		w.mu.Unlock()
	}
	return a.status, v.(object)
}

// operation finds the described operation for a path, and its id.
func (w *world) operation(method, path string) (string, object) {
	parts := strings.Split(path, "/")
	best, found := -1, object(nil)
	for template, item := range in(described, "paths").(object) {
		fixed, names := 0, strings.Split(template, "/")
		fit := len(names) == len(parts) && slices.EqualFunc(names, parts, func(name, part string) bool {
			if strings.HasPrefix(name, "{") {
				return part != ""
			}
			fixed++
			return name == part
		})
		if op, ok := item.(object)[strings.ToLower(method)].(object); fit && ok && fixed > best {
			best, found = fixed, op
		}
	}
	if found == nil {
		return "", nil
	}
	return found["operationId"].(string), found
}

// must is call where success is expected; it returns the data of the answer.
func (w *world) must(t *testing.T, method, path, body string) object {
	t.Helper()
	status, answer := w.call(t, w.write, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s answers %d: %v", method, path, status, answer)
	}
	if data, ok := answer["data"].(object); ok {
		return data
	}
	return answer
}

// safeBuffer is a log that several may write to.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *safeBuffer) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
