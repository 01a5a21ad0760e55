package mixpaneltest

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// View is one of the two ways to look at a project's events.
type View string

const (
	// Raw is every copy that arrived, as Mixpanel's raw export shows them.
	Raw View = "raw"
	// Deduped is what Mixpanel's reports count: of the copies with one name, distinct id,
	// time and $insert_id, the one that arrived last.
	Deduped View = "dedup"
)

// Event is an event as Mixpanel holds it.
type Event struct {
	Name string `json:"event"`
	// DistinctID is whose event it is at present, after all joining of identities.
	DistinctID string    `json:"distinct_id"`
	InsertID   string    `json:"insert_id,omitzero"` // "" when it has none that serves
	Time       time.Time `json:"time"`
	Received   time.Time `json:"received"`
	Endpoint   Endpoint  `json:"endpoint"`
	Geo        GeoSource `json:"geo,omitzero"`
	Effect     Effect    `json:"effect,omitzero"` // of an identity event
	// Properties are what a report can use: cut strings, without token and ip, with
	// what ingestion adds. Values are nil, bool, float64, string, []any, map[string]any.
	Properties map[string]any `json:"properties"`
	// Sent is the record as it arrived.
	Sent jsontext.Value `json:"sent"`
}

// view returns the events of a view, each under the id whose it is at present.
func (s *Server) view(p *project, view View) []stored {
	events := p.events.list()
	p.identities.mu.RLock()
	for i := range events {
		events[i].distinctID = p.identities.owner(&events[i])
	}
	p.identities.mu.RUnlock()
	if view != Raw {
		events = deduplicate(events, s.options.CompactByDay)
	}
	return events
}

// Events returns the kept events of a project in the order of their arrival,
// identity events with their Effect among them.
func (s *Server) Events(token string, view View) []Event {
	return s.export(token, view, nil)
}

// Activity returns the deduplicated events of one person, the newest first, as
// Mixpanel's profile page shows them.
func (s *Server) Activity(token, distinctID string) []Event {
	p, ok := s.project(token)
	if !ok {
		return nil
	}
	p.identities.mu.RLock()
	id := p.identities.resolve(distinctID, s.clock.now())
	if device, ok := strings.CutPrefix(id, devicePrefix); ok && p.IDMerge == Simplified {
		id = p.identities.distinct("", device)
	}
	p.identities.mu.RUnlock()
	events := s.export(token, Deduped, func(e *stored) bool { return e.distinctID == id })
	slices.SortStableFunc(events, func(a, b Event) int { return b.Time.Compare(a.Time) })
	return events
}

// EventCount is how many of the kept events a view shows.
func (s *Server) EventCount(token string, view View) int {
	p, ok := s.project(token)
	if !ok {
		return 0
	}
	return len(s.view(p, view))
}

// EventsReceived is how many events a project took since the start or the last
// reset, copies and those no longer kept included.
func (s *Server) EventsReceived(token string) int {
	p, ok := s.project(token)
	if !ok {
		return 0
	}
	return int(p.events.count())
}

func (s *Server) export(token string, view View, want func(*stored) bool) []Event {
	p, ok := s.project(token)
	if !ok {
		return nil
	}
	events := []Event{}
	for _, e := range s.view(p, view) {
		if want == nil || want(&e) {
			events = append(events, s.event(&e))
		}
	}
	return events
}

// event decodes a stored event.
func (s *Server) event(st *stored) Event {
	e := Event{
		Name: st.name, DistinctID: st.distinctID, InsertID: st.insertID,
		Time: fromMilliseconds(st.time), Received: fromMilliseconds(st.received),
		Endpoint: st.endpoint, Geo: st.geo, Effect: st.effect,
		Sent: jsontext.Value(strings.ToValidUTF8(st.record, "\uFFFD")), Properties: map[string]any{},
	}
	l := &s.options.Limits
	members(jsontext.Value(st.record), func(name []byte, v jsontext.Value) bool {
		if string(name) == "properties" {
			e.Properties = l.decode(v).(map[string]any)
		}
		return true
	})
	delete(e.Properties, "token")
	delete(e.Properties, "ip")
	e.Properties["distinct_id"] = e.DistinctID
	e.Properties["time"] = float64(st.time)
	e.Properties["$import"] = st.endpoint == Import
	e.Properties["$mp_api_endpoint"] = s.host()
	e.Properties["$mp_api_timestamp_ms"] = float64(st.received)
	e.Properties["mp_processing_time_ms"] = float64(st.received)
	return e
}

// host is the name of the API host that the server plays.
func (s *Server) host() string {
	if s.options.Region == "us" {
		return "api.mixpanel.com"
	}
	return "api-" + s.options.Region + ".mixpanel.com"
}
