package api

import (
	"net/http"

	"muster/query"
	"muster/store"
)

// kind is what a group of paths is about.
type kind struct {
	query.Purpose
	path, one, many string
}

// The kinds. Their paths are those of Segment's Public API.
var kinds = []kind{
	{query.Audience, "/audiences", "audience", "audiences"},
	{query.Trait, "/computed-traits", "computedTrait", "computedTraits"},
}

// adminRoutes are the routes of the admin API, without where its paths begin.
func (a *API) adminRoutes() []*route {
	const read, write = store.ScopeRead, store.ScopeWrite
	routes := []*route{
		{method: "GET", path: "/health", scope: read, handle: a.health},
		{method: "GET", path: "/runs", scope: read, params: pageParams("key", "kind"), handle: a.runs},
		{method: "GET", path: "/runs/{id}", scope: read, handle: a.run},

		{method: "GET", path: "/sources", scope: read, params: pageParams(), handle: a.sources},
		{method: "POST", path: "/sources", scope: write, status: http.StatusCreated, handle: a.createSource},
		{method: "GET", path: "/sources/{name}", scope: read, handle: a.source},
		{method: "PATCH", path: "/sources/{name}", scope: write, handle: a.editSource},
		{method: "POST", path: "/sources/{name}/rotate", scope: write, handle: a.rotateSource},
		{method: "GET", path: "/calls", scope: read, params: []string{"source", "outcome", "id", "after", "limit"}, handle: a.calls},

		{method: "GET", path: "/destinations", scope: read, params: pageParams(), handle: a.destinations},
		{method: "GET", path: "/destinations/{name}", scope: read, handle: a.destination},
		{method: "POST", path: "/destinations/{name}/pause", scope: write, handle: a.pause},
		{method: "POST", path: "/destinations/{name}/resume", scope: write, handle: a.resume},
		{method: "GET", path: "/dead-letters", scope: read, params: pageParams("destination", "kind"), handle: a.deadLetters},
		{method: "POST", path: "/dead-letters/retry", scope: write, handle: a.retry},
		{method: "POST", path: "/dead-letters/drop", scope: write, handle: a.drop},

		{method: "GET", path: "/profiles/{profile}", scope: read, params: []string{"limit"}, handle: a.person},
		{method: "POST", path: "/regulations", scope: write, slow: true, handle: a.regulate},
	}
	for _, k := range kinds {
		of := func(handle func(*request, kind) (any, error)) func(*request) (any, error) {
			return func(r *request) (any, error) { return handle(r, k) }
		}
		one := k.path + "/{key}"
		routes = append(routes,
			&route{method: "GET", path: k.path, scope: read, params: pageParams(), handle: of(a.computations)},
			&route{method: "POST", path: k.path, scope: write, status: http.StatusCreated, handle: of(a.create)},
			&route{method: "POST", path: k.path + "/previews", scope: read, slow: true, handle: of(a.preview)},
			&route{method: "GET", path: one, scope: read, handle: of(a.show)},
			&route{method: "PATCH", path: one, scope: write, handle: of(a.edit)},
			&route{method: "DELETE", path: one, scope: write, params: []string{"cleanup"}, handle: of(a.remove)},
			&route{method: "GET", path: one + "/members", scope: read, params: pageParams(), handle: of(a.members)},
			&route{method: "GET", path: one + "/size", scope: read, params: []string{"days"}, handle: of(a.size)},
			&route{method: "GET", path: one + "/versions", scope: read, handle: of(a.versions)},
			&route{method: "GET", path: one + "/references", scope: read, handle: of(a.references)},
			&route{method: "GET", path: one + "/explanation", scope: read, params: []string{"profile", "at"}, handle: of(a.explain)},
			&route{method: "POST", path: one + "/resync", scope: write, handle: of(a.resync)},
			&route{method: "POST", path: one + "/runs", scope: write, slow: true, handle: of(a.runNow)},
		)
	}
	return routes
}
