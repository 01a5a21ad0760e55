package api

import (
	"fmt"
	"time"

	"muster/app"
	"muster/engine"
	"muster/query"
)

// Explanation is an explanation for programs.
type Explanation struct {
	Key        string             `json:"key"`
	Kind       query.Purpose      `json:"kind"`
	Profile    int64              `json:"profile"`
	IDs        []string           `json:"ids"`
	Value      query.Value        `json:"value"`
	Since      time.Time          `json:"since,omitzero"`
	Reason     engine.Cause       `json:"reason,omitempty"`
	AsOf       time.Time          `json:"as_of"`
	Schedule   string             `json:"schedule,omitempty"`
	Version    int                `json:"version,omitempty"`
	Eligible   bool               `json:"eligible"`
	Suppressed bool               `json:"suppressed"`
	Past       bool               `json:"past"`
	Waiting    bool               `json:"waiting"`
	Agrees     bool               `json:"agrees"`
	Next       time.Time          `json:"next_change,omitzero"`
	Notes      []string           `json:"notes"`
	Why        *query.Explanation `json:"why,omitempty"`
	Told       []Telling          `json:"told"`
}

// Telling is what a combination of ids heard last.
type Telling struct {
	Destination string      `json:"destination"`
	IDs         string      `json:"ids"`
	Value       query.Value `json:"value"`
	Times       int         `json:"times"`
	At          time.Time   `json:"at,omitzero"`
	Waits       bool        `json:"waits"`
	DeadLetter  int64       `json:"dead_letter,omitempty"`
	Reason      string      `json:"reason,omitempty"`
}

// NewExplanation words an explanation for programs.
func NewExplanation(x *app.Explained) Explanation {
	out := Explanation{
		Key: x.Computation.Key, Kind: x.Computation.Kind, Profile: x.ProfileID, IDs: idTexts(x.Links), Value: x.Value(), AsOf: x.AsOf,
		Eligible: x.Eligible, Suppressed: x.Suppressed, Past: x.Past, Waiting: x.Waiting, Agrees: x.Agrees, Next: x.Next,
		Notes: orEmpty(Notes(x)), Why: x.Tree, Told: []Telling{},
	}
	for _, t := range x.Told {
		out.Told = append(out.Told, Telling(t))
	}
	if x.Held != nil {
		out.Since, out.Reason = x.Held.Since, x.Held.Cause
	}
	if x.Version != nil {
		out.Schedule, out.Version = x.Version.Schedule, x.Version.Number
	}
	return out
}

// Notes are what one has to know to read the explanation.
func Notes(x *app.Explained) []string {
	var notes []string
	if !x.Eligible {
		notes = append(notes, "the profile has no id of the kinds that this is for (include_anonymous), so nothing is decided of it")
	}
	if x.Suppressed {
		notes = append(notes, "the person is suppressed: values rest as they are, and nothing is told")
	}
	if x.Past {
		notes = append(notes, "by today's definition, from what had been received by then; only computed traits have a past, other traits are as they are now")
	}
	if kept := x.KeptSince; !kept.IsZero() && (x.Past || len(x.Remembered) > 0) {
		notes = append(notes, fmt.Sprintf("events from before %s have been dropped and are not shown", kept.UTC().Format(time.DateOnly)))
	}
	for _, r := range x.Remembered {
		notes = append(notes, fmt.Sprintf("%s is %s with those", r.Chain, r.Value))
	}
	switch {
	case x.Contradicts():
		notes = append(notes, "what is stored is not what the history says: muster verify --repair mends it")
	case x.Waiting && !x.Agrees:
		notes = append(notes, "something has changed since, which the next slot takes into account")
	case x.Past && x.Eligible && !x.Agrees:
		notes = append(notes, "the value then was another: the definition, a trait or the profile's ids were others, or events came late")
	}
	return notes
}

func (a *API) explain(r *request, k kind) (any, error) {
	id, err := externalID("profile", r.query.Get("profile"), "user_id")
	if err != nil {
		return nil, err
	}
	at, err := r.instant("at")
	if err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	if at == nil {
		at = new(time.Time)
	} else if at.After(now) {
		return nil, bad("at", "that instant has not come yet")
	}
	if _, err := a.defined(r, k); err != nil {
		return nil, err
	}
	x, err := app.Explain(r.Context(), a.store, r.PathValue("key"), id, *at, now)
	if err != nil {
		return nil, err
	}
	return map[string]any{"explanation": NewExplanation(x)}, nil
}
