// Package config reads muster.yaml: what an operator wants, checked as far as one can
// without a database. All faults are reported at once, each with its place and remedy.
package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"muster/deliver"
	"muster/engine"
	"muster/identity"
	"muster/ingest"
	"muster/mixpanel"
	"muster/query"
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
	// PublicURL is the address under which apps reach the Tracking API, which libraries in
	// browsers and phones are told; empty: the one under which they ask.
	PublicURL string `yaml:"public_url"`
	// TrustedProxies are addresses and networks of proxies whose X-Forwarded-For is
	// believed; absent: ingest.Loopback.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// API says where the admin API and the Profile API are served.
	API API `yaml:"api"`
	// Sources are those who may send calls.
	Sources []Source `yaml:"sources"`
	// DefaultRate is how many requests per second a source may send that has no rate of
	// its own, from 0.001 to 1,000,000; 0 means ingest.DefaultRate.
	DefaultRate float64 `yaml:"default_rate"`
	// LenientAuth answers calls with an unknown write key with 200 and discards them.
	LenientAuth bool `yaml:"lenient_auth"`
	// DedupWindow is how long message ids are remembered, at least a day; 0 means
	// 7 days. A call that comes again later counts again.
	DedupWindow time.Duration `yaml:"dedup_window"`
	// Retention says for how long events and the history of values are kept.
	Retention Retention `yaml:"retention"`
	// Identity is the rules of identity resolution.
	Identity identity.Settings `yaml:"identity"`
	// Destinations are whom changes are told to.
	Destinations []Destination `yaml:"destinations"`
	Audiences    []Computation `yaml:"audiences"`
	Traits       []Computation `yaml:"traits"`

	keep      []string          // destinations that may be without secrets, because the database has noted theirs
	known     []string          // destinations that stand in no file, see LoadDefinitions
	places    map[string]Place  // of queries, by key
	said      map[string]bool   // the fields that stand at the top of a file
	variables map[string]string // of the environment that whole secrets come from, by field
	origins   map[string]origin // by field; elements of lists by theirs, such as audiences[3]
}

// Source is an app that sends calls.
type Source struct {
	Name string `yaml:"name"`
	// WriteKey is what its calls carry; absent: the key that it has already, if it has one.
	WriteKey Secret `yaml:"write_key"`
	// Rate is how many requests it may send per second, on average and in a burst, from
	// 0.001 to 1,000,000; 0 means the default rate.
	Rate float64 `yaml:"rate"`
}

// Secret is a text that is never shown.
type Secret string

// String hides the secret.
func (Secret) String() string { return "(secret)" }

// GoString hides the secret.
func (Secret) GoString() string { return "(secret)" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Destination is a Mixpanel project.
type Destination struct {
	Name     string            `yaml:"name"`
	Kind     string            `yaml:"kind"` // empty: mixpanel
	Settings mixpanel.Settings `yaml:"settings"`
	// Sources are those whose own calls are forwarded to it, by name; they may be made by
	// command too.
	Sources []string `yaml:"sources"`
	// DeviceSources are those whose pages tell it of their calls themselves, by name; their
	// libraries are given its settings for that. They may be made by command too.
	DeviceSources []string `yaml:"device_sources"`
	Delivery      Delivery `yaml:"delivery"`
}

// Delivery says for how long a message is tried that a destination does not take. It is given up
// when both are reached; see deliver.Pace.
type Delivery struct {
	GiveUpAfter    time.Duration `yaml:"give_up_after"`    // since its first failure, at least a minute; 0: a day
	GiveUpAttempts int           `yaml:"give_up_attempts"` // 0: 10
}

// Computation is an audience or a computed trait. Its key comes from its name if it has none.
type Computation struct {
	Name              string       `yaml:"name"`
	Key               string       `yaml:"key"`
	Description       string       `yaml:"description"`
	Query             string       `yaml:"query"`
	Schedule          string       `yaml:"schedule"`
	Refresh           string       `yaml:"refresh"` // of one with a schedule: realtime, or empty
	IncludeAnonymous  bool         `yaml:"include_anonymous"`
	IncludeHistorical *bool        `yaml:"include_historical"` // default true
	BackfillDays      int          `yaml:"backfill_days"`
	Enabled           *bool        `yaml:"enabled"`     // default true
	ReuseKey          bool         `yaml:"reuse_key"`   // see engine.Definition
	Connections       []Connection `yaml:"connections"` // absent: every destination, identify
	// DestinationCleanup is that of connections that say nothing themselves; empty: none.
	DestinationCleanup engine.Cleanup `yaml:"destination_cleanup"`
}

// Connection is a destination that a computation is told to.
type Connection struct {
	Destination   string            `yaml:"destination"`
	Emit          engine.Emit       `yaml:"emit"`
	EnteredEvent  string            `yaml:"entered_event"`
	ExitedEvent   string            `yaml:"exited_event"`
	ComputedEvent string            `yaml:"computed_event"`
	IDStrategy    identity.Strategy `yaml:"id_strategy"`
	// DestinationCleanup is what the destination is told when the connection, or what it
	// tells, is removed; empty: what the audience or trait says.
	DestinationCleanup engine.Cleanup `yaml:"destination_cleanup"`
}

// Load reads a file, or a folder of files, see LoadDefinitions. In its values, ${NAME} stands for the variable of the environment;
// one that is not set is an error, unless a default is given: ${NAME:-default}.
func Load(path string, getenv func(string) (string, bool)) (*Config, error) {
	if isFolder(path) {
		return LoadDefinitions(path, getenv, nil)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, text, getenv)
}

// Parse reads the text of a file; name is for messages. What is wrong is told all at once,
// each fault with its line.
func Parse(name string, text []byte, getenv func(string) (string, bool)) (*Config, error) {
	d, err := read(name, text, getenv)
	if err != nil {
		return nil, err
	}
	return merge([]*document{d}, nil)
}

// fill puts defaults in.
func (c *Config) fill() {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.TrustedProxies == nil {
		c.TrustedProxies = ingest.Loopback
	}
	for i := range c.Destinations {
		if c.Destinations[i].Kind == "" {
			c.Destinations[i].Kind = "mixpanel"
		}
	}
	for _, list := range [][]Computation{c.Audiences, c.Traits} {
		for i := range list {
			if list[i].Key == "" {
				list[i].Key = engine.KeyFromName(list[i].Name)
			}
			if list[i].Connections != nil {
				continue
			}
			for _, name := range c.destinationNames() {
				list[i].Connections = append(list[i].Connections, Connection{Destination: name})
			}
		}
	}
}

// destinationNames are those that connections may name.
func (c *Config) destinationNames() []string {
	names := slices.Clone(c.known)
	for _, d := range c.Destinations {
		names = append(names, d.Name)
	}
	return names
}

// Proxies are the networks of TrustedProxies.
func (c *Config) Proxies() []netip.Prefix {
	proxies, _ := ingest.ParseProxies(c.TrustedProxies) // validated
	return proxies
}

// Definitions are the audiences and traits as the engine takes them, audiences first.
func (c *Config) Definitions() []engine.Definition {
	var defs []engine.Definition
	add := func(kind query.Purpose, list []Computation) {
		for _, comp := range list {
			def := engine.Definition{
				Key: comp.Key, Name: comp.Name, Description: comp.Description, Kind: kind, Query: comp.Query, Schedule: comp.Schedule,
				Refresh:          engine.Refresh(comp.Refresh),
				IncludeAnonymous: comp.IncludeAnonymous, IncludeHistorical: comp.IncludeHistorical == nil || *comp.IncludeHistorical,
				BackfillDays: comp.BackfillDays, Disabled: comp.Enabled != nil && !*comp.Enabled, ReuseKey: comp.ReuseKey,
			}
			for _, conn := range comp.Connections {
				def.Connections = append(def.Connections, engine.ConnectionDefinition{
					Destination: conn.Destination, Emit: conn.Emit, EnteredEvent: conn.EnteredEvent, ExitedEvent: conn.ExitedEvent,
					ComputedEvent: conn.ComputedEvent, Strategy: conn.IDStrategy, Cleanup: cmp.Or(conn.DestinationCleanup, comp.DestinationCleanup),
				})
			}
			defs = append(defs, def)
		}
	}
	add(query.Audience, c.Audiences)
	add(query.Trait, c.Traits)
	return defs
}

// MixpanelSettings are the destinations by name. One that pages tell themselves, or that
// calls are forwarded to, knows user ids before Muster tells it anything, so that an alias
// comes too late there: see [mixpanel.Settings.Aliasing]. It is said here, because a command
// that forwards nothing, such as an import, must leave it at that.
func (c *Config) MixpanelSettings() map[string]mixpanel.Settings {
	settings := make(map[string]mixpanel.Settings, len(c.Destinations))
	for _, d := range c.Destinations {
		if len(d.DeviceSources)+len(d.Sources) > 0 && d.Settings.Aliasing(true) == engine.AliasNever {
			d.Settings.AliasWhenKnown = new(bool)
		}
		settings[d.Name] = d.Settings
	}
	return settings
}

// DeviceMode is, by destination, the sources whose pages tell it themselves.
func (c *Config) DeviceMode() map[string][]string {
	return c.sourcesOf(func(d Destination) []string { return d.DeviceSources })
}

// Forwarding names the sources whose own calls are forwarded, by destination.
func (c *Config) Forwarding() map[string][]string {
	return c.sourcesOf(func(d Destination) []string { return d.Sources })
}

// sourcesOf is a list of each destination that has some in it.
func (c *Config) sourcesOf(list func(Destination) []string) map[string][]string {
	sources := make(map[string][]string)
	for _, d := range c.Destinations {
		if names := list(d); len(names) > 0 {
			sources[d.Name] = names
		}
	}
	return sources
}

// Paces say how each destination is served, by name.
func (c *Config) Paces() map[string]deliver.Pace {
	paces := make(map[string]deliver.Pace, len(c.Destinations))
	for _, d := range c.Destinations {
		paces[d.Name] = deliver.Pace{GiveUpAge: d.Delivery.GiveUpAfter, GiveUpAttempts: d.Delivery.GiveUpAttempts}
	}
	return paces
}
