package mixpaneltest

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// control is one path by which a running server is looked into or steered. It must
// only be reachable by those who may: the server asks for no credentials here.
type control struct {
	method, path, text string
	serve              func(s *Server, r *http.Request) (any, error)
}

// controls in the order in which GET / lists them. Where a token is asked for, it
// may be left out if the server has one project.
func controls() []control {
	return []control{
		{"GET", "/_fake/profile", "one user's profile: token, distinct_id", (*Server).showProfile},
		{"GET", "/_fake/profiles", "user profiles: token, limit (default 100)", (*Server).showProfiles},
		{"GET", "/_fake/group", "one group's profile: token, key, id", (*Server).showGroup},
		{"GET", "/_fake/groups", "group profiles: token, limit", (*Server).showGroups},
		{"GET", "/_fake/events", "events, newest last: token, view=raw|dedup, name, distinct_id, limit", (*Server).showEvents},
		{"GET", "/_fake/activity", "one user's events, newest first: token, distinct_id, limit", (*Server).showActivity},
		{"GET", "/_fake/requests", "totals per endpoint and the newest requests: limit", (*Server).showRequests},
		{"GET", "/_fake/orphans", "records that were accepted and lost", func(s *Server, _ *http.Request) (any, error) { return s.Orphans(), nil }},
		{"GET", "/_fake/dropped", "events that were accepted and not kept", func(s *Server, _ *http.Request) (any, error) { return s.DroppedEvents(), nil }},
		{"GET", "/_fake/violations", "rules that a sender broke", func(s *Server, _ *http.Request) (any, error) { return s.Violations(), nil }},
		{"POST", "/_fake/reset", "forget everything", func(s *Server, _ *http.Request) (any, error) { s.Reset(); return s.summary(), nil }},
		{"POST", "/_fake/faults", `make requests fail: [{"endpoint":"engage","kind":"status","status":503,"count":3}]; [] ends it`, (*Server).postFaults},
		{"GET", "/_fake/clock", "the server's time", func(s *Server, _ *http.Request) (any, error) { return s.showClock(), nil }},
		{"POST", "/_fake/clock", `set it: {"now":"2026-01-01T00:00:00Z"} stops it, {"advance":"1h"} moves it, {"run":true} lets it run`, (*Server).postClock},
	}
}

// durations writes and reads a time.Duration as text like "1.5s".
var durations = json.JoinOptions(
	json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, d time.Duration) error {
		return enc.WriteToken(jsontext.String(d.String()))
	})),
	json.WithUnmarshalers(json.UnmarshalFunc(func(b []byte, d *time.Duration) (err error) {
		if len(b) < 2 || b[0] != '"' {
			return fmt.Errorf(`a duration is text like "1.5s", not %s`, b)
		}
		*d, err = time.ParseDuration(string(unquote(b)))
		return err
	})),
)

// problem is an error with the HTTP status that it is told with.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

var errNoProject = problem{http.StatusNotFound, "no project has this token; give ?token= if there are several projects"}

// inspect answers everything that is not Mixpanel's API.
func (s *Server) inspect(w http.ResponseWriter, r *http.Request, path string) {
	if path == "" {
		s.index(w, r)
		return
	}
	var allowed []string
	for _, c := range controls() {
		if c.path != path {
			continue
		}
		if c.method != r.Method {
			allowed = append(allowed, c.method)
			continue
		}
		v, err := c.serve(s, r)
		if err != nil {
			status := http.StatusBadRequest
			if p, ok := errors.AsType[problem](err); ok {
				status = p.status
			}
			reply(w, status, map[string]string{"error": err.Error()})
			return
		}
		reply(w, http.StatusOK, v)
		return
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		reply(w, http.StatusMethodNotAllowed, map[string]string{"error": "use " + strings.Join(allowed, " or ")})
		return
	}
	reply(w, http.StatusNotFound, map[string]string{"error": "no such path; GET / lists them"})
}

func reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v, durations, json.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true), jsontext.WithIndent("  "))
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(err.Error())
	}
	answer{status: status, contentType: "application/json", body: append(body, '\n')}.write(w)
}

// summary is the index in short: what the server plays and how much it holds.
type summary struct {
	Region     string           `json:"region"`
	Now        time.Time        `json:"now"`
	Projects   []projectSummary `json:"projects"`
	Requests   int              `json:"requests"`
	Orphans    int              `json:"orphans"`
	Dropped    int              `json:"dropped"`
	Violations int              `json:"violations"`
}

type projectSummary struct {
	Token    string   `json:"token"`
	Region   string   `json:"region"`
	IDMerge  IDMerge  `json:"id_merge"`
	Groups   []string `json:"group_keys,omitempty"`
	Profiles int      `json:"profiles"`
	Events   int      `json:"events"`
}

func (s *Server) summary() summary {
	sum := summary{
		Region: s.options.Region, Now: s.clock.now(),
		Orphans: s.orphans.count(), Dropped: s.dropped.count(), Violations: s.violations.count(),
	}
	for _, t := range s.Requests().Totals {
		sum.Requests += t.Requests
	}
	for _, token := range s.tokens {
		p := s.projects[token]
		sum.Projects = append(sum.Projects, projectSummary{
			token, p.Region, p.IDMerge, p.GroupKeys, p.users.count(), int(p.events.count()),
		})
	}
	return sum
}

// index lists what there is, as text or, if the client prefers it, as JSON.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	sum := s.summary()
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		type line struct {
			Method string `json:"method"`
			Path   string `json:"path"`
			Text   string `json:"text"`
		}
		var lines []line
		for _, c := range controls() {
			lines = append(lines, line{c.method, c.path, c.text})
		}
		reply(w, http.StatusOK, struct {
			summary `json:",inline"`
			Paths   []line `json:"paths"`
		}{sum, lines})
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "This is not Mixpanel. It is a fake of its ingestion API (region %s) for trying and testing.\n\n", sum.Region)
	for _, p := range sum.Projects {
		fmt.Fprintf(&b, "project %s  region %s, id merge %s: %d profiles, %d events received\n", p.Token, p.Region, p.IDMerge, p.Profiles, p.Events)
	}
	fmt.Fprintf(&b, "%d requests, %d violations, %d orphans, %d dropped events; the clock says %s\n\n",
		sum.Requests, sum.Violations, sum.Orphans, sum.Dropped, sum.Now.Format(time.RFC3339))
	for _, e := range endpoints {
		fmt.Fprintf(&b, "POST /%-18s Mixpanel's API\n", e)
	}
	for _, c := range controls() {
		fmt.Fprintf(&b, "%-4s %-19s %s\n", c.method, c.path, c.text)
	}
	answer{status: http.StatusOK, contentType: "text/plain; charset=utf-8", body: []byte(b.String())}.write(w)
}

func (s *Server) asked(r *http.Request) (*project, error) {
	p, ok := s.project(r.FormValue("token"))
	if !ok {
		return nil, errNoProject
	}
	return p, nil
}

// limit reads the limit of a list.
func limit(r *http.Request) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("limit %q is no number", text)
	}
	return n, nil
}

func (s *Server) showProfile(r *http.Request) (any, error) {
	p, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	profile, ok := s.Profile(p.Token, r.FormValue("distinct_id"))
	if !ok {
		return nil, problem{http.StatusNotFound, fmt.Sprintf("there is no profile of distinct_id %q", r.FormValue("distinct_id"))}
	}
	return profile, nil
}

func (s *Server) showProfiles(r *http.Request) (any, error) {
	p, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	n, err := limit(r)
	return first(n, s.Profiles(p.Token)), err
}

// first are the first n of all, a list even if there are none.
func first[T any](n int, all iter.Seq[T]) []T {
	list := []T{}
	for one := range all {
		if len(list) >= n {
			break
		}
		list = append(list, one)
	}
	return list
}

func (s *Server) showGroup(r *http.Request) (any, error) {
	p, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	group, ok := s.Group(p.Token, r.FormValue("key"), r.FormValue("id"))
	if !ok {
		return nil, problem{http.StatusNotFound, fmt.Sprintf("there is no group of key %q and id %q", r.FormValue("key"), r.FormValue("id"))}
	}
	return group, nil
}

func (s *Server) showGroups(r *http.Request) (any, error) {
	p, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	n, err := limit(r)
	return first(n, s.Groups(p.Token)), err
}

func (s *Server) showEvents(r *http.Request) (any, error) {
	p, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	view := View(r.FormValue("view"))
	switch view {
	case "":
		view = Deduped
	case Raw, Deduped:
	default:
		return nil, fmt.Errorf("unknown view %q, use raw or dedup", view)
	}
	n, err := limit(r)
	if err != nil {
		return nil, err
	}
	name, distinctID := r.FormValue("name"), r.FormValue("distinct_id")
	found := slices.DeleteFunc(s.view(p, view), func(e stored) bool {
		return name != "" && e.name != name || distinctID != "" && e.distinctID != distinctID
	})
	events := []Event{}
	for i := max(0, len(found)-n); i < len(found); i++ {
		events = append(events, s.event(&found[i]))
	}
	return events, nil
}

func (s *Server) showActivity(r *http.Request) (any, error) {
	p, err := s.asked(r)
	if err != nil {
		return nil, err
	}
	n, err := limit(r)
	events := s.Activity(p.Token, r.FormValue("distinct_id"))
	return events[:min(n, len(events))], err
}

func (s *Server) showRequests(r *http.Request) (any, error) {
	n, err := limit(r)
	log := s.Requests()
	log.Recent = log.Recent[max(0, len(log.Recent)-n):]
	return log, err
}

func (s *Server) postFaults(r *http.Request) (any, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var script []Fault
	if jsontext.Value(body).Kind() == '{' {
		script = make([]Fault, 1)
		err = json.Unmarshal(body, &script[0], durations, json.RejectUnknownMembers(true))
	} else {
		err = json.Unmarshal(body, &script, durations, json.RejectUnknownMembers(true))
	}
	if err != nil {
		return nil, fmt.Errorf("the faults cannot be read: %w", err)
	}
	for i, f := range script {
		if err := f.Validate(); err != nil {
			return nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
	}
	s.SetFaults(script...)
	return map[string]int{"faults": len(script)}, nil
}

func (s *Server) showClock() any { return map[string]time.Time{"now": s.clock.now()} }

func (s *Server) postClock(r *http.Request) (any, error) {
	var set struct {
		Now     time.Time     `json:"now"`
		Advance time.Duration `json:"advance"`
		Run     bool          `json:"run"`
	}
	if err := json.UnmarshalRead(io.LimitReader(r.Body, 1<<20), &set, durations, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("the clock's setting cannot be read: %w", err)
	}
	if set.Run || !set.Now.IsZero() {
		s.SetNow(set.Now)
	}
	s.Advance(set.Advance)
	return s.showClock(), nil
}
