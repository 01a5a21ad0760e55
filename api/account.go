package api

import (
	"time"

	"muster/engine"
	"muster/store"
)

// groupID is the type of the ids of accounts.
const groupID = "group_id"

// accountRoutes are the routes of the Profile API about accounts, of which events are not kept.
func (a *API) accountRoutes() []*route {
	var routes []*route
	for _, p := range profilePaths {
		base := p + "{space}/collections/accounts/profiles/{profile}/"
		routes = append(routes,
			&route{path: base + "traits", params: traitParams, handle: viewedAccount(a, func(r *request, v *store.AccountView) (any, error) { return traits(r, v.Traits) })},
			&route{path: base + "external_ids", params: []string{"verbose"}, handle: viewedAccount(a, accountIDs)},
			&route{path: base + "metadata", params: []string{"verbose"}, handle: viewedAccount(a, accountMetadata)},
			&route{path: base + "links", params: []string{"limit", "next"}, handle: viewedAccount(a, accountMembers)},
		)
	}
	return routes
}

// viewedAccount is a handler that looks at the account of the path.
func viewedAccount(a *API, look func(*request, *store.AccountView) (any, error)) func(*request) (any, error) {
	return func(r *request) (answer any, err error) {
		id, err := externalID("profile", r.PathValue("profile"), "")
		if err != nil {
			return nil, err
		}
		if id.Type != groupID {
			return nil, engine.ErrUnknownProfile // accounts have no other ids
		}
		err = a.store.ViewAccount(r.Context(), id.Value, func(v *store.AccountView) error {
			answer, err = look(r, v)
			return err
		})
		return answer, err
	}
}

// accountID is the id of an account, known since an instant.
func accountID(value string, since time.Time) viewedID {
	return viewedID{Collection: "accounts", ID: value, Type: groupID, Encoding: "none", SourceID: new(string), CreatedAt: &since}
}

func accountIDs(r *request, v *store.AccountView) (any, error) {
	if _, err := verbose(r); err != nil {
		return nil, err
	}
	createdAt, _, err := v.Metadata()
	return map[string]any{
		"data": []viewedID{accountID(v.GroupID, createdAt)}, "cursor": cursor{URL: r.URL.EscapedPath(), Limit: profileIDs},
	}, err
}

func accountMetadata(r *request, v *store.AccountView) (any, error) {
	if _, err := verbose(r); err != nil {
		return nil, err
	}
	createdAt, updatedAt, err := v.Metadata()
	return map[string]any{"metadata": viewedMetadata{CreatedAt: createdAt, UpdatedAt: updatedAt}}, err
}

// accountMembers are the people of an account.
func accountMembers(r *request, v *store.AccountView) (any, error) {
	list, c, err := pageOf(r, profileLinks, func(after *engine.Place, count int) ([]store.ViewedMember, error) {
		from := engine.Place{}
		set(&from, after)
		return v.Members(from, count)
	}, func(m store.ViewedMember) engine.Place { return placeOf(m.ProfileID) })
	if err != nil {
		return nil, err
	}
	data := []viewedLink{}
	for _, m := range list {
		data = append(data, viewedLink{"users", userIDs(m.IDs)})
	}
	return map[string]any{"data": data, "cursor": c}, nil
}
