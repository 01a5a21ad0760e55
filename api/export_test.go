package api

import (
	"time"

	"muster/store"
)

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

// Occupy takes the places of all requests that may take long, or of all at once, until the
// function returned is called. Others wait for their turn for so long.
func (a *API) Occupy(slow bool, wait time.Duration) (leave func()) {
	place := a.working
	if slow {
		place = a.slow
	}
	a.wait = wait
	for range cap(place) {
		place <- struct{}{}
	}
	return func() {
		for range cap(place) {
			<-place
		}
	}
}
