package engine

import (
	"cmp"
	"context"
	"slices"

	"muster/query"
)

// maxCounted is for how many leaves the database counts at once. Each is a condition on
// every event read; with more it is cheaper to read the events.
const maxCounted = 4

// counted are the leaves to build if they all merely count events by what the key of the
// event log shows: PostgreSQL does that without a look at the events themselves, and
// answers with one row for a profile instead of one for each event. Else it is empty.
func (w *walk) counted() []*Leaf {
	var leaves []*Leaf
	for _, over := range w.building {
		for _, l := range over {
			if l.Reducer.Op != query.OpCount || !l.Everything() {
				return nil
			}
			leaves = append(leaves, l)
		}
	}
	if len(leaves) > maxCounted {
		return nil
	}
	slices.SortFunc(leaves, func(a, b *Leaf) int { return cmp.Compare(a.ID, b.ID) }) // one statement for all chunks
	return leaves
}

// count adds the chunk's events to the states of leaves that merely count.
func (w *walk) count(ctx context.Context, stored Reader, leaves []*Leaf) error {
	countings := make([]Counting, len(leaves))
	for i, l := range leaves {
		c := Counting{Name: l.Event, From: l.Since, After: l.SinceSeq, UpTo: l.Cut}
		if l.Window != nil {
			if far := l.AsOf.Add(-l.Window.Far); far.After(c.From) {
				c.From = far
			}
			c.To = l.AsOf.Add(-l.Window.Near)
		}
		countings[i] = c
	}
	return stored.Count(ctx, w.stretch, countings, func(id, all int64, n []int64) {
		p := w.byID[id]
		if p == nil {
			return // younger than the walk
		}
		w.eventsRead += all
		for i, l := range leaves {
			if n[i] > 0 {
				s := p.State(l)
				s.N += n[i]
				s.Changed = true
			}
		}
	})
}
