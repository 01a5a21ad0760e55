package engine

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// States of leaves are stored together for all leaves over the same event, because an
// event changes many of them at once: a list of (leaf, state), each state with its
// length before it, so that those which nobody asks for are carried along unread.

// LeafState is a profile's state of a leaf.
type LeafState struct {
	State
	Leaf    *Leaf
	Changed bool

	dropped int64 // State.Dropped as read
}

// stateGroup is a profile's states of the leaves over one event.
type stateGroup struct {
	stored map[int64][]byte // by leaf, as read
	open   map[int64]*LeafState
}

// SetStates notes the stored states of the leaves over an event; nil: there are none.
// It must be called for an event before any of its states is changed.
func (p *Profile) SetStates(event string, stored []byte) error {
	g := &stateGroup{open: make(map[int64]*LeafState)}
	p.groups[event] = g
	if len(stored) == 0 {
		return nil
	}
	g.stored = make(map[int64][]byte, 4)
	r := stateReader{b: stored}
	for len(r.b) > 0 && r.err == nil {
		leaf := int64(r.uvarint())
		g.stored[leaf] = r.bytes()
	}
	if r.err != nil {
		return fmt.Errorf("profile %d, event %q: %w", p.ID, event, r.err)
	}
	return nil
}

// State is the profile's state of a leaf, that of no events if none is stored.
func (p *Profile) State(l *Leaf) *LeafState {
	g := p.groups[l.Event]
	if g == nil {
		if !p.born && !p.swept {
			p.fail(fmt.Errorf("profile %d: the states over %q are used, but were not loaded", p.ID, l.Event))
		}
		g = &stateGroup{open: make(map[int64]*LeafState)}
		p.groups[l.Event] = g
	}
	s := g.open[l.ID]
	if s != nil {
		return s
	}
	s = &LeafState{Leaf: l}
	g.open[l.ID] = s
	if stored, ok := g.stored[l.ID]; ok {
		var err error
		if s.State, err = parseState(stored, l.Leaf); err != nil {
			p.fail(fmt.Errorf("profile %d, leaf %d: %w", p.ID, l.ID, err))
		}
		s.dropped = s.Dropped
	}
	return s
}

// fail keeps the first fault; the profile is not saved then.
func (p *Profile) fail(err error) {
	if p.fault == nil {
		p.fault = err
	}
}

// takeStates merges the states of a profile that was merged into p.
func (p *Profile) takeStates(c *Catalog, loser *Profile) {
	for _, g := range loser.groups {
		for id := range g.stored {
			leaf := c.leaf(id)
			if leaf == nil {
				continue
			}
			s := p.State(leaf)
			s.Merge(leaf.Leaf, loser.State(leaf).State)
			s.Changed = true
		}
	}
	if loser.fault != nil {
		p.fail(loser.fault)
	}
}

// ChangedStates are the states to be written, by event, with whether some were stored
// before. Those of leaves that are out of use are left out.
func (p *Profile) ChangedStates(c *Catalog, yield func(event string, states []byte, stored bool)) error {
	for event, g := range p.groups {
		changed := false
		for _, s := range g.open {
			changed = changed || s.Changed
		}
		if !changed {
			continue
		}
		leaves := slices.Collect(maps.Keys(g.stored))
		for id := range g.open {
			if _, stored := g.stored[id]; !stored {
				leaves = append(leaves, id)
			}
		}
		slices.Sort(leaves)
		var b, state []byte
		for _, id := range leaves {
			if s := g.open[id]; s != nil {
				state = appendState(state[:0], s.Leaf.Leaf, &s.State)
			} else if c.leaf(id) == nil {
				continue
			} else {
				state = append(state[:0], g.stored[id]...)
			}
			b = binary.AppendUvarint(b, uint64(id))
			b = binary.AppendUvarint(b, uint64(len(state)))
			b = append(b, state...)
		}
		yield(event, b, g.stored != nil)
	}
	return p.fault
}

// Overflows are the leaves of which the profile has now more or fewer different values
// beyond MaxDistinct than before, with how often these occur.
func (p *Profile) Overflows(yield func(leafID, dropped int64) bool) {
	for _, g := range p.groups {
		for id, s := range g.open {
			if s.Changed && s.Dropped != s.dropped && !yield(id, s.Dropped) {
				return
			}
		}
	}
}
