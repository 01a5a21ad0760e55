package config

import (
	"strings"

	"github.com/goccy/go-yaml"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// exported is a computation as it is written. Defaults are left out, but for connections:
// what they stand for depends on the destinations there are.
type exported struct {
	Name              string               `yaml:"name"`
	Key               string               `yaml:"key,omitempty"`
	Description       string               `yaml:"description,omitempty"`
	Query             string               `yaml:"query"`
	Schedule          string               `yaml:"schedule,omitempty"`
	Refresh           string               `yaml:"refresh,omitempty"`
	IncludeAnonymous  bool                 `yaml:"include_anonymous,omitempty"`
	IncludeHistorical *bool                `yaml:"include_historical,omitempty"`
	BackfillDays      int                  `yaml:"backfill_days,omitempty"`
	Enabled           *bool                `yaml:"enabled,omitempty"`
	Connections       []exportedConnection `yaml:"connections"`
}

type exportedConnection struct {
	Destination   string            `yaml:"destination"`
	Emit          engine.Emit       `yaml:"emit,omitempty"`
	EnteredEvent  string            `yaml:"entered_event,omitempty"`
	ExitedEvent   string            `yaml:"exited_event,omitempty"`
	ComputedEvent string            `yaml:"computed_event,omitempty"`
	IDStrategy    identity.Strategy `yaml:"id_strategy,omitempty"`
	Cleanup       engine.Cleanup    `yaml:"destination_cleanup,omitempty"`
}

// Export writes definitions as a file that LoadDefinitions reads back.
func Export(definitions []engine.Definition) ([]byte, error) {
	var file struct {
		Audiences []exported `yaml:"audiences,omitempty"`
		Traits    []exported `yaml:"traits,omitempty"`
	}
	for _, def := range definitions {
		e := exportedFrom(def)
		if def.Kind == query.Audience {
			file.Audiences = append(file.Audiences, e)
		} else {
			file.Traits = append(file.Traits, e)
		}
	}
	return yaml.MarshalWithOptions(file, yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
}

func exportedFrom(def engine.Definition) exported {
	e := exported{
		Name: literal(def.Name), Description: literal(def.Description), Query: literal(def.Query), Schedule: def.Schedule, Refresh: string(def.Refresh),
		IncludeAnonymous: def.IncludeAnonymous, BackfillDays: def.BackfillDays, Connections: []exportedConnection{},
	}
	if def.Key != engine.KeyFromName(def.Name) {
		e.Key = def.Key
	}
	if def.Schedule == engine.DefaultSchedule {
		e.Schedule = ""
	}
	if !def.IncludeHistorical {
		e.IncludeHistorical = new(bool)
	}
	if def.Disabled {
		e.Enabled = new(bool)
	}
	unless := func(text, usual string) string {
		if text == usual {
			return ""
		}
		return literal(text)
	}
	for _, c := range def.Connections {
		e.Connections = append(e.Connections, exportedConnection{
			Destination: c.Destination, Emit: engine.Emit(unless(string(c.Emit), string(engine.EmitIdentify))),
			EnteredEvent: unless(c.EnteredEvent, "Audience Entered"), ExitedEvent: unless(c.ExitedEvent, "Audience Exited"),
			ComputedEvent: unless(c.ComputedEvent, "Trait Computed"), IDStrategy: identity.Strategy(unless(string(c.Strategy), string(identity.All))),
			Cleanup: engine.Cleanup(unless(string(c.Cleanup), string(engine.CleanupNone))),
		})
	}
	return e
}

// literal keeps ${NAME} in a text from being taken for a variable when it is read back: its
// dollar becomes the default of a variable that nobody sets.
func literal(text string) string {
	return strings.ReplaceAll(text, "${", "${MUSTER_LITERAL_DOLLAR:-$}{")
}
