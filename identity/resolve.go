package identity

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Resolution says whose a call is.
type Resolution struct {
	Profile    ProfileID   // 0 if Unresolved
	Created    bool        // the call created it
	Added      []ID        // ids that nobody owned before and that are the profile's now
	Merged     []ProfileID // profiles that ended with this call; all they had is Profile's
	Dropped    []Violation // ids that were left out, from Evidence and by the limits
	Unresolved bool        // the call has no id that may identify a profile
}

// Resolve finds the profile of a call that was received at the given instant, and
// changes the graph accordingly. It is called for the calls of a batch in their order.
// newID is asked for the number of a new profile, greater than all before.
//
// If the call's ids and the profiles that own them cannot be one profile without
// breaking a limit, the least important id of the call is left out, again and again,
// until they can. One id alone always can, so this ends. Of several owners the oldest
// survives and the others are merged into it.
func (g *Graph) Resolve(e Evidence, at time.Time, newID func() ProfileID) Resolution {
	at = at.UTC().Truncate(time.Microsecond)
	res := Resolution{Dropped: e.Dropped}
	ids := g.callIDs(e)
	if len(ids) == 0 {
		res.Unresolved = true
		return res
	}

	owners := g.ownersOf(ids)
	for {
		over, broken := g.overLimit(ids, owners, at)
		if !broken {
			break
		}
		last := len(ids) - 1
		res.drop(ids[last], over.rule(), over.reason())
		ids = ids[:last]
		owners = g.ownersOf(ids)
	}

	var home *node
	switch len(owners) {
	case 0:
		home = &node{Profile: Profile{ID: newID(), CreatedAt: at}, created: true}
		g.profiles[home.ID] = home
		res.Created = true
	case 1:
		home = owners[0]
	default:
		home = slices.MinFunc(owners, compareAge)
		if home.Merges+len(owners)-1 > g.rules.maxMerges {
			home, ids = g.separate(&res, home, ids)
			break
		}
		for _, loser := range owners {
			if loser != home {
				g.merge(loser, home)
				res.Merged = append(res.Merged, loser.ID)
			}
		}
	}
	g.attach(&res, home, ids, at)
	res.Profile = home.ID
	return res
}

// callIDs is the ids of the call in their order of priority, in scratch space.
func (g *Graph) callIDs(e Evidence) []ID {
	g.ids = append(g.ids[:0], e.IDs...)
	previous, ok := g.previous(e.Previous)
	if !ok {
		return g.ids
	}
	// Behind the ids of its type: it is the one to go if both cannot stay.
	at := len(g.ids)
	for at > 0 && g.rules.comparePriority(g.ids[at-1].Type, previous.Type) > 0 {
		at--
	}
	g.ids = slices.Insert(g.ids, at, previous)
	return g.ids
}

// previous is what an alias call's previousId stands for: the first candidate that
// somebody owns, or else the last.
func (g *Graph) previous(candidates []ID) (ID, bool) {
	for _, id := range candidates {
		if _, owned := g.owners[id]; owned {
			return id, true
		}
	}
	if len(candidates) == 0 {
		return ID{}, false
	}
	return candidates[len(candidates)-1], true
}

// ownersOf is the profiles that own any of the ids, that of the most important id
// first, in scratch space.
func (g *Graph) ownersOf(ids []ID) []*node {
	g.owning = g.owning[:0]
	for _, id := range ids {
		if owner, ok := g.owners[id]; ok {
			if n := g.profiles[owner]; !slices.Contains(g.owning, n) {
				g.owning = append(g.owning, n)
			}
		}
	}
	return g.owning
}

// tally counts the values of one type that a profile made of several would hold.
type tally struct {
	typ     string
	limit   Limit
	since   time.Time // values added up to here do not count
	one     int       // in the profile being counted
	largest int       // in the one that has most of them
	total   int
}

func (t *tally) rule() Rule {
	if t.limit.Period.length() > 0 {
		return TimeLimit
	}
	return ValueLimit
}

func (t *tally) reason() string {
	return fmt.Sprintf("the profile would hold %d values of %s; the limit is %s", t.total, t.typ, t.limit)
}

// overLimit finds a type of which the ids and the profiles together would hold more
// than the limit allows. A profile may hold more already, from a time of other limits;
// that is no fault as long as nothing is added to it.
func (g *Graph) overLimit(ids []ID, owners []*node, at time.Time) (*tally, bool) {
	g.tallies = g.tallies[:0]
	unknown := false
	for _, id := range ids {
		if _, owned := g.owners[id]; !owned {
			g.tally(id.Type, at).total++
			unknown = true
		}
	}
	if !unknown && len(owners) < 2 {
		return nil, false // nothing is added: the way of most calls
	}
	for _, n := range owners {
		for _, link := range n.Links {
			if t := g.tally(link.ID.Type, at); link.AddedAt.After(t.since) {
				t.one++
			}
		}
		for i := range g.tallies {
			t := &g.tallies[i]
			t.total += t.one
			t.largest = max(t.largest, t.one)
			t.one = 0
		}
	}
	// Of several the reason to give is the type of the id that has to go, else the most
	// important one.
	var over *tally
	going := ids[len(ids)-1].Type
	for i := range g.tallies {
		t := &g.tallies[i]
		if t.total <= t.limit.Max || t.total <= t.largest {
			continue
		}
		if t.typ == going {
			return t, true
		}
		if over == nil || g.rules.comparePriority(t.typ, over.typ) < 0 {
			over = t
		}
	}
	return over, over != nil
}

// tally is the running count of a type.
func (g *Graph) tally(typ string, at time.Time) *tally {
	for i := range g.tallies {
		if g.tallies[i].typ == typ {
			return &g.tallies[i]
		}
	}
	t := tally{typ: typ, limit: g.rules.limit(typ)}
	if length := t.limit.Period.length(); length > 0 {
		t.since = at.Add(-length)
	}
	g.tallies = append(g.tallies, t)
	return &g.tallies[len(g.tallies)-1]
}

// compareAge orders profiles, the oldest first.
func compareAge(a, b *node) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// separate is what becomes of a call whose profiles may not be merged any more: it goes
// to the owner of its most important known id, and the ids of the others are left out.
func (g *Graph) separate(res *Resolution, oldest *node, ids []ID) (home *node, kept []ID) {
	home = g.owning[0]
	kept = ids[:0]
	for _, id := range ids {
		if owner, known := g.owners[id]; known && owner != home.ID {
			res.drop(id, MergeLimit, fmt.Sprintf("profile %d would become one of more than %d merged profiles", oldest.ID, g.rules.maxMerges))
			continue
		}
		kept = append(kept, id)
	}
	return home, kept
}

// merge gives all that the loser has to the survivor.
func (g *Graph) merge(loser, survivor *node) {
	for _, link := range loser.Links {
		g.owners[link.ID] = survivor.ID
	}
	survivor.Links = append(survivor.Links, loser.Links...)
	slices.SortFunc(survivor.Links, Link.compare)
	survivor.Merges++
	survivor.touched = true
	delete(g.profiles, loser.ID)
	g.heirs[loser.ID] = survivor.ID
	if !loser.created {
		g.retired = append(g.retired, loser.ID)
	}
}

// attach maps the ids that nobody owns to the profile, as many as it may hold.
func (g *Graph) attach(res *Resolution, home *node, ids []ID, at time.Time) {
	for _, id := range ids {
		if _, known := g.owners[id]; known {
			continue
		}
		if len(home.Links) >= g.rules.maxIDs {
			res.drop(id, MappingLimit, fmt.Sprintf("profile %d holds %d ids; the limit is %d", home.ID, len(home.Links), g.rules.maxIDs))
			continue
		}
		g.owners[id] = home.ID
		g.mapped[id] = struct{}{}
		home.add(Link{ID: id, AddedAt: at})
		res.Added = append(res.Added, id)
	}
}

// add appends a link. Ids of one type are ordered by the time when they came, so one
// that comes at the same instant as another, as in an import, is set a microsecond
// behind it.
func (n *node) add(link Link) {
	for _, other := range n.Links {
		if other.ID.Type == link.ID.Type && !link.AddedAt.After(other.AddedAt) {
			link.AddedAt = other.AddedAt.Add(time.Microsecond)
		}
	}
	n.Links = append(n.Links, link)
	slices.SortFunc(n.Links, Link.compare)
	n.touched = true
}

// drop notes an id that is left out. Evidence.Dropped may be shared, so it is copied.
func (res *Resolution) drop(id ID, rule Rule, reason string) {
	res.Dropped = append(slices.Clip(res.Dropped), Violation{ID: id, Rule: rule, Reason: reason})
}
