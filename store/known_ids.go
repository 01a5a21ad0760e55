package store

import (
	"sync"

	"muster/identity"
)

// knownProfiles is for how many profiles knownIDs remembers at least; twice as many at
// most. One takes about half a kilobyte.
const knownProfiles = 50_000

// knownIDs remembers which profile owns an external id, and all ids of that profile, so
// that those who come again and again need not be looked up. It may be out of date: what
// it says counts only once the profile is locked and has as many ids as it remembers.
// Ids come to a profile and never leave it while it lives, so that number tells.
type knownIDs struct {
	mu         sync.Mutex
	young, old idGeneration
}

type idGeneration struct {
	owners map[identity.ID]int64
	links  map[int64][]identity.Link
}

func newIDGeneration() idGeneration {
	return idGeneration{owners: make(map[identity.ID]int64), links: make(map[int64][]identity.Link)}
}

// owner is the profile that owned the id when it was last read.
func (k *knownIDs) owner(id identity.ID) (int64, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p, ok := k.young.owners[id]; ok {
		return p, true
	}
	p, ok := k.old.owners[id]
	return p, ok
}

// linksOf are the profile's ids if it is remembered with this many. They are shared: the
// caller may not change them.
func (k *knownIDs) linksOf(profile int64, count int) ([]identity.Link, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	links, ok := k.young.links[profile]
	if !ok {
		if links, ok = k.old.links[profile]; ok && len(links) == count {
			k.keep(profile, links) // it has come again
		}
	}
	return links, ok && len(links) == count
}

// remember notes all ids of a profile.
func (k *knownIDs) remember(profile int64, links []identity.Link) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keep(profile, links)
}

func (k *knownIDs) keep(profile int64, links []identity.Link) {
	if k.young.links == nil || len(k.young.links) >= knownProfiles {
		k.old, k.young = k.young, newIDGeneration()
	}
	k.young.links[profile] = links
	for _, l := range links {
		k.young.owners[l.ID] = profile
	}
}

// forget drops what is remembered of an id that was found to be wrong.
func (k *knownIDs) forget(id identity.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.young.owners, id)
	delete(k.old.owners, id)
}
