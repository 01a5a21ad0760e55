package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"muster/identity"
	"muster/query"
)

// resolve finds out whose the calls are, locks these profiles, and writes what has
// changed of the identity graph.
func (in *ingestion) resolve(ctx context.Context) error {
	graph, before, err := in.lock(ctx)
	if err != nil {
		return err
	}
	numbers, err := in.newIDs(ctx, graph)
	if err != nil {
		return err
	}
	var violations []Violation
	var merges []MergedBy
	origin := make(map[identity.ID]string)
	for _, a := range in.calls {
		a.resolution = graph.Resolve(a.evidence, in.now, numbers)
		if a.resolution.Unresolved {
			in.receipts[a.place] = Unresolved
			continue
		}
		for _, id := range a.resolution.Added {
			origin[id] = a.Call.MessageID
		}
		for _, v := range a.resolution.Dropped {
			violations = append(violations, Violation{Violation: v, ProfileID: int64(a.resolution.Profile), MessageID: a.Call.MessageID})
		}
		for _, loser := range a.resolution.Merged {
			merges = append(merges, MergedBy{Merge: identity.Merge{Loser: loser}, MessageID: a.Call.MessageID})
		}
	}
	for _, a := range in.calls {
		a.resolution.Profile = graph.Canonical(a.resolution.Profile)
	}
	for i := range violations {
		violations[i].ProfileID = int64(graph.Canonical(identity.ProfileID(violations[i].ProfileID)))
	}
	diff := graph.Diff()
	stored := merges[:0]
	for _, m := range merges {
		if _, was := before[m.Loser]; was { // else it was born and merged in this batch
			m.Survivor = graph.Canonical(m.Loser)
			stored = append(stored, m)
		}
	}
	in.open(graph, before, diff)
	if err := in.tx.SaveIdentity(ctx, diff, violations, origin, in.now); err != nil {
		return err
	}
	if len(stored) > 0 {
		return in.tx.MoveProfiles(ctx, stored, in.now)
	}
	return nil
}

// lock loads and locks the profiles that own any id of the batch.
func (in *ingestion) lock(ctx context.Context) (*identity.Graph, map[identity.ProfileID]identity.Profile, error) {
	var ids []identity.ID
	for _, a := range in.calls {
		ids = a.evidence.Lookup(ids)
	}
	seen := make(map[identity.ID]bool, len(ids))
	ids = slices.DeleteFunc(ids, func(id identity.ID) bool {
		twice := seen[id]
		seen[id] = true
		return twice
	})
	profiles, err := in.tx.LockOwners(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	graph := identity.NewGraph(in.engine.rules)
	before := make(map[identity.ProfileID]identity.Profile, len(profiles))
	for _, p := range profiles {
		if err := graph.Add(p); err != nil {
			return nil, nil, err
		}
		before[p.ID] = p
	}
	return graph, before, nil
}

// newIDs draws as many numbers as there can be new profiles: a call never makes one
// if its most important id is known, because that id is never left out.
func (in *ingestion) newIDs(ctx context.Context, graph *identity.Graph) (func() identity.ProfileID, error) {
	n := 0
	for _, a := range in.calls {
		if len(a.evidence.IDs) == 0 && len(a.evidence.Previous) == 0 {
			continue
		}
		if len(a.evidence.IDs) > 0 {
			if _, known := graph.Owner(a.evidence.IDs[0]); known {
				continue
			}
		}
		n++
	}
	drawn, err := in.tx.NewProfileIDs(ctx, n)
	if err != nil {
		return nil, err
	}
	return func() identity.ProfileID {
		id := drawn[0]
		drawn = drawn[1:]
		return identity.ProfileID(id)
	}, nil
}

// open makes the working copies of the profiles that the calls belong to.
func (in *ingestion) open(graph *identity.Graph, before map[identity.ProfileID]identity.Profile, diff identity.Diff) {
	in.works = make(map[int64]*work)
	for _, a := range in.calls {
		id := a.resolution.Profile
		if a.resolution.Unresolved || in.works[int64(id)] != nil {
			continue
		}
		now, _ := graph.Profile(id)
		was, stored := before[id]
		w := &work{Profile: NewProfile(int64(id), now.Links)}
		w.born = !stored
		w.joined = stored && len(now.Links) > len(was.Links)
		in.works[w.ID] = w
		in.order = append(in.order, w)
	}
	slices.SortFunc(in.order, func(a, b *work) int { return CompareProfiles(a.ID, b.ID) })
	for _, m := range diff.Merged {
		w := in.works[int64(m.Survivor)]
		w.merged, w.born = true, false
		w.losers = append(w.losers, NewProfile(int64(m.Loser), nil))
	}
	for _, w := range in.order {
		switch {
		case w.born:
			in.concern(w, in.catalog.onBirth)
		case w.merged:
			for _, c := range in.catalog.Computations {
				in.reconsider(w, c)
			}
		case w.joined:
			// What may hold the profile from now on has never looked at it.
			was := before[identity.ProfileID(w.ID)].Links
			for _, c := range in.catalog.Computations {
				if identity.Eligible(w.Links, c.IncludeAnonymous) && !identity.Eligible(was, c.IncludeAnonymous) {
					in.reconsider(w, c)
				}
			}
		}
	}
}

// reconsider has a computation evaluated, also those of its leaves that are replayed.
func (in *ingestion) reconsider(w *work, c *Computation) {
	in.concern(w, []*Computation{c})
	for _, v := range in.catalog.versions(c) {
		for _, leaf := range v.Leaves {
			if !leaf.Foldable {
				w.markStale(leaf)
			}
		}
	}
}

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
			w.values[c.ID] = &Held{Value: before[i]}
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
