package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"muster/query"
)

// Kept says how far back the log of events goes, where old events are dropped.
type Kept struct {
	// Since: events stamped before it were dropped, but for those that have come since; zero:
	// none ever was.
	Since time.Time
	// Cut is the place in the order of arrival at which events were dropped last.
	Cut int64
}

// Holds tells whether all events that count in the states of a leaf are in the log still.
// States of leaves without a window remember what was dropped since they were built; the
// events of windows are never dropped.
func (k Kept) Holds(l *Leaf) bool {
	return k.Since.IsZero() || !l.Live() || l.Cut >= k.Cut || l.SinceSeq >= k.Cut || !l.Since.IsZero() && !l.Since.Before(k.Since)
}

// remembering are the leaves of a version that count events that are no longer in the log.
func (c *Catalog) remembering(v *Version) []*Leaf {
	if v == nil {
		return nil
	}
	var leaves []*Leaf
	for _, text := range slices.Sorted(maps.Keys(v.Leaves)) {
		if l := v.Leaves[text]; !c.Kept.Holds(l) {
			leaves = append(leaves, l)
		}
	}
	return leaves
}

// Reach says how much of the log of events the definitions need.
type Reach struct {
	// Since is the oldest instant whose events something may still look at: the edge of the
	// window that reaches back furthest, as of where its schedule has come to.
	Since time.Time
	// Key is the computation that reaches back so far; empty: none looks back.
	Key string
	// Whole are the keys of computations that look at the whole log again with each event:
	// funnels, sessions and the like without a window, and those that read a chain without a
	// window but are also decided in realtime between slots.
	Whole []string
	// Waiting: a backfill runs, or is waited for.
	Waiting bool
	// Version is that of the catalog that says so.
	Version int64
}

// Reach reads how much of the log the definitions need.
func (i *Inspector) Reach(ctx context.Context, now time.Time) (Reach, error) {
	reach := Reach{Since: now}
	err := i.kept.Look(ctx, func(r Records) error {
		c, err := r.Catalog(ctx)
		if err != nil {
			return err
		}
		reach.Version, reach.Waiting = c.Version, c.Backfill != nil
		var versions []*Version
		for _, comp := range c.Computations {
			reach.Waiting = reach.Waiting || comp.waits()
			switch {
			case comp.Status == Disabled: // what its windows look at stays, for when it is enabled again
				reach.rest(comp.newest(), now)
			case comp.Current != nil:
				versions = append(versions, comp.Current)
			}
		}
		instants, marks, err := stands(ctx, r, versions)
		if err != nil {
			return err
		}
		for _, v := range versions {
			asOf := now
			if at, ok := instants[v]; ok && at.Before(now) {
				asOf = at
			}
			reach.include(v, asOf, marks)
		}
		return nil
	})
	if err != nil {
		return reach, fmt.Errorf("look how much of the log is needed: %w", err)
	}
	return reach, nil
}

func (r *Reach) include(v *Version, asOf time.Time, marks map[int64]Mark) {
	key := v.Computation.Key
	for _, l := range v.Leaves {
		since := l.Since
		switch {
		case l.Window != nil:
			at := asOf
			if mark, ok := marks[l.ID]; ok && mark.AsOf.Before(at) {
				at = mark.AsOf
			}
			since = at.Add(-l.Window.Far)
		case l.Foldable:
			continue // its states remember
		case since.IsZero():
			r.Whole = appendNew(r.Whole, key)
			continue
		}
		if since.Before(r.Since) {
			r.Since, r.Key = since, key
		}
	}
}

// rest keeps what the windows of a version look at of which nothing is kept up to date.
func (r *Reach) rest(v *Version, now time.Time) {
	for _, l := range v.Definition.Leaves {
		if l.Window != nil && now.Add(-l.Window.Far).Before(r.Since) {
			r.Since, r.Key = now.Add(-l.Window.Far), v.Computation.Key
		}
	}
}

// CodeKept is the code of the warning that a definition sees less than it asks for, because
// old events have been dropped.
const CodeKept = "events_dropped"

// remembers tells whether states are kept of a chain without a window, which a new version
// that reads it takes over.
func (c *Catalog) remembers(chain string, since time.Time) bool {
	for _, use := range c.leaves {
		if l := use.leaf; l.Text == chain && l.Live() && l.Built && l.SinceSeq == 0 && l.Since.Equal(since) {
			return true
		}
	}
	return false
}

// kept warns of a definition that is to be computed from events that are no longer there.
func (c *Catalog) kept(d *query.Definition, comp *Computation, now time.Time) query.Diagnostics {
	since := c.Kept.Since
	if since.IsZero() || !comp.IncludeHistorical {
		return nil
	}
	floor := time.Time{}
	if comp.BackfillDays > 0 {
		floor = comp.CreatedAt.AddDate(0, 0, -comp.BackfillDays)
	}
	for _, l := range d.Leaves {
		from := floor
		if l.Window != nil {
			if far := now.Add(-l.Window.Far); far.After(from) {
				from = far
			}
		}
		if !from.Before(since) || l.Window == nil && c.remembers(l.Text, floor) {
			continue
		}
		text, _, _ := strings.Cut(d.Text(), "\n")
		return query.Diagnostics{{
			Severity: query.Warning, Code: CodeKept, Line: 1, Column: 1, Source: text,
			Message: fmt.Sprintf("it looks back beyond %s, and events from before that have been dropped: it is computed from what is kept", since.UTC().Format(time.DateOnly)),
			Hint:    "import what it needs, or say within(...) how far it is to look back",
		}}
	}
	return nil
}
