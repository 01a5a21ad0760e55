package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/query"
)

// Action is what a plan does to a computation.
type Action string

// The actions.
const (
	ActionCreate Action = "create"
	ActionEdit   Action = "edit"
	ActionRemove Action = "remove"
	ActionKeep   Action = "keep"   // it stays as it is
	ActionFollow Action = "follow" // it stays as it is, and reads one that does not
)

// Desired is what is to be, instead of what is.
type Desired struct {
	Definitions []Definition
	// Destinations are all there are to be, by name, with their kind; nil: those there are.
	Destinations map[string]string
}

// Plan is what would change for everything to be as desired.
type Plan struct {
	Destinations []DestinationStep // those that come and go
	Steps        []Step            // in the order of the definitions; then what is removed
	// Looked is how much the effects are counted over; zero if nothing is recomputed.
	Looked Looked
}

// Step is what would change for one computation.
type Step struct {
	Action     Action
	Key        string
	Kind       query.Purpose
	Fields     []FieldChange // of an edit
	Recomputed bool          // all its values are computed anew, by a backfill
	Class      query.Class
	Because    []string // parts of the definition that make it scheduled
	Readers    []string // of one that is removed: they go on with its last values
	Cleanups   []string // of one that is removed: what destinations are told of that; none: nothing
	Warnings   query.Diagnostics
	Refused    *DefinitionError // nil: it can be done
	Effect     *Effect          // nil: not known, or nothing is recomputed
}

// DestinationStep is a destination that comes (ActionCreate) or goes (ActionRemove).
type DestinationStep struct {
	Action Action
	Name   string
}

// FieldChange is a field of a definition that an edit changes.
type FieldChange struct{ Field, Before, After string }

// Changes tells whether anything would change.
func (p *Plan) Changes() bool {
	return len(p.Destinations) > 0 || slices.ContainsFunc(p.Steps, func(s Step) bool {
		return s.Action == ActionCreate || s.Action == ActionEdit || s.Action == ActionRemove
	})
}

// Refused are the definitions that cannot be.
func (p *Plan) Refused() []*DefinitionError {
	var refused []*DefinitionError
	for _, s := range p.Steps {
		if s.Refused != nil {
			refused = append(refused, s.Refused)
		}
	}
	return refused
}

// Plan compares what is desired with what is. With count it says for everything that
// would be recomputed how many profiles would enter, leave, or get another value, by a dry
// run with the reference evaluator. What is computed and not desired would be removed.
func (i *Inspector) Plan(ctx context.Context, desired Desired, count *DryRun, now time.Time) (*Plan, error) {
	p := &Plan{}
	var changes []Definition
	err := i.kept.Look(ctx, func(r Records) error {
		c, err := r.Catalog(ctx)
		if err != nil {
			return err
		}
		p.Destinations = c.foresee(desired.Destinations)
		if c.plain, err = c.plainOf(ctx, r, desired.Definitions); err != nil {
			return err
		}
		overlay := newOverlay(c)
		for _, def := range desired.Definitions {
			s, recomputed, err := overlay.step(def, now)
			if err != nil {
				return err
			}
			p.Steps = append(p.Steps, s)
			if recomputed {
				changes = append(changes, def)
			}
		}
		p.Steps = append(p.Steps, c.removals(p.Steps)...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if count == nil || len(changes) == 0 {
		return p, nil
	}
	run := &dryRun{inspector: i, options: *count, now: now, changes: changes, destinations: desired.Destinations}
	for n, s := range p.Steps {
		if s.Action == ActionRemove || n < len(desired.Definitions) && desired.Definitions[n].Disabled {
			run.resting = append(run.resting, s.Key)
		}
	}
	if err := run.do(ctx); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p.Looked = run.looked
	for _, t := range run.targets {
		p.effect(t)
	}
	return p, nil
}

// foresee puts the destinations of the future into the catalog, and says which come and go.
func (c *Catalog) foresee(kinds map[string]string) []DestinationStep {
	if kinds == nil {
		return nil
	}
	var steps []DestinationStep
	var foreseen []*Destination
	for _, d := range c.Destinations {
		if _, stays := kinds[d.Name]; stays {
			foreseen = append(foreseen, d)
		} else {
			steps = append(steps, DestinationStep{ActionRemove, d.Name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		if !slices.ContainsFunc(foreseen, func(d *Destination) bool { return d.Name == name }) {
			foreseen = append(foreseen, &Destination{Name: name, Kind: kinds[name]})
			steps = append(steps, DestinationStep{ActionCreate, name})
		}
	}
	c.Destinations = foreseen
	return steps
}

// Definitions are what is computed, as Define takes it: of an edited computation the
// newest version.
func (i *Inspector) Definitions(ctx context.Context) ([]Definition, error) {
	var defs []Definition
	err := i.kept.Look(ctx, func(r Records) error {
		c, err := r.Catalog(ctx)
		if err != nil {
			return err
		}
		for _, comp := range c.Computations {
			defs = append(defs, comp.definition())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the definitions: %w", err)
	}
	return defs, nil
}

func (comp *Computation) definition() Definition {
	v := comp.newest()
	def := Definition{
		Key: comp.Key, Name: comp.Name, Description: comp.Description, Kind: comp.Kind, Query: v.Definition.Text(), Schedule: v.Schedule, Refresh: v.Refresh,
		IncludeAnonymous: comp.IncludeAnonymous, IncludeHistorical: comp.IncludeHistorical, BackfillDays: comp.BackfillDays,
		Disabled: comp.Status == Disabled,
	}
	for _, c := range comp.Connections {
		def.Connections = append(def.Connections, ConnectionDefinition{
			Destination: c.Destination.Name, Emit: c.Emit, EnteredEvent: c.EnteredEvent, ExitedEvent: c.ExitedEvent,
			ComputedEvent: c.ComputedEvent, Strategy: c.Strategy, Cleanup: c.Cleanup,
		})
	}
	return def
}

// effect adds what was counted to the plan.
func (p *Plan) effect(t *target) {
	for n := range p.Steps {
		s := &p.Steps[n]
		if s.Key != t.computation.Key {
			continue
		}
		if s.Action == ActionRemove || !s.Recomputed && !t.effect.moves() {
			return
		}
		if s.Effect = &t.effect; s.Action == ActionKeep {
			s.Action = ActionFollow
		}
		return
	}
}

// moves tells whether any value would be another.
func (e *Effect) moves() bool { return e.Entered+e.Exited+e.Changed > 0 }

// removals are the steps for what is computed and in none of the steps.
func (c *Catalog) removals(steps []Step) []Step {
	var removed []Step
	for _, comp := range c.Computations {
		if slices.ContainsFunc(steps, func(s Step) bool { return s.Key == comp.Key }) {
			continue
		}
		s := Step{Action: ActionRemove, Key: comp.Key, Kind: comp.Kind, Readers: c.Readers(comp.Key)}
		for _, conn := range comp.Connections {
			if conn.Cleanup != CleanupNone {
				s.Cleanups = append(s.Cleanups, fmt.Sprintf("%s: %s", conn.Destination.Name, conn.Cleanup))
			}
		}
		removed = append(removed, s)
	}
	return removed
}

// Readers are the keys of the computations that read one.
func (c *Catalog) Readers(key string) []string {
	var readers []string
	for _, comp := range c.Computations {
		if slices.Contains(c.Reads(comp.Key), key) {
			readers = append(readers, comp.Key)
		}
	}
	slices.Sort(readers)
	return readers
}

// overlay is a catalog with definitions on top that are not saved.
type overlay struct {
	*Catalog
	reads map[string][]string // by key, of those
}

func newOverlay(c *Catalog) *overlay { return &overlay{Catalog: c, reads: make(map[string][]string)} }

// propose is Catalog.propose where earlier proposals count as made.
func (o *overlay) propose(def Definition, now time.Time) (*proposal, error) {
	p, err := o.Catalog.propose(def, func(key string) []string { return append(o.Reads(key), o.reads[key]...) }, now)
	if err == nil {
		o.reads[p.computation.Key] = p.definition().Traits
	}
	return p, err
}

// step is what a definition would change, and whether its values are computed anew.
func (o *overlay) step(def Definition, now time.Time) (Step, bool, error) {
	p, err := o.propose(def, now)
	if bad := (*DefinitionError)(nil); errors.As(err, &bad) {
		s := Step{Action: ActionCreate, Key: bad.Key, Kind: def.Kind, Refused: bad, Warnings: bad.Diagnostics}
		if o.byKey[bad.Key] != nil {
			s.Action = ActionEdit
		}
		return s, false, nil
	}
	if err != nil {
		return Step{}, false, err
	}
	d := p.definition()
	s := Step{
		Action: ActionCreate, Key: p.computation.Key, Kind: p.computation.Kind, Recomputed: p.version != nil && !def.Disabled,
		Class: d.Class, Because: d.ClassBecause, Warnings: p.warnings,
	}
	if p.old != nil {
		s.Action = ActionKeep
		if s.Fields = p.fields(); len(s.Fields) > 0 {
			s.Action = ActionEdit
		}
	}
	return s, s.Recomputed, nil
}

// fields are those that an edit changes.
func (p *proposal) fields() []FieldChange {
	var fields []FieldChange
	compare := func(field, before, after string) {
		if before != after {
			fields = append(fields, FieldChange{field, before, after})
		}
	}
	was, is, serves := p.old, p.computation, p.old.newest()
	compare("name", was.Name, is.Name)
	compare("description", was.Description, is.Description)
	compare("query", serves.Definition.Text(), p.definition().Text())
	if p.version != nil {
		compare("schedule", serves.Schedule, p.version.Schedule)
		compare("refresh", string(serves.Refresh), string(p.version.Refresh))
	}
	compare("include_historical", strconv.FormatBool(was.IncludeHistorical), strconv.FormatBool(is.IncludeHistorical))
	compare("backfill_days", strconv.Itoa(was.BackfillDays), strconv.Itoa(is.BackfillDays))
	compare("enabled", strconv.FormatBool(was.Status != Disabled), strconv.FormatBool(is.Status != Disabled))
	compare("connections", connectionsText(was.Kind, was.Connections), connectionsText(is.Kind, p.connections))
	return fields
}

// connectionsText is what distinguishes connections, whatever their order.
func connectionsText(kind query.Purpose, connections []*Connection) string {
	var texts []string
	for _, c := range connections {
		text := fmt.Sprintf("%s: %s, ids %s", c.Destination.Name, c.Emit, c.Strategy)
		if c.Emit != EmitIdentify {
			if kind == query.Audience {
				text += fmt.Sprintf(", events %q and %q", c.EnteredEvent, c.ExitedEvent)
			} else {
				text += fmt.Sprintf(", event %q", c.ComputedEvent)
			}
		}
		if c.Cleanup != CleanupNone {
			text += fmt.Sprintf(", cleanup %s", c.Cleanup)
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(texts, "; ")
}
