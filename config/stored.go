package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"

	"muster/identity"
	"muster/mixpanel"
	"muster/store"
)

// stored is a destination as the database keeps it.
type stored struct {
	Settings      map[string]jsontext.Value `json:"settings,omitempty"` // without secrets
	Sources       []string                  `json:"sources,omitempty"`
	DeviceSources []string                  `json:"device_sources,omitempty"`
	Delivery      *storedDelivery           `json:"delivery,omitempty"`
	Secrets       map[string]storedSecret   `json:"secrets,omitempty"` // by the setting
}

type storedDelivery struct {
	GiveUpAfter    string `json:"give_up_after,omitempty"`
	GiveUpAttempts int    `json:"give_up_attempts,omitempty"`
}

// storedSecret says where a secret is found, and whether it is the same as another time.
type storedSecret struct {
	Variable string `json:"variable,omitempty"` // of the environment; empty: it stood in the file
	// Hash is that of the secret, with the names of the destination and the setting. Secrets of Mixpanel are
	// random, so that it cannot be guessed back.
	Hash string `json:"hash"`
}

func hashOf(destination, setting, secret string) string {
	sum := sha256.Sum256([]byte(destination + "\x00" + setting + "\x00" + secret))
	return hex.EncodeToString(sum[:])
}

// secretSettings are the settings of Mixpanel that are secret, by the names in files, with
// their places in the struct.
var secretSettings = func() map[string]int {
	places := make(map[string]int)
	settings := reflect.TypeFor[mixpanel.Settings]()
	for i := range settings.NumField() {
		if f := settings.Field(i); f.Type == reflect.TypeFor[mixpanel.Secret]() {
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			places[name] = i
		}
	}
	return places
}()

// secretOf is the secret in a setting.
func secretOf(s *mixpanel.Settings, setting string) *mixpanel.Secret {
	return reflect.ValueOf(s).Elem().Field(secretSettings[setting]).Addr().Interface().(*mixpanel.Secret)
}

// Says tells whether a field stands at the top of the configuration. Of one that does not,
// it says nothing, and what is stays.
func (c *Config) Says(field string) bool { return c.said[field] }

// WithoutSources is the configuration as one that says nothing of sources.
func (c *Config) WithoutSources() *Config {
	w := *c
	w.said = maps.Clone(c.said)
	delete(w.said, "sources")
	return &w
}

// Stored is what the configuration says of sources, identity rules and destinations, as the
// database keeps it: without secrets. A destination without a token keeps all secrets that k
// has of it.
func (c *Config) Stored(k *store.Kept) (store.Configuration, error) {
	var s store.Configuration
	if c.Says("sources") {
		s.Sources = make([]store.ConfiguredSource, 0, len(c.Sources))
		for _, src := range c.Sources {
			s.Sources = append(s.Sources, store.ConfiguredSource{Name: src.Name, Key: store.WriteKey(src.WriteKey), Rate: src.Rate})
		}
	}
	if c.Says("identity") {
		text, err := yaml.MarshalWithOptions(c.Identity, yaml.JSON())
		if err != nil {
			return s, fmt.Errorf("write the identity rules: %w", err)
		}
		s.Identity = jsontext.Value(strings.TrimSpace(string(text)))
	}
	if !c.Says("destinations") {
		return s, nil
	}
	s.Destinations = make(map[string]store.ConfiguredDestination, len(c.Destinations))
	settings := c.MixpanelSettings()
	for i, d := range c.Destinations {
		doc := c.storedDestination(i)
		if before := k.Destinations[d.Name].Settings; d.Settings.Token == "" && before != nil {
			old, err := readStored(before)
			if err != nil {
				return s, fmt.Errorf("read the settings of destination %s: %w", d.Name, err)
			}
			doc.Secrets = old.Secrets
		}
		text, err := json.Marshal(doc, json.Deterministic(true))
		if err != nil {
			return s, fmt.Errorf("write the settings of destination %s: %w", d.Name, err)
		}
		effective := settings[d.Name]
		s.Destinations[d.Name] = store.ConfiguredDestination{Kind: d.Kind, Settings: text, Aliasing: effective.Aliasing(len(d.Sources) > 0)}
	}
	return s, nil
}

func (c *Config) storedDestination(i int) stored {
	d := c.Destinations[i]
	s := stored{Sources: d.Sources, DeviceSources: d.DeviceSources, Secrets: make(map[string]storedSecret)}
	if d.Delivery != (Delivery{}) {
		s.Delivery = &storedDelivery{GiveUpAttempts: d.Delivery.GiveUpAttempts}
		if d.Delivery.GiveUpAfter != 0 {
			s.Delivery.GiveUpAfter = d.Delivery.GiveUpAfter.String()
		}
	}
	text, _ := json.Marshal(d.Settings, json.OmitZeroStructFields(true)) // it has nothing that could fail,
	_ = json.Unmarshal(text, &s.Settings)                                // nor has what it becomes
	for setting := range secretSettings {
		delete(s.Settings, setting)
		if secret := secretOf(&d.Settings, setting).Reveal(); secret != "" {
			s.Secrets[setting] = storedSecret{c.variables[fmt.Sprintf("destinations[%d].settings.%s", i, setting)], hashOf(d.Name, setting, secret)}
		}
	}
	return s
}

// Running is the configuration with the identity rules and the destinations that the
// database keeps in the place of its own. Secrets come from the environment; one that
// stood in a file is taken from the configuration. What is wrong with a destination is
// returned, and it is left out, unless it is a mere warning.
func (c *Config) Running(k *store.Kept, getenv func(string) (string, bool)) (*Config, []error) {
	r := *c
	r.Destinations = nil
	var faults []error
	var err error
	if r.Identity, err = KeptIdentity(k); err != nil {
		faults = append(faults, err)
	}
	for _, name := range slices.Sorted(maps.Keys(k.Destinations)) {
		d, found := c.runningDestination(name, k.Destinations[name], getenv)
		faults = append(faults, found...)
		if d != nil {
			r.Destinations = append(r.Destinations, *d)
		}
	}
	return &r, faults
}

// KeptIdentity are the identity rules that the database keeps.
func KeptIdentity(k *store.Kept) (s identity.Settings, err error) {
	if k.Identity == nil {
		return s, nil
	}
	if err := yaml.Unmarshal(k.Identity, &s); err != nil {
		return s, fmt.Errorf("read the identity rules: %w", err)
	}
	return s, nil
}

// runningDestination is nil if the destination cannot be told anything.
func (c *Config) runningDestination(name string, kept store.ConfiguredDestination, getenv func(string) (string, bool)) (*Destination, []error) {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("destination "+name+": "+format, args...)
	}
	if kept.Settings == nil {
		return nil, []error{fault("its settings are not known here: apply a configuration that has them")}
	}
	d := &Destination{Name: name, Kind: kept.Kind}
	s, err := readStored(kept.Settings)
	if err == nil {
		err = s.into(d)
	}
	if err != nil {
		return nil, []error{fault("its settings cannot be read: %w", err)}
	}
	var faults []error
	for _, setting := range slices.Sorted(maps.Keys(s.Secrets)) {
		if _, known := secretSettings[setting]; !known {
			continue
		}
		note := s.Secrets[setting]
		secret := c.secret(name, setting, note, getenv)
		switch {
		case secret == "" && note.Variable != "":
			return nil, []error{fault("its %s is in the environment variable %s, which is not set here: set it, and start again", setting, note.Variable)}
		case secret == "":
			return nil, []error{fault("its %s stood in clear in the file that was applied, which is not stored: write it there as ${NAME}, or give it in the configuration of this program", setting)}
		case hashOf(name, setting, secret) != note.Hash:
			faults = append(faults, fault("its %s is not the one that was applied: start again with the environment that has it, or apply it anew", setting))
		}
		*secretOf(&d.Settings, setting) = mixpanel.Secret(secret)
	}
	if err := d.Settings.Validate(); err != nil {
		return nil, []error{fault("%w", err)}
	}
	return d, faults
}

// secret finds a secret: in the environment, else in the configuration's own destination of
// that name; rather the one that was applied.
func (c *Config) secret(destination, setting string, note storedSecret, getenv func(string) (string, bool)) string {
	var candidates []string
	if note.Variable != "" {
		if value, ok := getenv(note.Variable); ok {
			candidates = append(candidates, value)
		}
	}
	for i := range c.Destinations {
		if d := &c.Destinations[i]; d.Name == destination {
			candidates = append(candidates, secretOf(&d.Settings, setting).Reveal())
		}
	}
	for _, candidate := range candidates {
		if hashOf(destination, setting, candidate) == note.Hash {
			return candidate
		}
	}
	return cmp.Or(candidates...)
}

func readStored(text jsontext.Value) (s stored, err error) { return s, json.Unmarshal(text, &s) }

// into puts what is stored, but for the secrets, into a destination.
func (s stored) into(d *Destination) error {
	text, err := json.Marshal(s.Settings)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &d.Settings); err != nil {
		return err
	}
	d.Sources, d.DeviceSources = s.Sources, s.DeviceSources
	if s.Delivery == nil {
		return nil
	}
	d.Delivery.GiveUpAttempts = s.Delivery.GiveUpAttempts
	if s.Delivery.GiveUpAfter != "" {
		d.Delivery.GiveUpAfter, err = time.ParseDuration(s.Delivery.GiveUpAfter)
	}
	return err
}

// CheckSources reports the sources that destinations name and that neither the configuration
// has nor anybody else: known are those of the database.
func (c *Config) CheckSources(known []store.KeptSource) error {
	is := make(map[string]bool)
	for _, s := range known {
		is[s.Name] = true
	}
	for _, s := range c.Sources {
		is[s.Name] = true
	}
	have := "there is none yet"
	if len(is) > 0 {
		have = "there are " + strings.Join(slices.Sorted(maps.Keys(is)), ", ")
	}
	var found []error
	for i, d := range c.Destinations {
		for _, list := range []struct {
			field, what string
			names       []string
		}{{"sources", "whose calls could be forwarded", d.Sources}, {"device_sources", "whose pages could tell it themselves", d.DeviceSources}} {
			for n, source := range list.names {
				if !is[source] {
					found = append(found, c.locate(fault{fmt.Sprintf("destinations[%d].%s[%d]", i, list.field, n), fmt.Errorf(
						"there is no source %q %s (%s); correct the name, add it to sources, or make it with muster source create %[1]s", source, list.what, have)}))
				}
			}
		}
	}
	return errors.Join(found...)
}
