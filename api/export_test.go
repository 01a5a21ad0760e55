package api

import "muster/store"

// Description is openapi.yaml.
var Description = description

// Route is a route as tests see it.
type Route struct {
	Method, Path string
	Write        bool
	Params       []string
	Profile      bool // of the Profile API
}

// Routes are all routes with a token.
func (a *API) Routes() []Route {
	var routes []Route
	for _, rt := range a.routes() {
		routes = append(routes, Route{rt.method, rt.path, rt.scope == store.ScopeWrite, rt.params, rt.dialect == profile})
	}
	return routes
}
