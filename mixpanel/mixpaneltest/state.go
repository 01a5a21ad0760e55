package mixpaneltest

import (
	"cmp"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
)

// property is one property of a profile.
type property struct {
	name  string
	value any // nil, bool, float64, string, []any or map[string]any
}

// properties are sorted by name: half the memory of a map, and cheap to search.
type properties []property

func (p properties) find(name string) (int, bool) {
	return slices.BinarySearchFunc(p, name, func(e property, name string) int { return cmp.Compare(e.name, name) })
}

func (p properties) get(name string) (any, bool) {
	if i, ok := p.find(name); ok {
		return p[i].value, true
	}
	return nil, false
}

func (p *properties) set(name string, value any) {
	if i, ok := p.find(name); ok {
		(*p)[i].value = value
	} else {
		*p = slices.Insert(*p, i, property{name, value})
	}
}

func (p *properties) unset(name string) {
	if i, ok := p.find(name); ok {
		*p = slices.Delete(*p, i, i+1)
	}
}

// with is how many properties p has when those of more are there too.
func (p properties) with(more []property) int {
	if len(p)+len(more) <= 64 { // far below the limit: an upper bound will do
		return len(p) + len(more)
	}
	added := map[string]bool{}
	for _, e := range more {
		if _, ok := p.find(e.name); !ok {
			added[e.name] = true
		}
	}
	return len(p) + len(added)
}

// state is a profile as the server holds it.
type state struct {
	properties properties
	lastSeen   int64 // Unix milliseconds, 0 when never seen
	geo        GeoSource
	history    []update // all updates in order of their time, only with Options.ReplayByTime
}

// profileShards spread the profiles over locks; a power of two.
const profileShards = 64

// profiles are the user profiles, or the group profiles, of one project.
type profiles struct {
	seed   maphash.Seed
	shards [profileShards]profileShard
}

type profileShard struct {
	mu     sync.Mutex
	states map[string]*state
	_      [40]byte // keeps two shards' locks off one cache line
}

func newProfiles() *profiles {
	p := &profiles{seed: maphash.MakeSeed()}
	p.reset()
	return p
}

func (p *profiles) reset() {
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		s.states = map[string]*state{}
		s.mu.Unlock()
	}
}

func (p *profiles) shard(id string) *profileShard {
	return &p.shards[maphash.String(p.seed, id)%profileShards]
}

// read calls f with the state of id under its lock, and tells whether there is one.
func (p *profiles) read(id string, f func(*state)) bool {
	shard := p.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	st, ok := shard.states[id]
	if ok {
		f(st)
	}
	return ok
}

// take removes the profile of id and returns it, or nil.
func (p *profiles) take(id string) *state {
	shard := p.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	st := shard.states[id]
	delete(shard.states, id)
	return st
}

// adopt gives the properties of a profile that is merged away to the profile of
// id, whose own values stay [assumed].
func (p *profiles) adopt(id string, from *state) {
	shard := p.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	st, ok := shard.states[id]
	if !ok {
		shard.states[id] = from
		return
	}
	for _, e := range from.properties {
		if _, taken := st.properties.find(e.name); !taken {
			st.properties.set(e.name, e.value)
		}
	}
	st.lastSeen = max(st.lastSeen, from.lastSeen)
	st.history = append(st.history, from.history...)
	slices.SortStableFunc(st.history, func(a, b update) int { return cmp.Compare(a.time, b.time) })
}

func (p *profiles) count() int {
	n := 0
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		n += len(s.states)
		s.mu.Unlock()
	}
	return n
}

// all yields what f makes of every profile. It holds no lock while yielding, so
// that the loop may ask the server for more; f is called under a lock.
func all[T any](p *profiles, f func(id string, st *state) (T, bool)) iter.Seq[T] {
	return func(yield func(T) bool) {
		var batch []T
		for i := range p.shards {
			s := &p.shards[i]
			batch = batch[:0]
			s.mu.Lock()
			for id, st := range s.states {
				if v, ok := f(id, st); ok {
					batch = append(batch, v)
				}
			}
			s.mu.Unlock()
			for _, v := range batch {
				if !yield(v) {
					return
				}
			}
		}
	}
}
