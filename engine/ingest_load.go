package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"muster/identity"
	"muster/query"
)

// rebuilding says which leaves have to be folded anew for a profile that took others in
// while a backfill runs. States of a leaf that is being built can only be merged where
// the walk has done all of the profiles, or none.
func (in *ingestion) rebuilding(w *work) {
	if in.running == nil || len(w.losers) == 0 {
		return
	}
	alike := true
	for _, loser := range w.losers {
		alike = alike && in.running.Covers(loser) == in.running.Covers(w.Profile)
	}
	if alike {
		return
	}
	w.rebuild = make(map[*Leaf]*State)
	for _, c := range in.catalog.Computations {
		for _, v := range in.catalog.versions(c) {
			for _, leaf := range v.Leaves {
				if leaf.Foldable && !leaf.Built {
					w.rebuild[leaf] = &State{}
				}
			}
		}
	}
}

// load reads what the decisions need. Traits are written first, so that they are read
// as they are now.
func (in *ingestion) load(ctx context.Context) error {
	if len(in.traits) > 0 {
		writes := make([]TraitWrite, 0, len(in.traits))
		for _, k := range in.traitSeq {
			writes = append(writes, in.traits[k])
		}
		if err := in.tx.SetTraits(ctx, writes); err != nil {
			return err
		}
	}
	d := in.decision()
	wants := make([]Want, 0, len(in.order))
	for _, w := range in.order {
		in.rebuilding(w)
		wants = append(wants, in.first(w)...)
	}
	if err := in.tx.Load(ctx, wants); err != nil {
		return fmt.Errorf("load %d profiles: %w", len(wants), err)
	}
	wants = wants[:0]
	for _, w := range in.order {
		if want := in.second(d, w); !want.empty() {
			wants = append(wants, want)
		}
	}
	if len(wants) > 0 {
		if err := in.tx.Load(ctx, wants); err != nil {
			return fmt.Errorf("load %d profiles: %w", len(wants), err)
		}
	}
	return in.reread(ctx)
}

// first is what has to be known before the events are folded in: of suspects only the
// states, of all others everything.
func (in *ingestion) first(w *work) []Want {
	want := Want{Profile: w.Profile}
	for _, c := range w.start {
		if v := in.catalog.versionFor(c, w.Profile, in.running); v != nil && v.Prompt() {
			want.add(in.catalog.plans[c])
		}
	}
	w.suspects = slices.DeleteFunc(w.suspects, func(c *Computation) bool {
		if slices.Contains(w.start, c) {
			return true
		}
		v := in.catalog.versionFor(c, w.Profile, in.running)
		switch {
		case v == nil || !identity.Eligible(w.Links, c.IncludeAnonymous):
			return true
		case w.merged || v.Scheduled() || !v.Pure():
			if v.Prompt() {
				want.add(in.catalog.plans[c])
			}
			w.start = append(w.start, c)
			return true
		}
		return false
	})
	for _, f := range w.folds {
		want.Events = appendNew(want.Events, f.leaf.Event)
	}
	for _, c := range w.suspects {
		want.addStates(in.catalog.versionFor(c, w.Profile, in.running))
	}
	want.All = w.joined || w.merged
	if w.merged { // all states are merged, also those that only slots evaluate
		for _, c := range in.catalog.Computations {
			for _, v := range in.catalog.versions(c) {
				want.addStates(v)
			}
		}
	}
	if w.born { // nothing of it is stored but the traits that this batch brought
		want = Want{Profile: w.Profile, Traits: want.Traits}
	}
	var wants []Want
	if !want.empty() {
		wants = append(wants, want)
	}
	for _, loser := range w.losers {
		wants = append(wants, Want{Profile: loser, Events: want.Events})
	}
	return wants
}

// second folds the events in and is what has to be known of the suspects whose value
// changes with that.
func (in *ingestion) second(d *decision, w *work) Want {
	want := Want{Profile: w.Profile}
	if len(w.suspects) == 0 {
		return want
	}
	before := d.byStates(w.Profile, w.suspects)
	w.fold(in.catalog)
	moved, before := d.moved(w.Profile, w.suspects, before)
	w.start = append(w.start, moved...)
	if w.born {
		return want
	}
	for i, c := range moved {
		if plan := in.catalog.plans[c]; !plan.alone {
			want.add(plan)
		} else if !w.joined {
			w.SetHeld(c.ID, Held{Value: before[i]})
			want.addConnections(c.Connections)
		}
	}
	want.Events = slices.DeleteFunc(want.Events, w.loaded)
	return want
}

// reread reads the history of profiles with leaves that are replayed or rebuilt, or with
// definitions that do not wait for their slots: of these no more than their windows.
func (in *ingestion) reread(ctx context.Context) error {
	var profiles []int64
	var names []string
	lookback, bounded := time.Duration(0), true
	for _, w := range in.order {
		if w.born {
			continue
		}
		before := len(names)
		for _, c := range w.start {
			v := in.catalog.versionFor(c, w.Profile, in.running)
			if v == nil || !v.Prompt() {
				continue
			}
			plan := in.catalog.plans[c]
			names = slices.Concat(names, plan.names, plan.prompt)
			bounded = bounded && len(plan.names) == 0 && (len(plan.prompt) == 0 || plan.alone && !v.Definition.Unbounded)
			lookback = max(lookback, v.Definition.MaxLookback)
		}
		for leaf := range w.rebuild {
			names = append(names, leaf.Event)
			bounded = false
		}
		if len(names) > before {
			profiles = append(profiles, w.ID)
		}
	}
	if len(profiles) == 0 {
		return nil
	}
	slices.Sort(names)
	q := HistoryQuery{Profiles: profiles, Names: slices.Compact(names)}
	if bounded {
		q.Since = in.now.Add(-lookback)
	}
	return in.tx.History(ctx, q, func(id int64, e *query.Event) error {
		w := in.works[id]
		w.history = append(w.history, e)
		for leaf, s := range w.rebuild {
			if e.Name == leaf.Event && leaf.builds(e, in.running.Covers(w.Profile)) {
				s.Add(leaf.Leaf, e)
			}
		}
		return nil
	})
}

// add includes what a plan needs.
func (w *Want) add(p *plan) {
	for _, name := range p.events {
		w.Events = appendNew(w.Events, name)
	}
	for _, c := range p.computations {
		w.Computations = appendNew(w.Computations, c)
	}
	w.addConnections(p.connections)
	for _, k := range p.traits {
		w.Traits = appendNew(w.Traits, k)
	}
}

func (w *Want) addConnections(list []*Connection) {
	for _, c := range list {
		w.Connections = appendNew(w.Connections, c)
	}
}

// addStates includes the states that a version's definition reads.
func (w *Want) addStates(v *Version) {
	for _, l := range v.Leaves {
		w.Events = appendNew(w.Events, l.Event)
	}
}

func (w *Want) empty() bool {
	return !w.All && len(w.Events) == 0 && len(w.Computations) == 0 && len(w.Connections) == 0 && len(w.Traits) == 0
}
