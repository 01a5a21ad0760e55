package api

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/store"
)

// Limits of a page of the Profile API. What is asked for beyond the most is cut to it.
const (
	profileTraits = 10
	profileIDs    = 25
	profileEvents = 10
	profileLinks  = 20
	maxProfile    = 200
)

// traitParams are the parameters of traits.
var traitParams = []string{"class", "include", "limit", "next", "verbose"}

// profileRoutes are the routes of the Profile API. {space} is whatever the client calls it:
// a database is one space.
func (a *API) profileRoutes() []*route {
	var routes []*route
	for _, p := range profilePaths {
		base := p + "{space}/collections/users/profiles/{profile}/"
		routes = append(routes,
			&route{path: base + "traits", params: traitParams, handle: viewed(a, func(r *request, v *store.ProfileView) (any, error) { return traits(r, v.Traits) })},
			&route{path: base + "external_ids", params: []string{"include", "limit", "next", "verbose"}, handle: viewed(a, externalIDs)},
			&route{
				path: base + "events", params: []string{"start", "end", "include", "exclude", "sort", "limit", "next"},
				handle: viewed(a, events),
			},
			&route{path: base + "metadata", params: []string{"verbose"}, handle: viewed(a, metadata)},
			&route{path: base + "links", params: []string{"limit", "next"}, handle: viewed(a, links)},
		)
	}
	routes = append(routes, a.accountRoutes()...)
	for _, rt := range routes {
		rt.method, rt.scope, rt.dialect = "GET", store.ScopeRead, profile
	}
	return routes
}

// viewed is a handler that looks at the profile of the path.
func viewed(a *API, look func(*request, *store.ProfileView) (any, error)) func(*request) (any, error) {
	return func(r *request) (answer any, err error) {
		id, err := externalID("profile", r.PathValue("profile"), "")
		if err != nil {
			return nil, err
		}
		err = a.store.ViewProfile(r.Context(), id, func(v *store.ProfileView) error {
			answer, err = look(r, v)
			return err
		})
		return answer, err
	}
}

// cursor says where a page is, and how to get the next one.
type cursor struct {
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Next    string `json:"next"`
	Limit   int    `json:"limit"`
}

// pageOf reads a page: read is given how many entries to read, one more than the page holds.
func pageOf[T, P any](r *request, otherwise int, read func(after *P, count int) ([]T, error), placeOf func(T) P) ([]T, cursor, error) {
	c := cursor{URL: r.URL.EscapedPath()}
	var err error
	if c.Limit, err = r.number("limit", otherwise, 1, 1<<31-1); err != nil {
		return nil, c, err
	}
	c.Limit = min(c.Limit, maxProfile)
	var after *P
	var place P
	if from, err := r.place(&place); err != nil {
		return nil, c, err
	} else if from {
		after = &place
	}
	list, err := read(after, c.Limit+1)
	if err != nil {
		return nil, c, err
	}
	if len(list) > c.Limit {
		list, c.HasMore = list[:c.Limit], true
		c.Next, err = r.seal(placeOf(list[c.Limit-1]))
	}
	return list, c, err
}

// verbose reads the parameter of this name.
func verbose(r *request) (bool, error) {
	text, err := r.choice("verbose", "true", "false")
	return text == "true", err
}

func traits(r *request, readPage func(store.TraitPage) ([]store.ViewedTrait, error)) (any, error) {
	class, err := r.choice("class", store.ClassAudience, store.ClassComputedTrait)
	if err != nil {
		return nil, err
	}
	detailed, err := verbose(r)
	if err != nil {
		return nil, err
	}
	list, c, err := pageOf(r, profileTraits, func(after *string, count int) ([]store.ViewedTrait, error) {
		return readPage(store.TraitPage{Class: class, Keys: r.list("include"), After: after, Limit: count})
	}, func(t store.ViewedTrait) string { return t.Key })
	if err != nil {
		return nil, err
	}
	type detail struct {
		Value     jsontext.Value `json:"value"`
		SourceID  string         `json:"source_id"` // of traits, no source is kept
		UpdatedAt time.Time      `json:"updated_at"`
	}
	values := make(map[string]any, len(list))
	for _, t := range list {
		if detailed {
			values[t.Key] = detail{Value: t.Value, UpdatedAt: t.UpdatedAt}
		} else {
			values[t.Key] = t.Value
		}
	}
	return map[string]any{"traits": values, "cursor": c}, nil
}

// viewedID is an external id as the Profile API has it.
type viewedID struct {
	Collection     string     `json:"collection"`
	ID             string     `json:"id"`
	Type           string     `json:"type"`
	Encoding       string     `json:"encoding"`
	SourceID       *string    `json:"source_id,omitempty"` // of ids, no source is kept: ""
	CreatedAt      *time.Time `json:"created_at,omitempty"`
	FirstMessageID string     `json:"first_message_id,omitempty"`
}

func externalIDs(r *request, v *store.ProfileView) (any, error) {
	if _, err := verbose(r); err != nil {
		return nil, err
	}
	list, c, err := pageOf(r, profileIDs, func(after *store.ViewedID, count int) ([]store.ViewedID, error) {
		return v.IDs(r.list("include"), after, count)
	}, func(x store.ViewedID) store.ViewedID { return x })
	if err != nil {
		return nil, err
	}
	return map[string]any{"data": userIDs(list), "cursor": c}, nil
}

func userIDs(list []store.ViewedID) []viewedID {
	ids := []viewedID{}
	for _, x := range list {
		ids = append(ids, viewedID{
			Collection: "users", ID: x.Value, Type: x.Type, Encoding: "none", SourceID: new(string), CreatedAt: &x.AddedAt, FirstMessageID: x.MessageID,
		})
	}
	return ids
}

// viewedEvent is an event as the Profile API has it: pages and screens are track calls, too.
type viewedEvent struct {
	Type        string         `json:"type"`
	Event       string         `json:"event"`
	MessageID   string         `json:"message_id"`
	SourceID    string         `json:"source_id"`
	Timestamp   time.Time      `json:"timestamp"`
	Properties  jsontext.Value `json:"properties"`
	Context     jsontext.Value `json:"context"`
	ExternalIDs []viewedID     `json:"external_ids"`
	Related     related        `json:"related"`
}

type related struct {
	Users string `json:"users"`
}

func events(r *request, v *store.ProfileView) (any, error) {
	p := store.EventPage{Include: r.list("include"), Exclude: r.list("exclude")}
	sort, err := r.choice("sort", "asc", "desc")
	if err != nil {
		return nil, err
	}
	p.Ascending = sort == "asc"
	if p.Start, err = r.instant("start"); err != nil {
		return nil, err
	}
	if p.End, err = r.instant("end"); err != nil {
		return nil, err
	}
	list, c, err := pageOf(r, profileEvents, func(after *store.EventPlace, count int) ([]store.ViewedEvent, error) {
		p.After, p.Limit = after, count
		return v.Events(p)
	}, func(e store.ViewedEvent) store.EventPlace { return e.EventPlace })
	if err != nil {
		return nil, err
	}
	links, err := v.IDs(nil, nil, maxProfile)
	if err != nil {
		return nil, err
	}
	ids := []viewedID{}
	for _, x := range links {
		ids = append(ids, viewedID{Collection: "users", ID: x.Value, Type: x.Type, Encoding: "none"})
	}
	data := []viewedEvent{}
	for _, e := range list {
		data = append(data, viewedEvent{
			Type: "track", Event: e.Name, MessageID: e.MessageID, SourceID: e.Source, Timestamp: e.At,
			Properties: object(e.Properties), Context: object(e.Context), ExternalIDs: ids, Related: related{segmentID(v)},
		})
	}
	return map[string]any{"data": data, "cursor": c}, nil
}

// object is a JSON object, {} where there is none.
func object(v jsontext.Value) jsontext.Value {
	if v == nil {
		return jsontext.Value("{}")
	}
	return v
}

// segmentID is the number of a profile in the form of Segment's.
func segmentID(v *store.ProfileView) string { return "use_" + strconv.FormatInt(v.ProfileID, 10) }

func metadata(r *request, v *store.ProfileView) (any, error) {
	if _, err := verbose(r); err != nil {
		return nil, err
	}
	m, err := v.Metadata()
	if err != nil {
		return nil, err
	}
	return map[string]any{"metadata": viewedMetadata{m.CreatedAt, m.UpdatedAt, nil, m.FirstMessageID, m.FirstSource, m.LastMessageID, m.LastEventSource}}, nil
}

// viewedMetadata is what is known of a profile or account as a whole. Which calls touched an
// account is not.
type viewedMetadata struct {
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	ExpiresAt      *time.Time `json:"expires_at"` // null: never
	FirstMessageID string     `json:"first_message_id"`
	FirstSourceID  string     `json:"first_source_id"`
	LastMessageID  string     `json:"last_message_id"`
	LastSourceID   string     `json:"last_source_id"`
}

// viewedLink is an account that a profile belongs to, or a profile that belongs to an account.
type viewedLink struct {
	ToCollection string     `json:"to_collection"`
	ExternalIDs  []viewedID `json:"external_ids"`
}

func links(r *request, v *store.ProfileView) (any, error) {
	list, c, err := pageOf(r, profileLinks, v.Links, func(l store.ViewedLink) store.ViewedLink { return l })
	if err != nil {
		return nil, err
	}
	data := []viewedLink{}
	for _, l := range list {
		data = append(data, viewedLink{"accounts", []viewedID{accountID(l.GroupID, l.LinkedAt)}})
	}
	return map[string]any{"data": data, "cursor": c}, nil
}
