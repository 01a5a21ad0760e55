package engine

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
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

// stateGroup is a profile's states of the leaves over one event. Most profiles have few:
// lists in order are quicker than maps, above all to walk through.
type stateGroup struct {
	event  string
	row    bool          // there are states in the database
	stored []storedState // as read, ascending by leaf
	open   []*LeafState  // used in this transaction, ascending by leaf
}

type storedState struct {
	leaf  int64
	bytes []byte
}

func (g *stateGroup) find(leaf int64) (int, bool) {
	return slices.BinarySearchFunc(g.stored, leaf, func(s storedState, leaf int64) int { return cmp.Compare(s.leaf, leaf) })
}

func (g *stateGroup) opened(leaf int64) (int, bool) {
	return slices.BinarySearchFunc(g.open, leaf, func(s *LeafState, leaf int64) int { return cmp.Compare(s.Leaf.ID, leaf) })
}

// group is the profile's states over an event; nil: they were not loaded.
func (p *Profile) group(event string) *stateGroup {
	if i, ok := p.groupAt(event); ok {
		return p.groups[i]
	}
	return nil
}

func (p *Profile) groupAt(event string) (int, bool) {
	return slices.BinarySearchFunc(p.groups, event, func(g *stateGroup, event string) int { return cmp.Compare(g.event, event) })
}

// newGroup replaces the profile's states over an event by none.
func (p *Profile) newGroup(event string) *stateGroup {
	g := &stateGroup{event: event}
	if i, ok := p.groupAt(event); ok {
		p.groups[i] = g
	} else {
		p.groups = slices.Insert(p.groups, i, g)
	}
	return g
}

// SetStates notes the stored states of the leaves over an event; nil: there are none.
// It must be called for an event before any of its states is changed.
func (p *Profile) SetStates(event string, stored []byte) error {
	g := p.newGroup(event)
	if len(stored) == 0 {
		return nil
	}
	g.row = true
	r := stateReader{b: stored}
	for len(r.b) > 0 && r.err == nil {
		leaf := int64(r.uvarint())
		g.stored = append(g.stored, storedState{leaf, r.bytes()})
	}
	if r.err != nil {
		return fmt.Errorf("profile %d, event %q: %w", p.ID, event, r.err)
	}
	return nil
}

// State is the profile's state of a leaf, that of no events if none is stored.
func (p *Profile) State(l *Leaf) *LeafState {
	g := p.group(l.Event)
	if g == nil {
		if !p.born && !p.swept {
			p.fail(fmt.Errorf("profile %d: the states over %q are used, but were not loaded", p.ID, l.Event))
		}
		g = p.newGroup(l.Event)
	}
	i, ok := g.opened(l.ID)
	if ok {
		return g.open[i]
	}
	s := &LeafState{Leaf: l}
	g.open = slices.Insert(g.open, i, s)
	if n, ok := g.find(l.ID); ok {
		var err error
		if s.State, err = parseState(g.stored[n].bytes, l.Leaf); err != nil {
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
		for _, stored := range g.stored {
			leaf := c.leaf(stored.leaf)
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
	for _, g := range p.groups {
		if !slices.ContainsFunc(g.open, func(s *LeafState) bool { return s.Changed }) {
			continue
		}
		var b, state []byte
		put := func(leaf int64, state []byte) {
			b = binary.AppendUvarint(b, uint64(leaf))
			b = binary.AppendUvarint(b, uint64(len(state)))
			b = append(b, state...)
		}
		stored := g.stored
		carry := func(before int64) { // those that nobody used, up to a leaf
			for ; len(stored) > 0 && stored[0].leaf < before; stored = stored[1:] {
				if c.leaf(stored[0].leaf) != nil {
					put(stored[0].leaf, stored[0].bytes)
				}
			}
		}
		for _, s := range g.open {
			carry(s.Leaf.ID)
			if len(stored) > 0 && stored[0].leaf == s.Leaf.ID {
				stored = stored[1:]
			}
			state = appendState(state[:0], s.Leaf.Leaf, &s.State)
			put(s.Leaf.ID, state)
		}
		carry(math.MaxInt64)
		yield(g.event, b, g.row)
	}
	return p.fault
}

// Overflows are the leaves of which the profile has now more or fewer different values
// beyond MaxDistinct than before, with how often these occur.
func (p *Profile) Overflows(yield func(leafID, dropped int64) bool) {
	for _, g := range p.groups {
		for _, s := range g.open {
			if s.Changed && s.Dropped != s.dropped && !yield(s.Leaf.ID, s.Dropped) {
				return
			}
		}
	}
}
