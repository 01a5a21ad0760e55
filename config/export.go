package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"

	"muster/engine"
	"muster/identity"
	"muster/query"
	"muster/store"
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

// exportedSource is a source without its write key, of which only a hash is known: left out,
// it stays as it is.
type exportedSource struct {
	Name string  `yaml:"name"`
	Rate float64 `yaml:"rate,omitempty"`
}

type exportedDestination struct {
	Name          string            `yaml:"name"`
	Settings      yaml.MapSlice     `yaml:"settings"`
	Sources       []string          `yaml:"sources,omitempty"`
	DeviceSources []string          `yaml:"device_sources,omitempty"`
	Delivery      *exportedDelivery `yaml:"delivery,omitempty"`
}

type exportedDelivery struct {
	GiveUpAfter    string `yaml:"give_up_after,omitempty"`
	GiveUpAttempts int    `yaml:"give_up_attempts,omitempty"`
}

// ExportFile is a part of a configuration, as it is written.
type ExportFile struct {
	Sources      []exportedSource      `yaml:"sources,omitempty"`
	Identity     *identity.Settings    `yaml:"identity,omitempty"`
	Destinations []exportedDestination `yaml:"destinations,omitempty"`
	Audiences    []exported            `yaml:"audiences,omitempty"`
	Traits       []exported            `yaml:"traits,omitempty"`

	// Keeping are the destinations that are written without their secrets, because some of
	// these stood in a file in clear: applied, they keep what they have.
	Keeping []string `yaml:"-"`
}

// Text is the file as LoadDefinitions reads it back.
func (f *ExportFile) Text() ([]byte, error) {
	return yaml.MarshalWithOptions(*f, yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
}

// Export writes definitions as a file that LoadDefinitions reads back.
func Export(definitions []engine.Definition) *ExportFile {
	var file ExportFile
	for _, def := range definitions {
		e := exportedFrom(def)
		if def.Kind == query.Audience {
			file.Audiences = append(file.Audiences, e)
		} else {
			file.Traits = append(file.Traits, e)
		}
	}
	return &file
}

// ExportKept writes sources, identity rules and destinations as the parts of a file. Secrets
// are written as the variables that have them, if all do.
func ExportKept(k *store.Kept) (*ExportFile, error) {
	var file ExportFile
	for _, s := range k.Sources {
		file.Sources = append(file.Sources, exportedSource{s.Name, s.Effective()})
	}
	rules, err := KeptIdentity(k)
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(rules, identity.Settings{}) {
		for typ, values := range rules.Blocked {
			for i := range values {
				rules.Blocked[typ][i] = literal(values[i])
			}
		}
		file.Identity = &rules
	}
	for _, name := range slices.Sorted(maps.Keys(k.Destinations)) {
		if err := file.addDestination(name, k.Destinations[name]); err != nil {
			return nil, fmt.Errorf("destination %s: %w", name, err)
		}
	}
	return &file, nil
}

func (f *ExportFile) addDestination(name string, kept store.ConfiguredDestination) error {
	e := exportedDestination{Name: name}
	var s stored
	var err error
	if kept.Settings != nil {
		if s, err = readStored(kept.Settings); err != nil {
			return err
		}
	}
	if inClear(s.Secrets) {
		f.Keeping = append(f.Keeping, name)
	} else {
		for _, setting := range slices.Sorted(maps.Keys(s.Secrets)) {
			e.Settings = append(e.Settings, yaml.MapItem{Key: setting, Value: "${" + s.Secrets[setting].Variable + "}"})
		}
	}
	for _, setting := range slices.Sorted(maps.Keys(s.Settings)) {
		value, err := plain(s.Settings[setting])
		if err != nil {
			return fmt.Errorf("%s: %w", setting, err)
		}
		e.Settings = append(e.Settings, yaml.MapItem{Key: setting, Value: value})
	}
	e.Sources, e.DeviceSources = s.Sources, s.DeviceSources
	if s.Delivery != nil {
		e.Delivery = &exportedDelivery{s.Delivery.GiveUpAfter, s.Delivery.GiveUpAttempts}
	}
	f.Destinations = append(f.Destinations, e)
	return nil
}

// plain is a value of JSON as it is written in YAML. Numbers of settings are whole.
func plain(value jsontext.Value) (any, error) {
	switch value.Kind() {
	case '"':
		var text string
		err := json.Unmarshal(value, &text)
		return literal(text), err
	case '0':
		return strconv.ParseInt(string(value), 10, 64)
	case '[':
		var list []string
		err := json.Unmarshal(value, &list)
		for i := range list {
			list[i] = literal(list[i])
		}
		return list, err
	}
	var other any
	err := json.Unmarshal(value, &other)
	return other, err
}

// inClear tells whether some secret is in no variable, or none is known.
func inClear(secrets map[string]storedSecret) bool {
	for _, s := range secrets {
		if s.Variable == "" {
			return true
		}
	}
	return len(secrets) == 0
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
