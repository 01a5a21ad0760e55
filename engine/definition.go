package engine

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"

	"muster/identity"
	"muster/query"
)

// DefaultSchedule recomputes windowed definitions hourly, at minute 0 UTC.
const DefaultSchedule = "0 * * * *"

// Definition is what an operator says a computation is to be.
type Definition struct {
	Key               string // empty: from Name
	Name              string // empty: Key
	Description       string
	Kind              query.Purpose
	Query             string
	Schedule          string // cron text for definitions with a window; empty: DefaultSchedule
	Refresh           Refresh
	IncludeAnonymous  bool
	IncludeHistorical bool
	BackfillDays      int
	Disabled          bool // nothing is computed and nothing told; values stay as they are
	// ReuseKey lets a new computation have a key that profiles or destinations may know
	// already: of a deleted computation, or of a plain trait. It says nothing of one that exists.
	ReuseKey    bool
	Connections []ConnectionDefinition
}

// ConnectionDefinition says to whom a computation is told, and how. Empty fields have
// the defaults of the field: identify, Audience Entered, Audience Exited, Trait Computed, all, none.
type ConnectionDefinition struct {
	Destination                              string
	Emit                                     Emit
	EnteredEvent, ExitedEvent, ComputedEvent string
	Strategy                                 identity.Strategy
	Cleanup                                  Cleanup
}

// DefinitionError is a definition that was refused.
type DefinitionError struct {
	Key         string
	Message     string
	Diagnostics query.Diagnostics // of the query, if that is what is wrong
}

// Error names the computation and what is wrong with it.
func (e *DefinitionError) Error() string {
	if len(e.Diagnostics) > 0 {
		return fmt.Sprintf("%s: %s", e.Key, strings.TrimSpace(e.Diagnostics.Render()))
	}
	return fmt.Sprintf("%s: %s", e.Key, e.Message)
}

// KeyFromName derives a computation's key: lower case, each white space an underscore,
// every other character outside a-z, 0-9 and _ left out. It is empty when nothing is left.
func KeyFromName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case unicode.IsSpace(r):
			b.WriteByte('_')
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_':
			b.WriteRune(r)
		}
	}
	return b.String()
}

// reservedKeys cannot be keys of computations: they mean something else on profiles,
// in our payloads, or in Mixpanel (docs/concepts.md, keys).
var reservedKeys = func() map[string]bool {
	keys := map[string]bool{}
	for key := range strings.FieldsSeq(`address age avatar birthday company created created_at createdat
		description email first_name firstname gender id last_name lastname name phone title username website
		audience_key audience_name trait_key length bucket token time distinct_id ip revenue`) {
		keys[key] = true
	}
	return keys
}()

// complete fills in defaults and checks what does not need the query.
func (def *Definition) complete() error {
	if def.Key == "" {
		def.Key = KeyFromName(def.Name)
	}
	def.Name = cmp.Or(def.Name, def.Key)
	fault := func(format string, args ...any) error {
		return &DefinitionError{Key: cmp.Or(def.Key, def.Name), Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case def.Key == "":
		return fault("no key can be made of the name %q: give one of a-z, 0-9 and _", def.Name)
	case def.Key != KeyFromName(def.Key) || len(def.Key) > 255:
		return fault("the key must have 1 to 255 characters of a-z, 0-9 and _")
	case reservedKeys[def.Key] || strings.HasPrefix(def.Key, "mp_"):
		return fault("the key %q means something else on profiles or in Mixpanel: choose another", def.Key)
	case len([]rune(def.Name)) > 255:
		return fault("the name is longer than 255 characters")
	case def.Kind != query.Audience && def.Kind != query.Trait:
		return fault("the kind must be audience or trait, not %q", def.Kind)
	case def.BackfillDays < 0 || def.BackfillDays > 36500:
		return fault("backfill_days must be 1 to 36500")
	}
	def.Schedule = cmp.Or(def.Schedule, DefaultSchedule)
	return nil
}

// connect finds the destinations of a definition's connections.
func (c *Catalog) connect(def Definition) ([]*Connection, error) {
	var connections []*Connection
	for _, cd := range def.Connections {
		conn := &Connection{
			Emit: cmp.Or(cd.Emit, EmitIdentify), Strategy: cmp.Or(cd.Strategy, identity.All),
			EnteredEvent: cmp.Or(cd.EnteredEvent, "Audience Entered"), ExitedEvent: cmp.Or(cd.ExitedEvent, "Audience Exited"),
			ComputedEvent: cmp.Or(cd.ComputedEvent, "Trait Computed"), Cleanup: cmp.Or(cd.Cleanup, CleanupNone),
		}
		for _, d := range c.Destinations {
			if d.Name == cd.Destination {
				conn.Destination = d
			}
		}
		switch {
		case conn.Destination == nil:
			return nil, &DefinitionError{Key: def.Key, Message: fmt.Sprintf("there is no destination %q", cd.Destination)}
		case conn.Emit != EmitIdentify && conn.Emit != EmitTrack && conn.Emit != EmitBoth:
			return nil, &DefinitionError{Key: def.Key, Message: fmt.Sprintf("emit must be identify, track or both, not %q", cd.Emit)}
		case !conn.Cleanup.Valid():
			return nil, &DefinitionError{Key: def.Key, Message: fmt.Sprintf("destination_cleanup must be none, exit or unset, not %q", cd.Cleanup)}
		case !conn.Strategy.Valid():
			return nil, &DefinitionError{Key: def.Key, Message: fmt.Sprintf("id_strategy must be all, first or last, not %q", cd.Strategy)}
		}
		connections = append(connections, conn)
	}
	return connections, nil
}
