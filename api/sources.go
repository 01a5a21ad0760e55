package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/store"
)

func (a *API) sources(r *request) (any, error) {
	sources, err := a.store.Sources(r.Context(), a.cfg.Now())
	if err != nil {
		return nil, err
	}
	return listedByName(r, "sources", sources, func(s store.Source) string { return s.Name })
}

func (a *API) source(r *request) (any, error) {
	name := r.PathValue("name")
	sources, err := a.store.Sources(r.Context(), a.cfg.Now())
	if err != nil {
		return nil, err
	}
	n := slices.IndexFunc(sources, func(s store.Source) bool { return s.Name == name })
	if n < 0 {
		return nil, fmt.Errorf("source %q: %w", name, store.ErrUnknownSource)
	}
	return map[string]any{"source": sources[n]}, nil
}

// rateOf reads a rate of a body: nil and 0 stand for the default.
func rateOf(rate *float64) *float64 {
	if rate != nil && *rate == 0 {
		return nil
	}
	return rate
}

// madeKey is the answer with a write key, for the one time that it is shown.
func madeKey(name string, key store.WriteKey) any {
	return map[string]any{"name": name, "write_key": key.Reveal()}
}

func (a *API) createSource(r *request) (any, error) {
	var body struct {
		Name string   `json:"name"`
		Rate *float64 `json:"rate"`
	}
	if err := r.body(&body); err != nil {
		return nil, err
	}
	key, err := a.store.CreateSource(r.Context(), body.Name, rateOf(body.Rate), a.cfg.Now())
	if err != nil {
		return nil, err
	}
	return madeKey(body.Name, key), nil
}

func (a *API) editSource(r *request) (any, error) {
	var body struct {
		Enabled *bool    `json:"enabled"`
		Rate    *float64 `json:"rate"`
	}
	if err := r.body(&body); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	if body.Rate != nil {
		if err := a.store.LimitSource(r.Context(), name, rateOf(body.Rate)); err != nil {
			return nil, err
		}
	}
	if body.Enabled != nil {
		if err := a.store.EnableSource(r.Context(), name, *body.Enabled); err != nil {
			return nil, err
		}
	}
	return a.source(r)
}

// maxGrace is how long a key that was replaced may work.
const maxGrace = 366 * 24 * 60 * 60

func (a *API) rotateSource(r *request) (any, error) {
	var body struct {
		Grace *int `json:"grace_seconds"`
	}
	if err := r.body(&body); err != nil {
		return nil, err
	}
	grace := 24 * 60 * 60
	set(&grace, body.Grace)
	if grace < 0 || grace > maxGrace {
		return nil, unfit("grace_seconds", fmt.Sprintf("it must be 0 to %d", maxGrace))
	}
	name := r.PathValue("name")
	key, err := a.store.RotateWriteKey(r.Context(), name, time.Duration(grace)*time.Second, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	return madeKey(name, key), nil
}

// outcomes are what may become of a call.
var outcomes = []string{"accepted", "duplicate", "suppressed", "skipped", "rejected"}

// calls is the debugger.
func (a *API) calls(r *request) (any, error) {
	filter := store.RecentFilter{Source: r.query.Get("source"), Outcomes: r.list("outcome")}
	for _, o := range filter.Outcomes {
		if !slices.Contains(outcomes, o) {
			return nil, bad("outcome", fmt.Sprintf("%q is none of %s", o, strings.Join(outcomes, ", ")))
		}
	}
	if text := r.query.Get("id"); text != "" {
		id, err := externalID("id", text, "user_id")
		if err != nil {
			return nil, err
		}
		filter.ID = id.String()
	}
	var err error
	if text := r.query.Get("after"); text != "" {
		if filter.After, err = strconv.ParseInt(text, 10, 64); err != nil || filter.After < 0 {
			return nil, bad("after", "it is not the id of a call")
		}
	}
	if filter.Limit, err = r.number("limit", 50, 1, store.RecentPerSource); err != nil {
		return nil, err
	}
	calls, err := a.store.RecentCalls(r.Context(), filter)
	return map[string]any{"calls": orEmpty(calls)}, err
}
