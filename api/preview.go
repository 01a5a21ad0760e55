package api

import (
	"time"

	"muster/app"
	"muster/engine"
	"muster/identity"
	"muster/query"
)

// Preview is what a definition would say, for programs. Counts are those of the profiles
// looked at.
type Preview struct {
	Size     int64             `json:"size"`
	Complete bool              `json:"complete"`
	Looked   int64             `json:"profiles_looked_at"`
	Of       int64             `json:"profiles"`
	Estimate int64             `json:"estimate"` // of the size, for all profiles
	IDTypes  map[string]int64  `json:"id_types"`
	Class    query.Class       `json:"class"`
	Because  []string          `json:"because"`
	Query    string            `json:"query"`
	Warnings query.Diagnostics `json:"warnings"`
	Samples  []PreviewSample   `json:"samples"`
}

// PreviewSample is a profile that would have a value.
type PreviewSample struct {
	Profile int64       `json:"profile"`
	IDs     []string    `json:"ids"`
	Value   query.Value `json:"value"`
}

// NewPreview words a preview for programs.
func NewPreview(p *engine.Preview) Preview {
	out := Preview{
		p.After, p.Complete(), p.Profiles, p.Of, p.Whole(p.After), p.IDTypes, p.Definition.Class, orEmpty(p.Definition.ClassBecause),
		p.Definition.Text(), orEmpty(p.Warnings),
		[]PreviewSample{},
	}
	if out.IDTypes == nil {
		out.IDTypes = make(map[string]int64)
	}
	for _, s := range p.Samples {
		out.Samples = append(out.Samples, PreviewSample{s.ProfileID, idTexts(s.Links), s.After})
	}
	return out
}

func idTexts(links []identity.Link) []string {
	texts := make([]string, 0, len(links))
	for _, l := range links {
		texts = append(texts, l.ID.String())
	}
	return texts
}

// unsaved is the key of a definition that is looked at without being saved.
const unsaved = "unsaved_definition"

// Limits of a preview.
const (
	previewSeconds    = 10
	maxPreviewSeconds = 60
	maxSamples        = 100
)

func (a *API) preview(r *request, k kind) (any, error) {
	var body struct {
		definition
		Profiles int64 `json:"profiles"` // look at so many at most; 0: all
		Samples  *int  `json:"samples"`
		Seconds  *int  `json:"timeout_seconds"`
	}
	if err := r.body(&body); err != nil {
		return nil, err
	}
	seconds, samples := previewSeconds, 3
	set(&seconds, body.Seconds)
	set(&samples, body.Samples)
	switch {
	case body.Query == nil || *body.Query == "":
		return nil, unfit("query", "it is missing")
	case seconds < 1 || seconds > maxPreviewSeconds:
		return nil, unfit("timeout_seconds", "it must be 1 to 60")
	case samples < 0 || samples > maxSamples:
		return nil, unfit("samples", "it must be 0 to 100")
	case body.Profiles < 0:
		return nil, unfit("profiles", "it cannot be negative")
	}
	def, err := a.fresh(r, k)
	if err != nil {
		return nil, err
	}
	def.Key = unsaved
	if err := body.put(&def); err != nil {
		return nil, err
	}
	p, err := app.Preview(r.Context(), a.store, def, engine.DryRun{Profiles: body.Profiles, Samples: samples}, time.Duration(seconds)*time.Second, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	return map[string]any{"preview": NewPreview(p)}, nil
}
