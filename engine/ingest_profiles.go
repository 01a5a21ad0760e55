package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

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
	owners, err := in.tx.Owners(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	wanted := make(map[int64]bool, len(owners))
	for _, owner := range owners {
		wanted[int64(owner)] = true
	}
	profiles, err := in.tx.LockProfiles(ctx, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return nil, nil, err
	}
	if len(profiles) < len(wanted) {
		// One of them was merged or deleted between the look-up and the lock.
		return nil, nil, ErrAgain
	}
	graph := identity.NewGraph(in.engine.rules)
	before := make(map[identity.ProfileID]identity.Profile, len(profiles))
	for _, p := range profiles {
		if err := graph.Add(p); err != nil {
			return nil, nil, err
		}
		before[p.ID] = p
	}
	for id, owner := range owners {
		if is, ok := graph.Owner(id); !ok || is != owner {
			return nil, nil, ErrAgain // the id changed hands before the lock
		}
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
	var wants []Want
	var replayed []int64
	var names []string
	for _, w := range in.order {
		in.rebuilding(w)
		want, reads := Want{Profile: w.Profile}, len(names)
		for _, c := range w.start {
			p := in.catalog.plans[c]
			want.add(p)
			names = append(names, p.names...)
		}
		for _, f := range w.folds {
			want.Events = appendNew(want.Events, f.leaf.Event)
		}
		for leaf := range w.rebuild {
			names = append(names, leaf.Event)
		}
		if w.joined || w.merged {
			for _, c := range in.catalog.Computations {
				want.Computations = appendNew(want.Computations, c)
				for _, conn := range c.Connections {
					want.Connections = appendNew(want.Connections, conn)
				}
			}
		}
		if !w.born || len(want.Traits) > 0 {
			wants = append(wants, want)
		}
		for _, loser := range w.losers {
			wants = append(wants, Want{Profile: loser, Events: want.Events})
		}
		if len(names) > reads && !w.born {
			replayed = append(replayed, w.ID)
		}
	}
	if err := in.tx.Load(ctx, wants); err != nil {
		return fmt.Errorf("load %d profiles: %w", len(wants), err)
	}
	if len(replayed) == 0 {
		return nil
	}
	slices.Sort(names)
	return in.tx.History(ctx, HistoryQuery{Profiles: replayed, Names: slices.Compact(names)}, func(id int64, e *query.Event) error {
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
	for _, c := range p.connections {
		w.Connections = appendNew(w.Connections, c)
	}
	for _, k := range p.traits {
		w.Traits = appendNew(w.Traits, k)
	}
}
