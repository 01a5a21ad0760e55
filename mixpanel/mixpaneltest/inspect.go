package mixpaneltest

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// Profile is a user's profile as Mixpanel holds it.
type Profile struct {
	// DistinctID is the id under which it is kept, IDs all ids that lead to it.
	DistinctID string   `json:"distinct_id"`
	IDs        []string `json:"ids"`
	// Properties hold nil, bool, float64, string, []any and map[string]any.
	Properties map[string]any `json:"properties"`
	// LastSeen is Mixpanel's $last_seen; zero when every update asked to leave it alone.
	LastSeen time.Time `json:"last_seen,omitzero"`
	// Geo is what the last $set or $set_once said about the location.
	Geo GeoSource `json:"geo,omitzero"`
}

// Group is a group's profile.
type Group struct {
	Key        string         `json:"group_key"`
	ID         string         `json:"group_id"`
	Properties map[string]any `json:"properties"`
	LastSeen   time.Time      `json:"last_seen,omitzero"`
}

// project finds a project; the token may be "" if there is only one.
func (s *Server) project(token string) (*project, bool) {
	if token == "" && len(s.tokens) == 1 {
		token = s.tokens[0]
	}
	p, ok := s.projects[token]
	return p, ok
}

// Tokens are the tokens of the server's projects, in the order of the options.
func (s *Server) Tokens() []string { return slices.Clone(s.tokens) }

func (st *state) export() map[string]any {
	m := make(map[string]any, len(st.properties))
	for _, e := range st.properties {
		m[e.name] = clone(e.value)
	}
	return m
}

func fromMilliseconds(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (p *project) profile(id string, st *state) Profile {
	return Profile{DistinctID: id, Properties: st.export(), LastSeen: fromMilliseconds(st.lastSeen), Geo: st.geo}
}

// Profile returns the profile to which the distinct id leads.
func (s *Server) Profile(token, distinctID string) (profile Profile, ok bool) {
	p, ok := s.project(token)
	if !ok {
		return Profile{}, false
	}
	p.identities.mu.RLock()
	id := p.identities.resolve(distinctID, s.clock.now())
	ids := p.identities.joined(id)
	p.identities.mu.RUnlock()
	ok = p.users.read(id, func(st *state) { profile = p.profile(id, st) })
	if ok {
		profile.IDs = ids
	}
	return profile, ok
}

// Profiles yields all user profiles in no order, without their IDs.
func (s *Server) Profiles(token string) iter.Seq[Profile] {
	p, ok := s.project(token)
	if !ok {
		return func(func(Profile) bool) {}
	}
	return all(p.users, func(id string, st *state) (Profile, bool) { return p.profile(id, st), true })
}

// ProfileCount is how many user profiles there are.
func (s *Server) ProfileCount(token string) int {
	if p, ok := s.project(token); ok {
		return p.users.count()
	}
	return 0
}

// ProfileValues yields the distinct id and the value of every user profile that
// has the property, in no order. It copies nothing but lists and objects, so that
// a million profiles can be compared with what ought to be there.
func (s *Server) ProfileValues(token, property string) iter.Seq2[string, any] {
	type pair struct {
		id    string
		value any
	}
	return func(yield func(string, any) bool) {
		p, ok := s.project(token)
		if !ok {
			return
		}
		pairs := all(p.users, func(id string, st *state) (pair, bool) {
			v, ok := st.properties.get(property)
			return pair{id, clone(v)}, ok
		})
		for e := range pairs {
			if !yield(e.id, e.value) {
				return
			}
		}
	}
}

// AllProfileValues is ProfileValues as a map by distinct id.
func (s *Server) AllProfileValues(token, property string) map[string]any {
	return maps.Collect(s.ProfileValues(token, property))
}

// Group returns the profile of a group.
func (s *Server) Group(token, key, id string) (group Group, ok bool) {
	p, ok := s.project(token)
	if !ok {
		return Group{}, false
	}
	ok = p.groups.read(groupID(key, id), func(st *state) { group = st.group(groupID(key, id)) })
	return group, ok
}

// Groups yields all group profiles in no order.
func (s *Server) Groups(token string) iter.Seq[Group] {
	p, ok := s.project(token)
	if !ok {
		return func(func(Group) bool) {}
	}
	return all(p.groups, func(id string, st *state) (Group, bool) { return st.group(id), true })
}

func (st *state) group(id string) Group {
	key, name, _ := strings.Cut(id, "\x00")
	return Group{Key: key, ID: name, Properties: st.export(), LastSeen: fromMilliseconds(st.lastSeen)}
}

// Violations lists the rules broken so far, the oldest first, at most
// Options.KeepFindings. Those of a request are filed before it is answered.
func (s *Server) Violations() []Violation { return s.violations.list() }

// Orphans lists the records that were accepted and belong to no project here.
func (s *Server) Orphans() []Orphan { return s.orphans.list() }

// DroppedEvents lists the events that were accepted and not kept.
func (s *Server) DroppedEvents() []Dropped { return s.dropped.list() }

// SetFaults replaces the fault script; without arguments nothing goes wrong any
// more. The first fault that strikes a request decides. It panics if a fault is
// invalid; see [Fault.Validate].
func (s *Server) SetFaults(script ...Fault) {
	for _, f := range script {
		if err := f.Validate(); err != nil {
			panic("mixpaneltest: " + err.Error())
		}
	}
	s.faults.set(script)
}

// Reset forgets everything that was received and found, the fault script and the
// clock's settings. Numbers of requests go on.
func (s *Server) Reset() {
	for _, p := range s.projects {
		p.identities.reset()
		p.users.reset()
		p.groups.reset()
		p.events.reset()
		p.rate.reset()
	}
	s.violations.reset()
	s.orphans.reset()
	s.dropped.reset()
	s.broken.Clear()
	s.requests.reset()
	s.faults.set(nil)
	s.SetNow(time.Time{})
}
