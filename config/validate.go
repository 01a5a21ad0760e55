package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"time"

	"muster/deliver"
	"muster/engine"
	"muster/ingest"
	"muster/mixpanel"
	"muster/scheduler"
)

// fault is what is wrong with a field, such as sources[0].name; an empty one is the
// whole file.
type fault struct {
	field string
	err   error
}

// faults collects what is wrong with a configuration.
type faults []fault

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, fault{field, fmt.Errorf(format, args...)})
}

// Validate reports every fault at once; nil if the configuration can be used. Whether a
// definition's query is right is not looked at here: one that is refused does not keep the
// others from being computed.
func (c *Config) Validate() error {
	var list []error
	for _, f := range c.faults() {
		list = append(list, fmt.Errorf("%s: %w", f.field, f.err))
	}
	return errors.Join(list...)
}

func (c *Config) faults() faults {
	var f faults
	if c.DedupWindow != 0 && c.DedupWindow < 24*time.Hour {
		f.add("dedup_window", "%s is too short: a day, 24h, is the least", c.DedupWindow)
	}
	c.retentionFaults(&f)
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		f.add("listen", "%q is not host:port, such as 127.0.0.1:8080", c.Listen)
	}
	if _, err := ingest.ParsePublicURL(c.PublicURL); err != nil {
		f.add("public_url", "%w", err)
	}
	if _, err := ingest.ParseProxies(c.TrustedProxies); err != nil {
		for _, one := range each(err) {
			f.add("trusted_proxies", "%w", one)
		}
	}
	c.apiFaults(&f)
	if err := c.Identity.Validate(); err != nil {
		for _, one := range each(err) {
			f.add("identity", "%w", one)
		}
	}
	if !validRate(c.DefaultRate) {
		f.add("default_rate", rateFault, c.DefaultRate)
	}
	c.sourceFaults(&f)
	c.destinationFaults(&f)
	c.computationFaults(&f)
	return f
}

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

const nameRemedy = "use 1 to 64 letters, digits, _, . and -, the first a letter or a digit"

// validRate tells whether a rate is one, or 0 for the default.
func validRate(rate float64) bool { return rate == 0 || rate >= 0.001 && rate <= 1e6 }

const rateFault = "is %v; use 0.001 to 1000000 requests per second, or leave it out for the default"

func (c *Config) sourceFaults(f *faults) {
	names, keys := make(map[string]bool), make(map[Secret]string)
	for i, s := range c.Sources {
		place := fmt.Sprintf("sources[%d]", i)
		switch {
		case !nameRule.MatchString(s.Name):
			f.add(place+".name", "%q is no name; %s", s.Name, nameRemedy)
		case names[s.Name]:
			f.add(place+".name", "the name %q stands twice", s.Name)
		}
		names[s.Name] = true
		other, twice := keys[s.WriteKey]
		switch {
		case s.WriteKey == "": // it keeps the one that it has
		case twice:
			f.add(place+".write_key", "the source %q has the same; a key tells sources apart", other)
		}
		keys[s.WriteKey] = s.Name
		if !validRate(s.Rate) {
			f.add(place+".rate", rateFault, s.Rate)
		}
	}
}

func (c *Config) destinationFaults(f *faults) {
	names := make(map[string]bool)
	for i, d := range c.Destinations {
		place := fmt.Sprintf("destinations[%d]", i)
		switch {
		case !nameRule.MatchString(d.Name):
			f.add(place+".name", "%q is no name; %s", d.Name, nameRemedy)
		case names[d.Name]:
			f.add(place+".name", "the name %q stands twice", d.Name)
		}
		names[d.Name] = true
		if d.Kind != "mixpanel" {
			f.add(place+".kind", "%q is not known; use mixpanel, or leave it out", d.Kind)
		}
		sourceNameFaults(f, place+".sources", d.Sources)
		sourceNameFaults(f, place+".device_sources", d.DeviceSources)
		c.deviceFaults(f, i)
		if age := d.Delivery.GiveUpAfter; age < 0 || age > 0 && age < time.Minute {
			f.add(place+".delivery.give_up_after", "%s is too short: a minute, 1m, is the least", age)
		}
		if n := d.Delivery.GiveUpAttempts; n < 0 {
			f.add(place+".delivery.give_up_attempts", "is %d; use 1 or more, or leave it out for %d", n, deliver.DefaultGiveUpAttempts)
		}
		if d.Settings.Token == "" && slices.Contains(c.keep, d.Name) {
			d.Settings.Token = "kept"
			if d.Settings.ServiceAccountUsername != "" {
				d.Settings.ServiceAccountSecret = "kept"
			}
		}
		found := each(d.Settings.Validate())
		if len(d.DeviceSources) > 0 {
			found = append(found, each(d.Settings.ValidateForBrowsers())...)
		}
		for _, err := range found {
			field := place + ".settings"
			if setting, ok := errors.AsType[*mixpanel.SettingError](err); ok {
				field += "." + setting.Setting
				err = fmt.Errorf("%s; %s", setting.Problem, setting.Remedy)
			}
			f.add(field, "%w", err)
		}
	}
}

// sourceNameFaults checks the names of sources that a destination is connected to. Whether
// there are such sources, the database knows: they may be made by command.
func sourceNameFaults(f *faults, place string, names []string) {
	for n, source := range names {
		place := fmt.Sprintf("%s[%d]", place, n)
		switch {
		case !nameRule.MatchString(source):
			f.add(place, "%q is no name of a source; %s", source, nameRemedy)
		case slices.Index(names, source) < n:
			f.add(place, "the source %q stands twice", source)
		}
	}
}

// deviceFaults checks that the pages of a source tell one destination only: their library
// has one place for the settings of Mixpanel.
func (c *Config) deviceFaults(f *faults, destination int) {
	d := c.Destinations[destination]
	for n, source := range d.DeviceSources {
		other := slices.IndexFunc(c.Destinations[:destination], func(o Destination) bool { return slices.Contains(o.DeviceSources, source) })
		if other >= 0 {
			f.add(fmt.Sprintf("destinations[%d].device_sources[%d]", destination, n),
				"the source %q is among those of destinations[%d] too, and a library in a browser knows one Mixpanel; leave it in one of the two, or give the pages that tell the other a source of their own",
				source, other)
		}
	}
}

func (c *Config) computationFaults(f *faults) {
	destinations := make(map[string]bool)
	for _, name := range c.destinationNames() {
		destinations[name] = true
	}
	keys := make(map[string]string)
	for _, list := range []struct {
		name         string
		computations []Computation
	}{{"audiences", c.Audiences}, {"traits", c.Traits}} {
		for i, comp := range list.computations {
			place := fmt.Sprintf("%s[%d]", list.name, i)
			switch other, twice := keys[comp.Key]; {
			case comp.Key == "" && comp.Name == "":
				f.add(place, "it has no name; give it a name, a key, or both")
			case comp.Key == "":
				f.add(place+".name", "no key can be made of it; give a key of a-z, 0-9 and _")
			case twice:
				f.add(place, "the key %q is that of %s; audiences and traits share their keys", comp.Key, other)
			}
			keys[comp.Key] = place
			comp.faults(f, place, destinations)
		}
	}
}

func (comp *Computation) faults(f *faults, place string, destinations map[string]bool) {
	if comp.Query == "" {
		f.add(place, "query is missing")
	}
	if comp.Schedule != "" {
		if _, err := scheduler.Parse(comp.Schedule); err != nil {
			f.add(place+".schedule", "%w", err)
		}
	}
	if r := engine.Refresh(comp.Refresh); r != engine.RefreshSlots && r != engine.RefreshRealtime {
		f.add(place+".refresh", "is %q; use realtime, or leave it out", comp.Refresh)
	}
	if comp.BackfillDays < 0 || comp.BackfillDays > 36500 {
		f.add(place+".backfill_days", "is %d; use 1 to 36500, or leave it out for all history", comp.BackfillDays)
	}
	cleanup := func(place string, c engine.Cleanup) {
		if c != "" && !c.Valid() {
			f.add(place+".destination_cleanup", "is %q; use none, exit or unset", c)
		}
	}
	cleanup(place, comp.DestinationCleanup)
	for i, conn := range comp.Connections {
		place := fmt.Sprintf("%s.connections[%d]", place, i)
		if !destinations[conn.Destination] {
			f.add(place+".destination", "there is no destination %q", conn.Destination)
		}
		switch conn.Emit {
		case "", engine.EmitIdentify, engine.EmitTrack, engine.EmitBoth:
		default:
			f.add(place+".emit", "is %q; use identify, track or both", conn.Emit)
		}
		if !conn.IDStrategy.Valid() {
			f.add(place+".id_strategy", "is %q; use all, first or last", conn.IDStrategy)
		}
		cleanup(place, conn.DestinationCleanup)
	}
}

// each takes joined errors apart.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, each(one)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
