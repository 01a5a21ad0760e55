package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"muster/store"
)

func (a *API) destinations(r *request) (any, error) {
	lags, err := a.store.Lags(r.Context())
	if err != nil {
		return nil, err
	}
	return listedByName(r, "destinations", lags, func(l store.Lag) string { return l.Destination })
}

func (a *API) destination(r *request) (any, error) {
	name := r.PathValue("name")
	lags, err := a.store.Lags(r.Context())
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(lags, func(l store.Lag) bool { return l.Destination == name })
	if n < 0 {
		return nil, fmt.Errorf("destination %q: %w", name, store.ErrNoDestination)
	}
	return map[string]any{"destination": lags[n]}, nil
}

func (a *API) pause(r *request) (any, error)  { return a.operate(r, a.store.Pause) }
func (a *API) resume(r *request) (any, error) { return a.operate(r, a.store.Resume) }

func (a *API) operate(r *request, do func(ctx context.Context, destination string) error) (any, error) {
	if err := r.body(&struct{}{}); err != nil {
		return nil, err
	}
	if err := do(r.Context(), r.PathValue("name")); err != nil {
		return nil, err
	}
	return a.destination(r)
}

// letterKinds are the kinds of dead letters.
var letterKinds = []string{store.KindRejected, store.KindUncertain, store.KindGaveUp, store.KindUndeliverable}

func (a *API) deadLetters(r *request) (any, error) {
	kind, err := r.choice("kind", letterKinds...)
	if err != nil {
		return nil, err
	}
	filter := store.LetterFilter{Destination: r.query.Get("destination"), Kind: kind}
	return listed(r, "dead_letters", func(before *int64, count int) ([]store.DeadLetter, error) {
		filter.Limit = count
		number := int64(0)
		set(&number, before)
		return a.store.DeadLettersBefore(r.Context(), filter, number)
	}, func(l store.DeadLetter) int64 { return l.ID })
}

// chosen reads which dead letters something is to be done with.
func chosen(r *request) (store.LetterFilter, error) {
	var body struct {
		IDs         []int64 `json:"ids"`
		Destination string  `json:"destination"`
		Kind        string  `json:"kind"`
		All         bool    `json:"all"`
	}
	if err := r.body(&body); err != nil {
		return store.LetterFilter{}, err
	}
	switch {
	case body.Kind != "" && !slices.Contains(letterKinds, body.Kind):
		return store.LetterFilter{}, unfit("kind", fmt.Sprintf("%q is none of %s", body.Kind, strings.Join(letterKinds, ", ")))
	case len(body.IDs) == 0 && body.Destination == "" && body.Kind == "" && !body.All:
		return store.LetterFilter{}, unfit("", `name dead letters by ids, choose by destination or kind, or say "all": true`)
	case len(body.IDs) == 0:
		body.IDs = nil // an empty list would choose none
	}
	return store.LetterFilter{IDs: body.IDs, Destination: body.Destination, Kind: body.Kind}, nil
}

func (a *API) retry(r *request) (any, error) {
	filter, err := chosen(r)
	if err != nil {
		return nil, err
	}
	done, err := a.store.RetryDeadLetters(r.Context(), filter, a.cfg.Now())
	return map[string]any{"queued": done.Queued, "superseded": done.Superseded}, err
}

func (a *API) drop(r *request) (any, error) {
	filter, err := chosen(r)
	if err != nil {
		return nil, err
	}
	n, err := a.store.DropDeadLetters(r.Context(), filter, a.cfg.Now())
	return map[string]any{"dropped": n}, err
}
