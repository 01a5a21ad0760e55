package engine

import (
	"context"
	"slices"

	"muster/identity"
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
		w.suppressed = was.Suppressed || now.Suppressed
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
