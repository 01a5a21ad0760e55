package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Catalog is all that is defined, at one moment. It is not changed after it was
// built; a change of the definitions makes a new one with a higher Version.
type Catalog struct {
	Version      int64
	Computations []*Computation // those that are computed; readers come after what they read
	Destinations []*Destination
	Backfill     *Backfill    // the running one, or nil; its progress is as of the catalog
	Retellings   []*Retelling // those that are under way, without their progress
	Kept         Kept         // how far back the log of events goes

	byID    map[int64]*Computation
	byKey   map[string]*Computation
	order   map[*Computation]int
	events  map[string]*eventUse // by event name
	traits  map[string]*traitUse // by trait key, computed ones included
	leaves  map[int64]*leafUse   // by leaf: who reads it
	onBirth []*Computation       // may hold for a profile that nothing is known of
	plans   map[*Computation]*plan
	retired map[string]bool // keys of deleted computations
	plain   map[string]bool // keys of plain traits, as far as somebody has looked
}

// eventUse is what is done with events of a name when they are ingested. Foldable
// leaves with a window take theirs at the slot, by their arrival.
type eventUse struct {
	fold   []*Leaf // the event is folded in, if it matches
	replay []*Leaf // the reference evaluator is asked again
	prompt []prompt
}

// prompt is a leaf with a window whose state moves at slots, and a computation that reads
// it and does not wait for them.
type prompt struct {
	leaf   *Leaf
	reader *Computation
}

// traitUse is what a change of a trait can change.
type traitUse struct {
	replay  []*Leaf // leaves that read it inside where
	readers []*Computation
}

// leafUse is a leaf in use and the computations that read it.
type leafUse struct {
	leaf    *Leaf
	readers []*Computation
}

// plan is what has to be known of a profile to evaluate a computation and, should
// its value change, all that follows from it in the same transaction.
type plan struct {
	events       []string // over which the leaves are
	computations []*Computation
	connections  []*Connection
	traits       []string
	names        []string // events to be read for leaves that are replayed
	prompt       []string // and when calls come, for versions that do not wait for their slots
	alone        bool     // no other computation has to be known
}

// NewCatalog orders the computations and prepares what ingestion looks up.
// It fails when computations read each other in a circle.
func NewCatalog(version int64, computations []*Computation, destinations []*Destination, running *Backfill) (*Catalog, error) {
	c := &Catalog{
		Version: version, Destinations: destinations, Backfill: running,
		byID:   make(map[int64]*Computation, len(computations)),
		byKey:  make(map[string]*Computation, len(computations)),
		order:  make(map[*Computation]int, len(computations)),
		events: make(map[string]*eventUse),
		traits: make(map[string]*traitUse),
		leaves: make(map[int64]*leafUse),
		plans:  make(map[*Computation]*plan, len(computations)),
	}
	for _, comp := range computations {
		c.byID[comp.ID] = comp
		c.byKey[comp.Key] = comp
	}
	var err error
	if c.Computations, err = sortByReading(computations, c.byKey); err != nil {
		return nil, err
	}
	for i, comp := range c.Computations {
		c.order[comp] = i
		for _, v := range c.versions(comp) {
			c.index(v)
		}
	}
	for _, comp := range c.Computations {
		c.plans[comp] = c.plan(comp)
	}
	return c, nil
}

// Recall adds what is over, or ends: the keys of deleted computations, and the walks that
// tell connections again or take back what they were told.
func (c *Catalog) Recall(deleted []string, retellings []*Retelling) {
	c.retired = make(map[string]bool, len(deleted))
	for _, key := range deleted {
		c.retired[key] = true
	}
	c.Retellings = retellings
}

// Computation is the one with this number, or nil.
func (c *Catalog) Computation(id int64) *Computation { return c.byID[id] }

// ByKey is the computation with this key, or nil.
func (c *Catalog) ByKey(key string) *Computation { return c.byKey[key] }

// versions are the versions of a computation that decide for some profile: the one
// that serves, and the one that the running backfill brings in.
func (c *Catalog) versions(comp *Computation) []*Version {
	var vs []*Version
	if comp.Current != nil && !comp.Current.Rests() {
		vs = append(vs, comp.Current)
	}
	if comp.Next != nil && c.Backfill != nil && comp.Next.BackfillID == c.Backfill.ID {
		vs = append(vs, comp.Next)
	}
	return vs
}

// versionFor is the version that decides for the profile, or nil if none does yet, or the
// computation is disabled.
func (c *Catalog) versionFor(comp *Computation, p *Profile, running *Backfill) *Version {
	if v := c.lastVersionFor(comp, p, running); v != nil && !v.Rests() {
		return v
	}
	return nil
}

// lastVersionFor is the version that decided for the profile last, or nil if none ever
// did: then its key means a plain trait.
func (c *Catalog) lastVersionFor(comp *Computation, p *Profile, running *Backfill) *Version {
	if comp.Next != nil && running != nil && comp.Next.BackfillID == running.ID && running.Covers(p) {
		return comp.Next
	}
	return comp.Current
}

// leaf is the one with this number, or nil if no definition uses it.
func (c *Catalog) leaf(id int64) *Leaf {
	if use := c.leaves[id]; use != nil {
		return use.leaf
	}
	return nil
}

// index notes what events and traits mean for a version.
func (c *Catalog) index(v *Version) {
	comp := v.Computation
	for _, leaf := range v.Leaves {
		use := c.leaves[leaf.ID]
		if use == nil {
			use = &leafUse{leaf: leaf}
			c.leaves[leaf.ID] = use
		}
		use.readers = appendNew(use.readers, comp)
		for _, name := range leaf.Events {
			use := c.events[name]
			if use == nil {
				use = &eventUse{}
				c.events[name] = use
			}
			switch {
			case !leaf.Foldable:
				use.replay = appendNew(use.replay, leaf)
			case leaf.Live():
				use.fold = appendNew(use.fold, leaf)
			case v.Prompt():
				use.prompt = appendNew(use.prompt, prompt{leaf, comp})
			}
		}
		for _, key := range leaf.Traits {
			use := c.trait(key)
			use.replay = appendNew(use.replay, leaf)
		}
	}
	for _, key := range v.Definition.Traits {
		use := c.trait(key)
		use.readers = appendNew(use.readers, comp)
	}
	if v.Definition.TrueOnEmpty {
		c.onBirth = appendNew(c.onBirth, comp)
	}
}

func (c *Catalog) trait(key string) *traitUse {
	use := c.traits[key]
	if use == nil {
		use = &traitUse{}
		c.traits[key] = use
	}
	return use
}

// plan walks from a computation to those that read it, as far as they are evaluated in
// one transaction with it, and collects what they need.
func (c *Catalog) plan(start *Computation) *plan {
	p := &plan{}
	reached := []*Computation{start}
	for i := 0; i < len(reached); i++ {
		comp := reached[i]
		if use := c.traits[comp.Key]; use != nil {
			for _, reader := range use.readers {
				reached = appendNew(reached, reader)
			}
		}
		p.computations = appendNew(p.computations, comp)
		p.connections = append(p.connections, comp.Connections...)
		for _, v := range c.versions(comp) {
			for _, leaf := range v.Leaves {
				p.events = appendNew(p.events, leaf.Event)
				for _, name := range leaf.Events {
					if !leaf.Foldable {
						p.names = appendNew(p.names, name)
					}
					if v.Refresh == RefreshRealtime && !leaf.Live() {
						p.prompt = appendNew(p.prompt, name)
					}
				}
			}
			for _, key := range v.Definition.Traits {
				// The trait too, because a computation serves no profile before its backfill.
				p.traits = appendNew(p.traits, key)
				if read := c.byKey[key]; read != nil {
					p.computations = appendNew(p.computations, read)
				}
			}
		}
	}
	p.alone = len(p.computations) == 1
	return p
}

// Waits tells whether a backfill runs, or a version waits for one.
func (c *Catalog) Waits() bool {
	return c.Backfill != nil || slices.ContainsFunc(c.Computations, (*Computation).waits)
}

// Group is the scheduled versions that are computed at the slots of a schedule.
func (c *Catalog) Group(schedule string) []*Version {
	var vs []*Version
	for _, comp := range c.Computations {
		if comp.Current != nil && !comp.Current.Rests() && comp.Current.Schedule == schedule {
			vs = append(vs, comp.Current)
		}
	}
	return vs
}

// Reads answers for query.Compile which keys another computation reads, for the
// detection of circles. During an edit it reads what both versions read.
func (c *Catalog) Reads(key string) []string {
	comp := c.byKey[key]
	if comp == nil {
		return nil
	}
	var keys []string
	for _, v := range []*Version{comp.Current, comp.Next} {
		if v != nil {
			keys = append(keys, v.Definition.Traits...)
		}
	}
	return keys
}

// newest is the version that an operator sees as the definition.
func (comp *Computation) newest() *Version {
	if comp.Next != nil {
		return comp.Next
	}
	return comp.Current
}

// sortByReading puts every computation after those whose keys it reads, otherwise
// in the order of their numbers.
func sortByReading(computations []*Computation, byKey map[string]*Computation) ([]*Computation, error) {
	const open, done = 1, 2
	mark := make(map[*Computation]int, len(computations))
	sorted := make([]*Computation, 0, len(computations))
	var path []string
	var visit func(*Computation) error
	visit = func(comp *Computation) error {
		switch mark[comp] {
		case done:
			return nil
		case open:
			return fmt.Errorf("computations read each other in a circle: %s", strings.Join(append(path, comp.Key), " -> "))
		}
		mark[comp] = open
		path = append(path, comp.Key)
		for _, v := range []*Version{comp.Current, comp.Next} {
			if v == nil {
				continue
			}
			for _, key := range v.Definition.Traits {
				if read := byKey[key]; read != nil && read != comp {
					if err := visit(read); err != nil {
						return err
					}
				}
			}
		}
		path = path[:len(path)-1]
		mark[comp] = done
		sorted = append(sorted, comp)
		return nil
	}
	ordered := slices.SortedFunc(slices.Values(computations), func(a, b *Computation) int { return cmp.Compare(a.ID, b.ID) })
	for _, comp := range ordered {
		if err := visit(comp); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}

func appendNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}
