package api

import (
	"fmt"

	"muster/engine"
	"muster/identity"
	"muster/scheduler"
)

// definition is what a body says of an audience or trait. Its fields are those of
// muster.yaml; what is absent stays as it is, or has the default of the field.
type definition struct {
	Name              *string       `json:"name"`
	Key               *string       `json:"key"`
	Description       *string       `json:"description"`
	Query             *string       `json:"query"`
	Schedule          *string       `json:"schedule"`
	Refresh           *string       `json:"refresh"`
	IncludeAnonymous  *bool         `json:"include_anonymous"`
	IncludeHistorical *bool         `json:"include_historical"`
	BackfillDays      *int          `json:"backfill_days"`
	Enabled           *bool         `json:"enabled"`
	ReuseKey          bool          `json:"reuse_key"`
	Connections       *[]connection `json:"connections"`
}

// connection is a destination that a computation is told to.
type connection struct {
	Destination   string            `json:"destination"`
	Emit          engine.Emit       `json:"emit,omitempty"`
	EnteredEvent  string            `json:"entered_event,omitempty"`
	ExitedEvent   string            `json:"exited_event,omitempty"`
	ComputedEvent string            `json:"computed_event,omitempty"`
	IDStrategy    identity.Strategy `json:"id_strategy,omitempty"`
	Cleanup       engine.Cleanup    `json:"destination_cleanup,omitempty"`
}

// put puts what the body says into a definition. Faults that the engine does not find are
// found here.
func (d *definition) put(def *engine.Definition) error {
	set(&def.Name, d.Name)
	set(&def.Key, d.Key)
	set(&def.Description, d.Description)
	set(&def.Query, d.Query)
	set(&def.Schedule, d.Schedule)
	set((*string)(&def.Refresh), d.Refresh)
	set(&def.IncludeAnonymous, d.IncludeAnonymous)
	set(&def.IncludeHistorical, d.IncludeHistorical)
	set(&def.BackfillDays, d.BackfillDays)
	if d.Enabled != nil {
		def.Disabled = !*d.Enabled
	}
	def.ReuseKey = d.ReuseKey
	if def.Schedule != "" {
		if _, err := scheduler.Parse(def.Schedule); err != nil {
			return unfit("schedule", err.Error())
		}
	}
	if def.Refresh != engine.RefreshSlots && def.Refresh != engine.RefreshRealtime {
		return unfit("refresh", fmt.Sprintf("is %q; use realtime, or leave it out", def.Refresh))
	}
	if d.Connections == nil {
		return nil
	}
	def.Connections = []engine.ConnectionDefinition{}
	seen := make(map[string]bool)
	for i, c := range *d.Connections {
		if seen[c.Destination] {
			return unfit(fmt.Sprintf("connections[%d].destination", i), fmt.Sprintf("the destination %q stands twice", c.Destination))
		}
		seen[c.Destination] = true
		def.Connections = append(def.Connections, engine.ConnectionDefinition{
			Destination: c.Destination, Emit: c.Emit, EnteredEvent: c.EnteredEvent, ExitedEvent: c.ExitedEvent,
			ComputedEvent: c.ComputedEvent, Strategy: c.IDStrategy, Cleanup: c.Cleanup,
		})
	}
	return nil
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// connectionsOf are the connections of a definition as a body has them.
func connectionsOf(def engine.Definition) []connection {
	list := []connection{}
	for _, c := range def.Connections {
		list = append(list, connection{
			Destination: c.Destination, Emit: c.Emit, EnteredEvent: c.EnteredEvent, ExitedEvent: c.ExitedEvent,
			ComputedEvent: c.ComputedEvent, IDStrategy: c.Strategy, Cleanup: c.Cleanup,
		})
	}
	return list
}
