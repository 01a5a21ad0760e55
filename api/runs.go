package api

import (
	"net/http"
	"strconv"

	"muster/app"
	"muster/engine"
	"muster/store"
)

func (a *API) runs(r *request) (any, error) {
	kind, err := r.choice("kind", "slot", "backfill", "resync", "cleanup")
	if err != nil {
		return nil, err
	}
	filter := store.RunFilter{Key: r.query.Get("key"), Kind: kind}
	answer, err := listed(r, "runs", func(before *int64, count int) ([]store.Run, error) {
		filter.Limit = count
		set(&filter.Before, before)
		return a.store.Runs(r.Context(), filter)
	}, func(run store.Run) int64 { return run.ID })
	if err != nil {
		return nil, err
	}
	failing, err := a.store.FailingSlots(r.Context())
	answer["failing_slots"] = orEmpty(failing)
	return answer, err
}

func (a *API) run(r *request) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return nil, bad("id", "it is not the number of a run")
	}
	runs, err := a.store.Runs(r.Context(), store.RunFilter{ID: id})
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, &fault{status: http.StatusNotFound, field: "id", message: "there is no such run"}
	}
	return map[string]any{"run": runs[0]}, nil
}

// live finds the computation of the path, which must be one that serves.
func (a *API) live(r *request, k kind) (*engine.Computation, *engine.Catalog, error) {
	var catalog *engine.Catalog
	err := a.store.Look(r.Context(), func(records engine.Records) (err error) { // what the engine remembers may not say what is being told again
		catalog, err = records.Catalog(r.Context())
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	key := r.PathValue("key")
	comp := catalog.ByKey(key)
	switch {
	case comp == nil || comp.Kind != k.Purpose:
		err = unknown(key)
	case comp.Status == engine.Disabled:
		err = conflict(key, `is disabled: edit it with "enabled": true first`)
	case comp.Current == nil || comp.Current.Rests():
		err = conflict(key, "waits for its backfill, which does all that is to be done")
	}
	return comp, catalog, err
}

func conflict(key, message string) error {
	return &fault{status: http.StatusConflict, message: key + " " + message}
}

// runNow computes now what the next slot would.
func (a *API) runNow(r *request, k kind) (any, error) {
	comp, _, err := a.live(r, k)
	if err != nil {
		return nil, err
	}
	if !comp.Current.Scheduled() {
		return nil, conflict(comp.Key, "is realtime: it is up to date with every call")
	}
	result, err := app.RunNow(r.Context(), a.store, k.Purpose, comp.Key, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	return ran(result), nil
}

// resync has everything told again.
func (a *API) resync(r *request, k kind) (any, error) {
	var body struct {
		Destination string `json:"destination"`
	}
	if err := r.body(&body); err != nil {
		return nil, err
	}
	comp, catalog, err := a.live(r, k)
	if err != nil {
		return nil, err
	}
	told := 0
	for _, conn := range comp.Connections {
		if body.Destination != "" && body.Destination != conn.Destination.Name {
			continue
		}
		told++
		for _, other := range catalog.Retellings {
			if other.Connection.ID == conn.ID {
				return nil, conflict(comp.Key, "is being told again to "+conn.Destination.Name+" already; its runs show how far that is")
			}
		}
	}
	if told == 0 {
		return nil, unfit("destination", comp.Key+" is told to nobody of this name; its connections say to whom")
	}
	n, err := app.Resync(r.Context(), a.store, k.Purpose, comp.Key, body.Destination, a.cfg.Now())
	return map[string]any{"destinations": n}, err
}

// ran is what a slot did, for programs.
func ran(result engine.SlotResult) any {
	type told struct {
		Key     string `json:"key"`
		Entered int64  `json:"entered"`
		Exited  int64  `json:"exited"`
		Changed int64  `json:"changed"`
	}
	list := []told{}
	for _, t := range result.Tallies {
		list = append(list, told{t.Computation.Key, t.Entered, t.Exited, t.Changed})
	}
	return map[string]any{"events_read": result.EventsRead, "profiles": result.Profiles, "runs": list}
}
