package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
)

// APIConfig is what an API works with. Sources, Collector and Now are required.
type APIConfig struct {
	Sources   Sources
	Collector *Collector
	Now       func() time.Time

	Recorder Recorder     // nil means that nobody watches
	Log      *slog.Logger // nil means none

	// OnAnswer, if not nil, is told the code of the answer to each request that brought
	// calls: "ok"; "discarded", see LenientAuth; or that of the refusal. It is called from
	// many goroutines.
	OnAnswer func(event.Code)

	// LenientAuth answers 200 to requests with an unknown write key and throws their
	// calls away, as Segment does. Otherwise they are answered 401.
	LenientAuth bool
	// PublicURL is the address under which libraries reach this API, for the settings
	// that they fetch. Empty means the address at which they fetch them.
	PublicURL string
	// Integrations are what the libraries of a source run themselves besides sending their
	// calls here: by the source's name and the integration's, the settings of each, a JSON
	// object. Whoever knows the write key, which pages show, can read them.
	Integrations map[string]map[string]jsontext.Value
	// ClientIP finds the address of a client, for example behind a proxy that is
	// trusted. Nil means the address of the connection.
	ClientIP func(*http.Request) string

	DefaultRate   float64       // requests per second of a source that has no rate; default DefaultRate
	MaxConcurrent int           // requests being decoded and stored; more are answered 503; default 1,000
	MaxBodies     int64         // bytes of request bodies in memory; more are answered 503; default 128 MiB
	AnswerTimeout time.Duration // how long a request waits to be stored; default 30 s
}

// API is the Tracking API, an http.Handler for all paths below /v1/.
type API struct {
	cfg    APIConfig
	public *url.URL
	pace   pacer
	slots  chan struct{} // one for each request at work
	room   room
	lookup outage // of sources

	twoKeys sync.Map // ids of sources whose clients were seen to send two different keys
}

// NewAPI checks cfg and returns an API. It starts nothing.
func NewAPI(cfg APIConfig) (*API, error) {
	if cfg.Sources == nil || cfg.Collector == nil || cfg.Now == nil {
		return nil, errors.New("ingest: an API needs sources, a collector and a clock")
	}
	public, err := ParsePublicURL(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	if err := checkIntegrations(cfg.Integrations); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	cfg.DefaultRate = cmp.Or(cfg.DefaultRate, DefaultRate)
	cfg.MaxConcurrent = cmp.Or(cfg.MaxConcurrent, 1_000)
	cfg.MaxBodies = cmp.Or(cfg.MaxBodies, 128<<20)
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, 30*time.Second)
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.ClientIP == nil {
		cfg.ClientIP = connectionIP
	}
	return &API{
		cfg: cfg, public: public, pace: pacer{standard: cfg.DefaultRate}, slots: make(chan struct{}, cfg.MaxConcurrent), room: room{size: cfg.MaxBodies},
		lookup: outage{
			fails: func(more ...any) { cfg.Log.Error("the sources of requests cannot be looked up", more...) },
			over:  func(more ...any) { cfg.Log.Info("the sources of requests are found again", more...) },
		},
	}, nil
}

// connectionIP is the address at the other end of the connection.
func connectionIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// calls are the paths below /v1/ that take one message, and its type.
var calls = map[string]event.Type{
	"identify": event.Identify, "i": event.Identify,
	"track": event.Track, "t": event.Track,
	"page": event.Page, "p": event.Page,
	"screen": event.Screen, "s": event.Screen,
	"group": event.Group, "g": event.Group,
	"alias": event.Alias, "a": event.Alias,
}

// ServeHTTP routes a request by its path. Doubled and trailing slashes, which come
// from hosts configured with a slash at the end, do no harm.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, _ := strings.CutPrefix(path.Clean(r.URL.Path), "/v1/")
	kind, single := calls[name]
	key, settings := within(name, "projects/", "/settings")
	image, pixel := within(name, "pixel/", "")
	switch {
	case single, name == "batch", name == "import", name == "b":
		if allow(w, r, http.MethodPost) {
			why := a.post(w, r, kind)
			a.answered(why)
			reply(w, why)
		}
	case name == "m": // measurements of the libraries about themselves
		if allow(w, r, http.MethodPost) {
			reply(w, nil)
		}
	case settings:
		if allow(w, r, http.MethodGet, http.MethodHead) {
			a.settings(w, r, key)
		}
	case pixel && string(calls[image]) == image:
		if allow(w, r, http.MethodGet, http.MethodHead) {
			a.pixel(w, r, calls[image])
		}
	default:
		reply(w, refuse(http.StatusNotFound, CodeNotFound, "the Tracking API has no such path"))
	}
}

// within is the one path element between prefix and suffix.
func within(name, prefix, suffix string) (string, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return "", false
	}
	rest, ok = strings.CutSuffix(rest, suffix)
	return rest, ok && rest != "" && !strings.Contains(rest, "/")
}

// allow reports whether the request has one of the methods, and answers it if not.
// All that stands on the path is open to browsers.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	allowBrowsers(w.Header())
	if r.Method == http.MethodOptions {
		preflight(w)
		return false
	}
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(append(methods, http.MethodOptions), ", "))
	reply(w, refuse(http.StatusMethodNotAllowed, CodeMethodNotAllowed, "this path takes "+strings.Join(methods, " and ")))
	return false
}

// enter takes a place among the requests at work, false if there is none; leave
// gives it back.
func (a *API) enter() bool {
	select {
	case a.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (a *API) leave() { <-a.slots }

// source finds the enabled source with the key.
func (a *API) source(ctx context.Context, key string) (Source, *refusal) {
	unknown := refuse(http.StatusUnauthorized, CodeInvalidWriteKey,
		"no source has this write key: send it as the user name of Basic authentication or as writeKey in the body")
	if key == "" || len(key) > maxWriteKey {
		return Source{}, unknown
	}
	src, ok, err := a.cfg.Sources.ByWriteKey(ctx, key)
	if err != nil {
		if ctx.Err() == nil { // else it is the client who is gone
			a.lookup.failed(err)
		}
		return Source{}, unavailable("sources cannot be looked up at present")
	}
	a.lookup.worked()
	if !ok {
		return Source{}, unknown
	}
	return src, nil
}

// admit finds the source with the key and takes one request off its rate.
func (a *API) admit(ctx context.Context, key string, now time.Time) (Source, *refusal) {
	src, why := a.source(ctx, key)
	if why != nil {
		return src, why
	}
	if wait := a.pace.wait(src, now); wait > 0 {
		return src, &refusal{
			status: http.StatusTooManyRequests, code: CodeRateLimited, wait: wait,
			message: "the source has sent too many requests in a second",
		}
	}
	return src, nil
}
