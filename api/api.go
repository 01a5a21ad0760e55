// Package api serves the admin API, by which programs do what the commands of muster do,
// and the Profile API, by which they ask about single people in the way of Segment's. Both
// are described by openapi.yaml, which it serves too. It decides nothing: what it does is
// done by the same code as the commands.
package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"muster/app"
	"muster/store"
)

// Config is what an API works with. App, Tokens and Now are required.
type Config struct {
	App    *app.App
	Tokens *store.TokenBook
	Now    func() time.Time
	Log    *slog.Logger // nil: nothing is logged
	// Rate is how many requests a token may make per second, on average and in a burst,
	// from 0.001 to 1,000,000; 0 means DefaultRate.
	Rate float64
}

// API is both APIs, an http.Handler for the paths that Owns names.
type API struct {
	cfg   Config
	store *store.Store
	mux   *http.ServeMux
	pace  pacer

	working, slow chan struct{} // one for each request at work
	wait          time.Duration // for one's turn
	defining      sync.Mutex    // one change of the definitions at a time, from reading them on
}

// Limits of what is done at a time, so that the APIs leave connections of the database to
// ingestion and delivery.
const (
	maxWorking  = 8
	maxSlow     = 2                // of these, requests that may take long
	maxWait     = 5 * time.Second  // for one's turn
	timeout     = 30 * time.Second // of the work for an answer
	slowTimeout = 80 * time.Second
)

// New checks cfg and returns an API.
func New(cfg Config) (*API, error) {
	if cfg.App == nil || cfg.Tokens == nil || cfg.Now == nil {
		return nil, errors.New("api: it needs an app, tokens and a clock")
	}
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	a := &API{
		cfg: cfg, store: cfg.App.Store, mux: http.NewServeMux(), pace: pacer{rate: cmp.Or(cfg.Rate, DefaultRate)},
		working: make(chan struct{}, maxWorking), slow: make(chan struct{}, maxSlow), wait: maxWait,
	}
	a.serve()
	return a, nil
}

// adminPath is where the paths of the admin API begin.
const adminPath = "/api/v1"

// profilePaths are where the paths of the Profile API begin, the older form too.
var profilePaths = []string{"/v1/spaces/", "/v1/namespaces/"}

// Owns tells whether the APIs answer at a path.
func Owns(path string) bool {
	for _, p := range profilePaths {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return path == adminPath || strings.HasPrefix(path, adminPath+"/") || path == descriptionJSON || path == descriptionYAML
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Request-Id", uuid.NewString())
	a.mux.ServeHTTP(w, r)
}

// route is a method on a path.
type route struct {
	method, path string
	scope        store.Scope
	params       []string // of the query that it knows
	slow         bool
	status       int // of success; 0: 200
	dialect      *dialect
	handle       func(*request) (any, error)
}

// serve tells the mux the routes. What is none is answered in the dialect of its API.
func (a *API) serve() {
	methods := make(map[string][]string)
	dialects := make(map[string]*dialect)
	for _, rt := range a.routes() {
		a.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, rt) })
		methods[rt.path] = append(methods[rt.path], rt.method)
		dialects[rt.path] = rt.dialect
	}
	for path, allowed := range methods {
		if strings.HasSuffix(path, "/previews") {
			continue // it would be at odds with the paths of keys, which answer instead
		}
		a.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			dialects[path].refuse(w, &fault{
				status: http.StatusMethodNotAllowed, message: "this path takes " + strings.Join(allowed, " and "),
			})
		})
	}
	nowhere := func(d *dialect) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			d.refuse(w, &fault{status: http.StatusNotFound, message: "there is no such path; " + descriptionYAML + " lists all"})
		}
	}
	a.mux.HandleFunc("/", nowhere(admin))
	for _, p := range profilePaths {
		a.mux.HandleFunc(p, nowhere(profile))
	}
	a.describe()
}

// routes are all routes with a token.
func (a *API) routes() []*route {
	routes := a.adminRoutes()
	for _, rt := range routes {
		rt.path, rt.dialect = adminPath+rt.path, admin
	}
	return append(routes, a.profileRoutes()...)
}

// answer does what a request asks for, if it may.
func (a *API) answer(w http.ResponseWriter, r *http.Request, rt *route) {
	began := a.cfg.Now()
	req := &request{Request: r, api: a, route: rt}
	status := cmp.Or(rt.status, http.StatusOK)
	value, err := a.do(w, req)
	if err != nil {
		f := a.faultOf(w, req, err)
		status = f.status
		rt.dialect.refuse(w, f)
	} else {
		rt.dialect.accept(w, status, value)
	}
	level := slog.LevelDebug
	if rt.scope == store.ScopeWrite && req.holder.Name != "" {
		level = slog.LevelInfo // who changed what; without ids of people, which paths hold
	}
	a.cfg.Log.Log(r.Context(), level, "api", "token", req.holder.Name, "route", rt.method+" "+rt.path, "status", status,
		"took", a.cfg.Now().Sub(began), "request", w.Header().Get("Request-Id"))
}

func (a *API) do(w http.ResponseWriter, r *request) (any, error) {
	if err := a.admit(w, r); err != nil {
		return nil, err
	}
	if err := r.read(); err != nil {
		return nil, err
	}
	places, limit := []chan struct{}{a.working}, timeout
	if r.route.slow {
		places, limit = []chan struct{}{a.slow, a.working}, slowTimeout
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	turn := time.NewTimer(a.wait)
	defer turn.Stop()
	for _, place := range places {
		select {
		case place <- struct{}{}:
			defer func() { <-place }()
		case <-turn.C:
			return nil, &fault{status: http.StatusServiceUnavailable, message: "too many requests are at work; try again", wait: maxWait}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.Request = r.WithContext(ctx)
	return r.route.handle(r)
}
