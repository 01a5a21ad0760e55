package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"muster/engine"
	"muster/event"
	"muster/mixpanel"
)

// outlet is a destination that the calls of a source are forwarded to.
type outlet struct {
	id      int64
	project *mixpanel.Destination
}

// connect prepares the forwarding of the calls of sources, named by destination. A source
// must be known by now.
func (a *App) connect(ctx context.Context, sources map[string][]string, projects map[string]*mixpanel.Destination) error {
	connected := 0
	for _, names := range sources {
		connected += len(names)
	}
	if connected == 0 {
		return nil
	}
	ids, err := a.Store.DestinationIDs(ctx)
	if err != nil {
		return err
	}
	list, err := a.Store.Sources(ctx, a.now())
	if err != nil {
		return err
	}
	known := make([]string, len(list))
	for i, s := range list {
		known[i] = s.Name
	}
	a.outlets, a.projects = make(map[string][]outlet), make(map[int64]*mixpanel.Destination)
	for _, destination := range slices.Sorted(maps.Keys(sources)) {
		project := projects[destination]
		if project == nil {
			return fmt.Errorf("sources are connected to %q, and there is no destination of this name", destination)
		}
		a.projects[ids[destination]] = project
		for _, source := range sources[destination] {
			if !slices.Contains(known, source) {
				return unknownSource(destination, source, known)
			}
			a.outlets[source] = append(a.outlets[source], outlet{ids[destination], project})
		}
		a.log.Info("calls are forwarded", "destination", destination, "sources", sources[destination])
	}
	return nil
}

func unknownSource(destination, source string, known []string) error {
	have := "there is none yet"
	if len(known) > 0 {
		have = "there are " + strings.Join(known, ", ")
	}
	return fmt.Errorf("destination %s: there is no source %q whose calls could be forwarded (%s); correct the name, add it to sources, or make it with muster source create %s",
		destination, source, have, source)
}

// routed notes which calls are queued that make one person of two ids.
func (a *App) routed(batch []engine.Received, receipts []engine.Receipt) {
	for i := range batch {
		if receipts[i] != engine.Accepted && receipts[i] != engine.Skipped {
			continue
		}
		for _, r := range batch[i].Routes {
			if r.Joins {
				a.projects[r.DestinationID].Queued(batch[i].Call)
			}
		}
	}
}

// routes are the ways that the call of a source takes besides what is computed from it.
func (a *App) routes(source string, c *event.Call) []engine.Route {
	var routes []engine.Route
	for _, o := range a.outlets[source] {
		if o.project.Wants(c) {
			routes = append(routes, engine.Route{DestinationID: o.id, Joins: o.project.Joins(c)})
		}
	}
	return routes
}
