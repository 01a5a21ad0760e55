package config

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/engine"
	"muster/identity"
	"muster/mixpanel"
	"muster/store"
)

// Part is what a Change is about.
type Part string

// The parts of a configuration besides audiences and traits.
const (
	PartSource      Part = "source"
	PartIdentity    Part = "identity rules"
	PartDestination Part = "destination"
)

// Change is what a configuration changes of one source or destination, or of the identity rules.
type Change struct {
	Part   Part          `json:"-"`
	Action engine.Action `json:"action"` // create, edit or remove
	Name   string        `json:"name,omitempty"`
	Fields []FieldChange `json:"fields,omitempty"`
	// Unknown says that the database did not know what it was before.
	Unknown bool `json:"unknown,omitempty"`
	// Notes say what the change means, and what is left to do.
	Notes []string `json:"notes,omitempty"`
}

// FieldChange is a field that changes. What is in a secret one is not shown.
type FieldChange struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Secret bool   `json:"secret,omitempty"`
}

// Changes compares what a configuration says (see [Config.Stored]) with what the database
// keeps: sources, then the identity rules, then destinations, each by name. rewrites tells
// whether something is to be stored that changes nothing that can be seen, such as the
// name of the variable that a secret comes from.
func Changes(k *store.Kept, wanted store.Configuration) (list []Change, rewrites bool, err error) {
	if wanted.Sources != nil {
		list = sourceChanges(k.Sources, wanted.Sources)
	}
	if wanted.Identity != nil {
		fields, err := identityChanges(k.Identity, wanted.Identity)
		if err != nil {
			return nil, false, err
		}
		if len(fields) > 0 {
			list = append(list, Change{Part: PartIdentity, Action: engine.ActionEdit, Fields: fields, Notes: []string{
				"it holds for calls from now on: profiles that are joined stay so, and keep the ids that they have",
			}})
		} else {
			rewrites = !same(k.Identity, wanted.Identity)
		}
	}
	if wanted.Destinations == nil {
		return list, rewrites, nil
	}
	names := slices.Sorted(maps.Keys(wanted.Destinations))
	for name := range k.Destinations {
		if _, stays := wanted.Destinations[name]; !stays {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c, quiet, err := destinationChange(name, k.Destinations, wanted.Destinations)
		if err != nil {
			return nil, false, err
		}
		if c.Action != engine.ActionKeep {
			list = append(list, c)
		}
		rewrites = rewrites || quiet
	}
	return list, rewrites, nil
}

func sourceChanges(kept []store.KeptSource, wanted []store.ConfiguredSource) []Change {
	byName := make(map[string]store.KeptSource)
	for _, k := range kept {
		byName[k.Name] = k
	}
	var list []Change
	named := make(map[string]bool)
	for _, w := range wanted {
		named[w.Name] = true
		k, there := byName[w.Name]
		c := Change{Part: PartSource, Action: engine.ActionEdit, Name: w.Name}
		if !there {
			c.Action = engine.ActionCreate
			if w.Rate != 0 {
				c.Fields = append(c.Fields, FieldChange{Field: "rate", After: rateText(w.Rate)})
			}
			if w.Key == "" {
				c.Notes = append(c.Notes, "it has no write key, so that it takes calls of files only: muster source rotate "+w.Name+" gives it one")
			}
			list = append(list, c)
			continue
		}
		if w.Key != "" && !k.Holds(w.Key) {
			c.Fields = append(c.Fields, FieldChange{Field: "write_key", Secret: true})
			if k.HasKey() {
				c.Notes = append(c.Notes, "its old write key works no more")
			}
		}
		if w.Key != "" && k.Origin == store.FromCommand {
			c.Fields = append(c.Fields, FieldChange{Field: "origin", Before: string(store.FromCommand), After: string(store.FromConfig)})
			c.Notes = append(c.Notes, "its write key is kept in the configuration from now on")
		}
		// The rate that a command has set may have been written down here.
		if before := configuredRate(k); before != w.Rate && k.Effective() != w.Rate {
			c.Fields = append(c.Fields, FieldChange{Field: "rate", Before: rateText(before), After: rateText(w.Rate)})
			if k.Rate != nil {
				c.Notes = append(c.Notes, fmt.Sprintf("the rate of %s that was set by muster source limit goes before it", rateText(*k.Rate)))
			}
		}
		if len(c.Fields) > 0 {
			list = append(list, c)
		}
	}
	for _, k := range kept {
		switch {
		case named[k.Name]:
		case k.Origin == store.FromConfig && k.HasKey():
			list = append(list, Change{Part: PartSource, Action: engine.ActionRemove, Name: k.Name, Notes: []string{
				"its write key works no more; the source stays, with its calls and what is computed from them",
			}})
		case k.ConfiguredRate != nil:
			list = append(list, Change{Part: PartSource, Action: engine.ActionEdit, Name: k.Name, Fields: []FieldChange{
				{Field: "rate", Before: rateText(*k.ConfiguredRate), After: rateText(0)},
			}})
		}
	}
	slices.SortStableFunc(list, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func configuredRate(k store.KeptSource) float64 {
	if k.ConfiguredRate == nil {
		return 0
	}
	return *k.ConfiguredRate
}

func rateText(rate float64) string {
	if rate == 0 {
		return "the default"
	}
	return strconv.FormatFloat(rate, 'f', -1, 64) + "/s"
}

func identityChanges(before, after jsontext.Value) ([]FieldChange, error) {
	was, err := rules(before)
	if err != nil {
		return nil, err
	}
	is, err := rules(after)
	if err != nil {
		return nil, err
	}
	// A type that is not named has the limit of all others.
	for _, pair := range [][2]map[string]string{{was, is}, {is, was}} {
		for field := range pair[0] {
			if _, named := pair[1][field]; !named && strings.HasPrefix(field, "limits.") {
				pair[1][field] = pair[1]["limits."+identity.AnyType]
			}
		}
	}
	return differences(was, is), nil
}

// rules are identity rules in words, by field, with the defaults spelled out.
func rules(text jsontext.Value) (map[string]string, error) {
	s, err := KeptIdentity(&store.Kept{Identity: text})
	if err != nil {
		return nil, err
	}
	usual := identity.DefaultSettings()
	limits, blocked := usual.Limits, maps.Clone(s.Blocked)
	maps.Copy(limits, s.Limits)
	if _, own := blocked[identity.AnyType]; !own {
		if blocked == nil {
			blocked = make(map[string][]string)
		}
		blocked[identity.AnyType] = usual.Blocked[identity.AnyType]
	}
	priority := s.Priority
	if len(priority) == 0 {
		priority = usual.Priority
	}
	words := map[string]string{
		"priority": strings.Join(priority, ", "), "custom_keys": strings.Join(s.CustomKeys, ", "), "email_from_properties": strconv.FormatBool(s.EmailFromProperties),
		"max_merges": strconv.Itoa(cmp.Or(s.MaxMerges, usual.MaxMerges)), "max_ids": strconv.Itoa(cmp.Or(s.MaxIDs, usual.MaxIDs)),
	}
	for typ, limit := range limits {
		words["limits."+typ] = limit.String()
	}
	for typ, values := range blocked {
		words["blocked."+typ] = strings.Join(values, ", ")
	}
	return words, nil
}

// differences are the fields that two sets of words do not have in common.
func differences(before, after map[string]string) []FieldChange {
	all := make(map[string]string, len(before)+len(after))
	maps.Copy(all, before)
	maps.Copy(all, after)
	var list []FieldChange
	for _, field := range slices.Sorted(maps.Keys(all)) {
		if before[field] != after[field] {
			list = append(list, FieldChange{Field: field, Before: before[field], After: after[field]})
		}
	}
	return list
}

// destinationChange says whether what is stored is another, though nothing changes.
func destinationChange(name string, before, after map[string]store.ConfiguredDestination) (c Change, quiet bool, err error) {
	c = Change{Part: PartDestination, Name: name}
	was, there := before[name]
	is, stays := after[name]
	if !stays {
		c.Action = engine.ActionRemove
		c.Notes = []string{"it is told nothing any more, neither what is queued for it"}
		return c, false, nil
	}
	s, err := readStored(is.Settings)
	if err != nil {
		return c, false, fmt.Errorf("read the settings of destination %s: %w", name, err)
	}
	if !there {
		c.Action, c.Notes = engine.ActionCreate, s.whereSecretsAre(nil)
		return c, false, nil
	}
	if was.Settings == nil {
		c.Action, c.Unknown, c.Fields = engine.ActionEdit, true, differences(nil, s.unusual())
		c.Notes = append([]string{"what it is set to was not known here, so that whether anything changes is not known either; " +
			"shown is what differs from the defaults, but for secrets"}, s.whereSecretsAre(nil)...)
		return c, false, nil
	}
	old, err := readStored(was.Settings)
	if err != nil {
		return c, false, fmt.Errorf("read the settings of destination %s: %w", name, err)
	}
	c.Fields = differences(old.words(), s.words())
	for _, setting := range slices.Sorted(maps.Keys(secretSettings)) {
		if old.Secrets[setting].Hash != s.Secrets[setting].Hash {
			c.Fields = append(c.Fields, FieldChange{Field: "settings." + setting, Secret: true})
		}
	}
	c.Action = engine.ActionKeep
	if len(c.Fields) > 0 {
		c.Action, c.Notes = engine.ActionEdit, s.whereSecretsAre(old.Secrets)
		return c, false, nil
	}
	return c, was.Aliasing != is.Aliasing || !same(was.Settings, is.Settings), nil
}

// words are the fields of a destination, without secrets, as they are shown.
func (s stored) words() map[string]string {
	words := make(map[string]string)
	for setting, value := range s.Settings {
		text := string(value)
		var list []string
		var one string
		switch {
		case json.Unmarshal(value, &one) == nil:
			text = one
		case json.Unmarshal(value, &list) == nil:
			text = strings.Join(list, ", ")
		}
		words["settings."+setting] = text
	}
	if len(s.Sources) > 0 {
		words["sources"] = strings.Join(s.Sources, ", ")
	}
	if len(s.DeviceSources) > 0 {
		words["device_sources"] = strings.Join(s.DeviceSources, ", ")
	}
	if s.Delivery != nil {
		words["delivery.give_up_after"] = s.Delivery.GiveUpAfter
		if s.Delivery.GiveUpAttempts != 0 {
			words["delivery.give_up_attempts"] = strconv.Itoa(s.Delivery.GiveUpAttempts)
		}
	}
	return words
}

// usualSettings are the defaults of settings that may be written out, as they are shown. All
// others are left out of what is stored when they are the default.
var usualSettings = map[string]string{
	"people": "true", "set_all_traits_by_default": "true", "cross_subdomain_cookie": "true", "persistence": "cookie", "strict": "true",
	"event_endpoint": mixpanel.EventsToImport, "id_merge": mixpanel.MergeLegacy, "insert_id_namespace": mixpanel.DefaultInsertIDNamespace,
	"alias_settle": "1s",
}

// unusual are the words that differ from the defaults.
func (s stored) unusual() map[string]string {
	words := s.words()
	for setting, usual := range usualSettings {
		if field := "settings." + setting; words[field] == usual {
			delete(words, field)
		}
	}
	_, european := words["settings.enable_european_union_endpoint"]
	if words["settings.region"] == mixpanel.RegionUS && !european {
		delete(words, "settings.region")
	}
	return words
}

// whereSecretsAre says what a muster serve that runs has to be given for secrets that are new.
func (s stored) whereSecretsAre(before map[string]storedSecret) []string {
	var notes []string
	for _, setting := range slices.Sorted(maps.Keys(s.Secrets)) {
		secret, old := s.Secrets[setting], before[setting]
		switch {
		case secret.Hash == old.Hash:
		case secret.Variable == "":
			notes = append(notes, setting+" stands in clear in the file and is not stored: give it to muster serve in its own configuration and restart it, or write it as ${NAME}")
		case old.Hash != "":
			notes = append(notes, "muster serve reads "+setting+" from "+secret.Variable+" when it starts: restart it with the new one")
		default:
			notes = append(notes, "muster serve takes "+setting+" from "+secret.Variable+" of its own environment; start it again if it was started without")
		}
	}
	return notes
}

// same tells whether two texts of JSON mean the same.
func same(a, b jsontext.Value) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	a, b = a.Clone(), b.Clone()
	return a.Canonicalize() == nil && b.Canonicalize() == nil && bytes.Equal(a, b)
}
