package mixpaneltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server plays Mixpanel. It is an http.Handler; all its methods may be called at
// any time from any goroutine.
type Server struct {
	options  Options
	projects map[string]*project
	tokens   []string // of the projects, in their order
	clock    clock
	names    interner
	flights  *flights
	faults   faults
	requests requestLog

	violations findings[Violation]
	orphans    findings[Orphan]
	dropped    findings[Dropped]

	expected sync.Map // Rule -> bool: must it have been broken?
	broken   sync.Map // Rule -> true

	numbers   atomic.Int64
	inFlight  atomic.Int64
	closing   chan struct{}
	closeOnce sync.Once
	served    chan error // what Serve returned; nil before Start
	http      *http.Server
	url       string
}

// project is a Project with all that it holds.
type project struct {
	Project
	foreign    bool // it lives in another region
	users      *profiles
	groups     *profiles
	events     eventLog
	identities identities
	rate       rateMeter
}

// NewServer returns a server that is not listening yet; it can serve as a handler,
// or be started. It panics if the options are invalid: check those that come from
// outside with [Options.Validate].
func NewServer(options Options) *Server {
	if err := options.Validate(); err != nil {
		panic(fmt.Sprintf("mixpaneltest: %v", err))
	}
	options = options.withDefaults()
	s := &Server{
		options:  options,
		projects: map[string]*project{},
		clock:    clock{base: options.Now},
		flights:  newFlights(),
		requests: requestLog{keep: options.KeepRequests},
		closing:  make(chan struct{}),
	}
	for _, p := range options.Projects {
		if p.Region == "" {
			p.Region = options.Region
		}
		if p.IDMerge == "" {
			p.IDMerge = Legacy
		}
		held := &project{
			Project: p, foreign: p.Region != options.Region,
			users: newProfiles(), groups: newProfiles(),
			events:     eventLog{keep: options.KeepEvents},
			identities: identities{mode: p.IDMerge, clusterIDs: options.Limits.ClusterIDs},
		}
		held.identities.reset()
		s.projects[p.Token] = held
		s.tokens = append(s.tokens, p.Token)
	}
	return s
}

// Start listens on addr, for example "127.0.0.1:0", and serves until Close. The
// returned URL is the base of all endpoints.
func (s *Server) Start(addr string) (url string, err error) {
	if s.http != nil {
		return "", errors.New("mixpaneltest: the server is started already")
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("mixpaneltest: listen on %s: %w", addr, err)
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.served = make(chan error, 1)
	s.url = "http://" + listener.Addr().String()
	go func() { s.served <- s.http.Serve(listener) }()
	return s.url, nil
}

// URL is the base of all endpoints once the server is started.
func (s *Server) URL() string { return s.url }

// Close ends all delays, lets requests finish for a moment and stops listening. It
// may be called twice. What the server holds can still be looked at.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closing)
		if s.http == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err = s.http.Shutdown(ctx); err != nil {
			err = s.http.Close()
		}
		if e := <-s.served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	})
	return err
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimSuffix(r.URL.Path, "/")
	for _, e := range endpoints {
		if path == "/"+string(e) {
			s.serve(w, r, e)
			return
		}
	}
	s.inspect(w, r, path)
}

// serve answers one request of Mixpanel's API.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, e Endpoint) {
	c := &call{
		server: s, request: r, endpoint: e, query: r.URL.Query(),
		number: int(s.numbers.Add(1)), now: s.clock.now(), fault: s.faults.next(e),
	}
	began := wallClock() // not the server's clock: this is how long the request took
	buf := bodies.Get().(*bytes.Buffer)
	buf.Reset()
	answered := func(status int) {
		s.record(c.violations)
		s.requests.add(c, status, wallClock().Sub(began))
		bodies.Put(buf)
	}
	a, cut := c.answer(buf)
	if cut {
		answered(0)
		panic(http.ErrAbortHandler) // breaks the connection, as documented
	}
	answered(a.status)
	a.write(w)
}

// answer takes the request in, does what it asks and returns what to answer, or
// cut = true if the connection is to break.
func (c *call) answer(buf *bytes.Buffer) (a answer, cut bool) {
	if c.fault != nil && c.fault.Kind == FaultCloseBefore {
		c.wait(c.fault.Delay)
		return a, true
	}
	if c.request.Method != http.MethodPost && (c.request.Method != http.MethodGet || c.endpoint == Import) {
		return gatewayError(http.StatusMethodNotAllowed), false
	}
	err := c.read(buf)
	if errors.Is(err, errGone) {
		return a, true
	}
	c.readOptions()
	if errors.Is(err, errTooLarge) {
		limit := c.server.options.Limits.RequestBytes
		c.violate(-1, RuleOversize, fmt.Sprintf("the body has more than %d bytes", limit))
		return tooLarge(limit), false
	}
	if c.endpoint == Import {
		var problem string
		if c.project, problem = c.authenticate(); problem != "" {
			return unauthorized(problem), false
		}
	}
	if err == nil {
		err = c.split()
	}
	limit := c.server.options.Limits.Records
	switch {
	case err != nil:
		c.violate(-1, RuleMalformed, err.Error())
	case len(c.records) > limit:
		// Unpublished; a clear refusal helps the sender most [assumed].
		err = fmt.Errorf("request has %d records, the limit is %d", len(c.records), limit)
		c.violate(-1, RuleTooManyRecords, err.Error())
	}
	if err != nil {
		if c.endpoint == Import {
			return importRefusal(err.Error(), 0, nil), false
		}
		return c.flag(err.Error()), false
	}
	return c.process()
}

// process applies the records, between whatever faults are due.
func (c *call) process() (a answer, cut bool) {
	var batch interface {
		board()        // enters the ids into the flights
		apply() answer // changes the state
	}
	if c.endpoint == Import || c.endpoint == Track {
		batch = c.parseEvents()
	} else {
		batch = c.parseUpdates()
	}
	batch.board()
	c.server.inFlight.Add(1)
	defer func() {
		c.server.record(c.server.flights.land(c))
		c.server.inFlight.Add(-1)
	}()
	if c.overRate() {
		return rateLimited(), false
	}
	f := c.fault
	if f == nil {
		return batch.apply(), false
	}
	delayed := f.Kind == FaultDelay && f.Applied
	if !delayed && !c.wait(f.Delay) {
		return a, true
	}
	if a, instead := c.faultAnswer(); instead && !f.Applied {
		return a, false
	}
	a = batch.apply()
	if delayed && !c.wait(f.Delay) || f.Kind == FaultCloseAfter {
		return a, true
	}
	if b, instead := c.faultAnswer(); instead {
		a = b
	}
	return a, false
}

// record files violations, and remembers which rules they break.
func (s *Server) record(violations []Violation) {
	for _, v := range violations {
		s.broken.Store(v.Rule, true)
	}
	s.violations.add(s.options.KeepFindings, violations...)
}
