package identity

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ProfileID is the store's number of a profile. 0 is none.
type ProfileID int64

// Link is an external id of a profile.
type Link struct {
	ID      ID
	AddedAt time.Time // to the microsecond; the order of a profile's ids
}

// Profile is what identity knows of a profile.
type Profile struct {
	ID        ProfileID
	CreatedAt time.Time // of two profiles the older survives a merge, the lower ID if they are of one age
	Merges    int       // how many profiles were merged into it
	Links     []Link    // its external ids, oldest first

	// Suppressed says that nothing may be decided or told of it; no call comes to it.
	Suppressed bool
}

// Merge is the end of a profile: everything of Loser belongs to Survivor.
type Merge struct {
	Loser, Survivor ProfileID
}

// Mapping is an id that has come to belong to a profile.
type Mapping struct {
	Profile ProfileID
	Link    Link
}

// Diff is what a graph's calls have changed on the whole, in the order in which it can
// be written. Steps in between are not in it: a profile that was created and merged
// away by the same batch does not appear, save as the Loser of a [Resolution].
type Diff struct {
	Created []Profile // new profiles; their new ids are in Mapped
	Merged  []Merge   // profiles that were there before and are gone; no survivor is itself a loser
	Mapped  []Mapping // ids that nobody owned before
	Grown   []Profile // profiles that were there before and have more ids or merges now
}

// Graph is the part of the identity graph that a batch of calls can touch, in memory.
// It is not safe for concurrent use.
type Graph struct {
	rules    *Rules
	owners   map[ID]ProfileID
	profiles map[ProfileID]*node
	heirs    map[ProfileID]ProfileID // merged away -> into
	retired  []ProfileID             // the keys of heirs that were added, not created here
	mapped   map[ID]struct{}         // ids that nobody owned before

	// Scratch of Resolve, kept so that an ordinary call allocates nothing.
	ids     []ID
	owning  []*node
	tallies []tally
}

// node is a profile of the graph.
type node struct {
	Profile
	created bool // by this graph
	touched bool // holds ids that are new, or were another profile's
	merges  int  // Profile.Merges when it was added
	links   int  // how many it had then
}

// NewGraph returns an empty graph in which calls are resolved by the rules.
func NewGraph(rules *Rules) *Graph {
	return &Graph{
		rules:    rules,
		owners:   make(map[ID]ProfileID),
		profiles: make(map[ProfileID]*node),
		heirs:    make(map[ProfileID]ProfileID),
		mapped:   make(map[ID]struct{}),
	}
}

// Add puts a stored profile with all its ids into the graph. Before a call is resolved
// the owners of all its ids must be there: an id that no added profile has is taken to
// be unknown. It is an error if the profile, or one of its ids, is there already.
func (g *Graph) Add(p Profile) error {
	if p.ID == 0 {
		return fmt.Errorf("identity: a profile without a number")
	}
	if _, twice := g.profiles[p.ID]; twice {
		return fmt.Errorf("identity: profile %d was added twice", p.ID)
	}
	for i, link := range p.Links {
		if owner, taken := g.owners[link.ID]; taken {
			for _, undo := range p.Links[:i] {
				delete(g.owners, undo.ID)
			}
			return fmt.Errorf("identity: %s belongs to both profile %d and profile %d", link.ID.Type, owner, p.ID)
		}
		g.owners[link.ID] = p.ID
	}
	p.Links = slices.Clone(p.Links)
	slices.SortFunc(p.Links, Link.compare)
	g.profiles[p.ID] = &node{Profile: p, merges: p.Merges, links: len(p.Links)}
	return nil
}

// Owner is the profile that owns the id now.
func (g *Graph) Owner(id ID) (ProfileID, bool) {
	owner, ok := g.owners[id]
	return owner, ok
}

// Canonical is the profile into which p has been merged by this graph, or p itself.
// What earlier calls of a batch were resolved to has to be taken through it.
func (g *Graph) Canonical(p ProfileID) ProfileID {
	for {
		heir, merged := g.heirs[p]
		if !merged {
			return p
		}
		p = heir
	}
}

// Profile is the profile as it is now, or false if the graph has none of this number,
// or it was merged away. Its Links must not be changed.
func (g *Graph) Profile(id ProfileID) (Profile, bool) {
	n, ok := g.profiles[id]
	if !ok {
		return Profile{}, false
	}
	return n.Profile, true
}

// Diff is what has changed since the profiles were added. It is ordered by profile, so
// that equal batches are written alike.
func (g *Graph) Diff() Diff {
	var d Diff
	for _, loser := range slices.Sorted(slices.Values(g.retired)) {
		d.Merged = append(d.Merged, Merge{Loser: loser, Survivor: g.Canonical(loser)})
	}
	for _, id := range slices.Sorted(maps.Keys(g.profiles)) {
		n := g.profiles[id]
		if n.created {
			d.Created = append(d.Created, n.Profile)
		} else if n.Merges != n.merges || len(n.Links) != n.links {
			d.Grown = append(d.Grown, n.Profile)
		}
		if !n.touched {
			continue
		}
		for _, link := range n.Links {
			if _, ok := g.mapped[link.ID]; ok {
				d.Mapped = append(d.Mapped, Mapping{Profile: id, Link: link})
			}
		}
	}
	return d
}

// compare orders links by age, the oldest first, and those of one instant by name.
func (l Link) compare(m Link) int {
	return cmp.Or(l.AddedAt.Compare(m.AddedAt), cmp.Compare(l.ID.Type, m.ID.Type), cmp.Compare(l.ID.Value, m.ID.Value))
}
