package api

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"muster/app"
	"muster/engine"
	"muster/store"
)

// computation is an audience or trait with how it stands, as muster audience show has it,
// and with the rest of its definition.
type computation struct {
	store.ComputationLine
	Enabled           bool           `json:"enabled"`
	Refresh           engine.Refresh `json:"refresh,omitempty"`
	IncludeHistorical bool           `json:"include_historical"`
	BackfillDays      int            `json:"backfill_days,omitempty"`
	Connections       []connection   `json:"connections"`
}

// list reads those of a kind; key "": all.
func (a *API) list(r *request, k kind, key string) ([]computation, error) {
	lines, err := a.store.Computations(r.Context(), string(k.Purpose), key)
	if err != nil {
		return nil, err
	}
	definitions, err := app.Definitions(r.Context(), a.store)
	if err != nil {
		return nil, err
	}
	byKey := make(map[string]engine.Definition, len(definitions))
	for _, def := range definitions {
		byKey[def.Key] = def
	}
	var list []computation
	for _, line := range lines {
		def, there := byKey[line.Key]
		if !there {
			continue // deleted between the two looks
		}
		list = append(list, computation{
			ComputationLine: line, Enabled: !def.Disabled, Refresh: def.Refresh, IncludeHistorical: def.IncludeHistorical, BackfillDays: def.BackfillDays,
			Connections: connectionsOf(def),
		})
	}
	return list, nil
}

// one is the answer with one of a kind.
func (a *API) one(r *request, k kind, key string) (any, error) {
	list, err := a.list(r, k, key)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, unknown(key)
	}
	return map[string]any{k.one: list[0]}, nil
}

func unknown(key string) error { return fmt.Errorf("%s: %w", key, engine.ErrUnknownKey) }

func (a *API) computations(r *request, k kind) (any, error) {
	list, err := a.list(r, k, "")
	if err != nil {
		return nil, err
	}
	return listedByName(r, k.many, list, func(c computation) string { return c.Key })
}

func (a *API) show(r *request, k kind) (any, error) { return a.one(r, k, r.PathValue("key")) }

// defined is the definition of the path's key.
func (a *API) defined(r *request, k kind) (engine.Definition, error) {
	key := r.PathValue("key")
	definitions, err := app.Definitions(r.Context(), a.store)
	if err != nil {
		return engine.Definition{}, err
	}
	n := slices.IndexFunc(definitions, func(d engine.Definition) bool { return d.Key == key && d.Kind == k.Purpose })
	if n < 0 {
		return engine.Definition{}, unknown(key)
	}
	return definitions[n], nil
}

// fresh is a new definition with the defaults of muster.yaml.
func (a *API) fresh(r *request, k kind) (engine.Definition, error) {
	def := engine.Definition{Kind: k.Purpose, IncludeHistorical: true}
	names, err := a.store.DestinationNames(r.Context())
	for _, name := range names {
		def.Connections = append(def.Connections, engine.ConnectionDefinition{Destination: name})
	}
	return def, err
}

func (a *API) create(r *request, k kind) (any, error) {
	var body definition
	if err := r.body(&body); err != nil {
		return nil, err
	}
	def, err := a.fresh(r, k)
	if err != nil {
		return nil, err
	}
	if err := body.put(&def); err != nil {
		return nil, err
	}
	if def.Query == "" {
		return nil, unfit("query", "it is missing")
	}
	if def.Key == "" {
		def.Key = engine.KeyFromName(def.Name)
	}
	a.defining.Lock()
	defer a.defining.Unlock()
	definitions, err := app.Definitions(r.Context(), a.store)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(definitions, func(d engine.Definition) bool { return d.Key == def.Key }) {
		return nil, &fault{
			status: http.StatusConflict, field: "key",
			message: fmt.Sprintf("there is an audience or computed trait with the key %q already; edit that with PATCH, or choose another key", def.Key),
		}
	}
	return a.define(r, k, def)
}

func (a *API) edit(r *request, k kind) (any, error) {
	var body definition
	if err := r.body(&body); err != nil {
		return nil, err
	}
	a.defining.Lock()
	defer a.defining.Unlock()
	def, err := a.defined(r, k)
	if err != nil {
		return nil, err
	}
	if body.Key != nil && *body.Key != def.Key {
		return nil, unfit("key", "a key cannot be changed; create another, and delete this one")
	}
	if err := body.put(&def); err != nil {
		return nil, err
	}
	return a.define(r, k, def)
}

// define creates or edits, and answers with what is now. Its values are computed by and by.
func (a *API) define(r *request, k kind, def engine.Definition) (any, error) {
	refused, err := a.cfg.App.Define(r.Context(), []engine.Definition{def})
	if err != nil {
		return nil, err
	}
	if len(refused) > 0 {
		return nil, refused[0]
	}
	return a.one(r, k, def.Key)
}

func (a *API) remove(r *request, k kind) (any, error) {
	cleanup, err := r.choice("cleanup", string(engine.CleanupNone), string(engine.CleanupExit), string(engine.CleanupUnset))
	if err != nil {
		return nil, err
	}
	a.defining.Lock()
	defer a.defining.Unlock()
	def, err := a.defined(r, k)
	if err != nil {
		return nil, err
	}
	readers, err := app.Readers(r.Context(), a.store, def.Key)
	if err != nil {
		return nil, err
	}
	removed, err := app.Remove(r.Context(), a.store, def.Key, engine.Cleanup(cleanup), a.cfg.Now())
	if err == nil && !removed {
		err = unknown(def.Key)
	}
	if err != nil {
		return nil, err
	}
	return map[string]any{"deleted": def.Key, "readers": orEmpty(readers)}, nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (a *API) members(r *request, k kind) (any, error) {
	return listed(r, "members", func(after *engine.Place, count int) ([]store.Member, error) {
		from := engine.Place{}
		set(&from, after)
		return a.store.MembersAfter(r.Context(), string(k.Purpose), r.PathValue("key"), from, count)
	}, func(m store.Member) engine.Place { return placeOf(m.ProfileID) })
}

// placeOf is where a profile stands in the order of profiles.
func placeOf(profileID int64) engine.Place {
	return engine.Place{Bucket: engine.ProfileBucket(profileID), ProfileID: profileID}
}

func (a *API) size(r *request, k kind) (any, error) {
	days, err := r.number("days", 14, 0, 3660)
	if err != nil {
		return nil, err
	}
	since := a.cfg.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-days)
	size, err := a.store.SizeOf(r.Context(), string(k.Purpose), r.PathValue("key"), since)
	size.Days = orEmpty(size.Days)
	return size, err
}

func (a *API) versions(r *request, k kind) (any, error) {
	if _, err := a.defined(r, k); err != nil {
		return nil, err
	}
	versions, err := a.store.Versions(r.Context(), r.PathValue("key"))
	return map[string]any{"versions": orEmpty(versions)}, err
}

func (a *API) references(r *request, k kind) (any, error) {
	def, err := a.defined(r, k)
	if err != nil {
		return nil, err
	}
	readers, err := app.Readers(r.Context(), a.store, def.Key)
	return map[string]any{"readers": orEmpty(readers), "connections": connectionsOf(def)}, err
}
