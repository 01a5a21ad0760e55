// Package config reads muster.yaml: what an operator wants, checked as far as one can
// without a database. All faults are reported at once, each with its place and remedy.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"

	"muster/engine"
	"muster/identity"
	"muster/mixpanel"
	"muster/query"
	"muster/scheduler"
)

// File is the name of the configuration file.
const File = "muster.yaml"

// Config is a configuration file. Its zero value is usable: a private PostgreSQL,
// loopback, no source, no destination, nothing to compute.
type Config struct {
	// Database is a PostgreSQL address; empty: DATABASE_URL, else a private PostgreSQL.
	Database string `yaml:"database"`
	// Listen is where the Tracking API is served; empty: 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Sources are those who may send calls.
	Sources []Source `yaml:"sources"`
	// LenientAuth answers calls with an unknown write key with 200 and discards them.
	LenientAuth bool `yaml:"lenient_auth"`
	// Identity is the rules of identity resolution.
	Identity identity.Settings `yaml:"identity"`
	// Destinations are whom changes are told to.
	Destinations []Destination `yaml:"destinations"`
	Audiences    []Computation `yaml:"audiences"`
	Traits       []Computation `yaml:"traits"`
}

// Source is an app that sends calls.
type Source struct {
	Name     string `yaml:"name"`
	WriteKey Secret `yaml:"write_key"`
}

// Secret is a text that is never shown.
type Secret string

// String hides the secret.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (Secret) GoString() string { return "(secret)" }

// Destination is a Mixpanel project.
type Destination struct {
	Name     string            `yaml:"name"`
	Kind     string            `yaml:"kind"` // empty: mixpanel
	Settings mixpanel.Settings `yaml:"settings"`
}

// Computation is an audience or a computed trait.
type Computation struct {
	Name              string       `yaml:"name"`
	Key               string       `yaml:"key"`
	Description       string       `yaml:"description"`
	Query             string       `yaml:"query"`
	Schedule          string       `yaml:"schedule"`
	IncludeAnonymous  bool         `yaml:"include_anonymous"`
	IncludeHistorical *bool        `yaml:"include_historical"` // default true
	BackfillDays      int          `yaml:"backfill_days"`
	Connections       []Connection `yaml:"connections"` // absent: every destination, identify
}

// Connection is a destination that a computation is told to.
type Connection struct {
	Destination   string            `yaml:"destination"`
	Emit          engine.Emit       `yaml:"emit"`
	EnteredEvent  string            `yaml:"entered_event"`
	ExitedEvent   string            `yaml:"exited_event"`
	ComputedEvent string            `yaml:"computed_event"`
	IDStrategy    identity.Strategy `yaml:"id_strategy"`
}

// Load reads a file. Texts of the form ${NAME} are replaced by the variable of the
// environment; one that is not set is an error, unless a default is given: ${NAME:-default}.
func Load(path string, getenv func(string) (string, bool)) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, text, getenv)
}

// Parse reads the text of a file; name is for messages.
func Parse(name string, text []byte, getenv func(string) (string, bool)) (*Config, error) {
	expanded, err := expand(name, string(text), getenv)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	err = yaml.UnmarshalWithOptions([]byte(expanded), c, yaml.DisallowUnknownField())
	if err != nil {
		// FormatError would print neighbouring lines, which may hold secrets.
		return nil, fmt.Errorf("%s: %s", name, yaml.FormatError(err, false, false))
	}
	c.fill()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

// expand puts the environment's variables in, outside of comments.
func expand(name, text string, getenv func(string) (string, bool)) (string, error) {
	var faults []error
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		lines[i] = variable.ReplaceAllStringFunc(line, func(ref string) string {
			m := variable.FindStringSubmatch(ref)
			if value, ok := getenv(m[1]); ok && value != "" {
				return value
			}
			if m[2] != "" {
				return strings.TrimPrefix(m[2], ":-")
			}
			faults = append(faults, fmt.Errorf("%s:%d: the environment variable %s is not set; set it, or give a default: ${%s:-default}", name, i+1, m[1], m[1]))
			return ""
		})
	}
	return strings.Join(lines, "\n"), errors.Join(faults...)
}

// fill puts defaults in.
func (c *Config) fill() {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	for i := range c.Destinations {
		if c.Destinations[i].Kind == "" {
			c.Destinations[i].Kind = "mixpanel"
		}
	}
	for _, list := range [][]Computation{c.Audiences, c.Traits} {
		for i := range list {
			if list[i].Connections != nil {
				continue
			}
			for _, d := range c.Destinations {
				list[i].Connections = append(list[i].Connections, Connection{Destination: d.Name})
			}
		}
	}
}

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		fault("listen: %q is not host:port", c.Listen)
	}
	if err := c.Identity.Validate(); err != nil {
		fault("identity: %w", err)
	}
	sources := make(map[string]bool)
	for i, s := range c.Sources {
		place := fmt.Sprintf("sources[%d]", i)
		switch {
		case !nameRule.MatchString(s.Name):
			fault("%s: name %q: use 1 to 64 letters, digits, _, . and -", place, s.Name)
		case sources[s.Name]:
			fault("%s: the name %q stands twice", place, s.Name)
		case s.WriteKey == "":
			fault("%s: write_key is missing", place)
		}
		sources[s.Name] = true
	}
	destinations := make(map[string]bool)
	for i, d := range c.Destinations {
		place := fmt.Sprintf("destinations[%d]", i)
		switch {
		case !nameRule.MatchString(d.Name):
			fault("%s: name %q: use 1 to 64 letters, digits, _, . and -", place, d.Name)
		case destinations[d.Name]:
			fault("%s: the name %q stands twice", place, d.Name)
		case d.Kind != "mixpanel":
			fault("%s (%s): kind %q is not known; mixpanel is", place, d.Name, d.Kind)
		}
		if err := d.Settings.Validate(); err != nil {
			fault("%s (%s): %w", place, d.Name, err)
		}
		destinations[d.Name] = true
	}
	keys := make(map[string]bool)
	for _, def := range c.Definitions() {
		key := def.Key
		if key == "" {
			key = engine.KeyFromName(def.Name)
		}
		if keys[key] {
			fault("%s %q: the key %q stands twice", def.Kind, def.Name, key)
		}
		keys[key] = true
		if def.Schedule != "" {
			if _, err := scheduler.Parse(def.Schedule); err != nil {
				fault("%s %q: %w", def.Kind, key, err)
			}
		}
		for _, conn := range def.Connections {
			if !destinations[conn.Destination] {
				fault("%s %q: there is no destination %q", def.Kind, key, conn.Destination)
			}
		}
	}
	return errors.Join(faults...)
}

// Definitions are the audiences and traits as the engine takes them, audiences first.
func (c *Config) Definitions() []engine.Definition {
	var defs []engine.Definition
	add := func(kind query.Purpose, list []Computation) {
		for _, comp := range list {
			def := engine.Definition{
				Key: comp.Key, Name: comp.Name, Description: comp.Description, Kind: kind, Query: comp.Query, Schedule: comp.Schedule,
				IncludeAnonymous: comp.IncludeAnonymous, IncludeHistorical: comp.IncludeHistorical == nil || *comp.IncludeHistorical,
				BackfillDays: comp.BackfillDays,
			}
			for _, conn := range comp.Connections {
				def.Connections = append(def.Connections, engine.ConnectionDefinition{
					Destination: conn.Destination, Emit: conn.Emit, EnteredEvent: conn.EnteredEvent, ExitedEvent: conn.ExitedEvent,
					ComputedEvent: conn.ComputedEvent, Strategy: conn.IDStrategy,
				})
			}
			defs = append(defs, def)
		}
	}
	add(query.Audience, c.Audiences)
	add(query.Trait, c.Traits)
	return defs
}

// MixpanelSettings are the destinations by name.
func (c *Config) MixpanelSettings() map[string]mixpanel.Settings {
	settings := make(map[string]mixpanel.Settings, len(c.Destinations))
	for _, d := range c.Destinations {
		settings[d.Name] = d.Settings
	}
	return settings
}
