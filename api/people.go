package api

import (
	"fmt"
	"slices"
	"strings"

	"muster/app"
	"muster/identity"
)

func (a *API) person(r *request) (any, error) {
	id, err := externalID("profile", r.PathValue("profile"), "user_id")
	if err != nil {
		return nil, err
	}
	limit, err := r.number("limit", 10, 0, maxCount)
	if err != nil {
		return nil, err
	}
	p, err := a.store.Person(r.Context(), id, limit)
	if err != nil {
		return nil, err
	}
	return map[string]any{"profile": p}, nil
}

// The types of regulations that Muster can keep, as Segment names them.
const (
	suppressOnly       = "SUPPRESS_ONLY"
	unsuppress         = "UNSUPPRESS"
	suppressWithDelete = "SUPPRESS_WITH_DELETE_INTERNAL"
	deleteOnly         = "DELETE_INTERNAL"
)

var regulationTypes = []string{suppressOnly, unsuppress, suppressWithDelete, deleteOnly}

// The kinds of subjects of a regulation.
const (
	subjectUserID     = "USER_ID"     // ids are user ids
	subjectExternalID = "EXTERNAL_ID" // ids are TYPE:VALUE
)

// maxSubjects is how many people one regulation may name.
const maxSubjects = 5000

// regulation is what a body asks for, in the words of Segment's API.
type regulation struct {
	Type        string   `json:"regulationType"`
	SubjectType string   `json:"subjectType"`
	SubjectIDs  []string `json:"subjectIds"`
}

// regulated says what became of a regulation. It names nobody.
type regulated struct {
	Type       string `json:"regulationType"`
	Status     string `json:"status"` // FINISHED: it is done when it is answered
	Profiles   int    `json:"profiles"`
	IDs        int    `json:"ids"`        // that the suppression is about
	Suppressed int    `json:"suppressed"` // ids whose calls are dropped from now on, or are not any more
	Events     int64  `json:"events"`     // deleted, and so on
	Traits     int64  `json:"traits"`
	Values     int64  `json:"values"`
	Messages   int64  `json:"messages"`
}

func (a *API) regulate(r *request) (any, error) {
	var body regulation
	if err := r.body(&body); err != nil {
		return nil, err
	}
	ids, err := body.subjects()
	if err != nil {
		return nil, err
	}
	done := regulated{Type: body.Type, Status: "FINISHED"}
	if body.Type == suppressOnly || body.Type == suppressWithDelete {
		// Each of them is somebody, and can be taken off the list alone.
		s, err := app.SuppressEach(r.Context(), a.store, ids, a.cfg.Now)
		if err != nil {
			return nil, err
		}
		done.Profiles, done.IDs, done.Suppressed = s.Profiles, s.IDs, s.Changed
	}
	switch body.Type {
	case unsuppress:
		s, err := app.Unsuppress(r.Context(), a.store, ids, a.cfg.Now)
		if err != nil {
			return nil, err
		}
		done.Profiles, done.IDs, done.Suppressed = s.Profiles, s.IDs, s.Changed
	case suppressWithDelete, deleteOnly:
		f, err := app.Forget(r.Context(), a.store, ids, true, a.cfg.Now) // they are suppressed already, or are not to be
		if err != nil {
			return nil, err
		}
		done.Profiles, done.IDs = len(f.Profiles), int(f.IDs)
		done.Events, done.Traits, done.Values, done.Messages = f.Events, f.Traits, f.Values, f.Messages
	}
	return map[string]any{"regulation": done}, nil
}

// subjects checks a regulation, and whom it is about.
func (b *regulation) subjects() ([]identity.ID, error) {
	switch b.SubjectType {
	case subjectUserID, subjectExternalID:
	default:
		return nil, unfit("subjectType", fmt.Sprintf("is %q; use %s, or %s for ids like email:kim@example.net", b.SubjectType, subjectUserID, subjectExternalID))
	}
	switch {
	case slices.Contains(regulationTypes, b.Type):
	case b.Type == "SUPPRESS_WITH_DELETE" || b.Type == "DELETE_ONLY" || b.Type == "DELETE_ARCHIVE_ONLY":
		return nil, unfit("regulationType", fmt.Sprintf("%s would reach destinations or archives, and nothing is sent there; use one of %s, and ask Mixpanel for its part",
			b.Type, strings.Join(regulationTypes, ", ")))
	default:
		return nil, unfit("regulationType", fmt.Sprintf("is %q; use one of %s", b.Type, strings.Join(regulationTypes, ", ")))
	}
	if n := len(b.SubjectIDs); n < 1 || n > maxSubjects {
		return nil, unfit("subjectIds", fmt.Sprintf("holds %d ids; give 1 to %d", n, maxSubjects))
	}
	ids := make([]identity.ID, len(b.SubjectIDs))
	for i, text := range b.SubjectIDs {
		field := fmt.Sprintf("subjectIds[%d]", i)
		if b.SubjectType == subjectUserID {
			if text == "" {
				return nil, unfit(field, "is empty")
			}
			ids[i] = identity.ID{Type: identity.UserID, Value: text}.Normal()
			continue
		}
		id, err := externalID(field, text, "")
		if err != nil {
			return nil, unfit(field, err.Error())
		}
		ids[i] = id
	}
	return ids, nil
}
