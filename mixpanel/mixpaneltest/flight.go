package mixpaneltest

import (
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
)

// flights are the ids that requests being served are about. Mixpanel applies
// concurrent requests in any order, so a sender that wants order must not have two
// profile requests for one id on the way, nor anything beside an identity event.
type flights struct {
	seed   maphash.Seed
	shards [profileShards]flightShard
}

type flightShard struct {
	mu     sync.Mutex
	aboard map[uint64][]passenger
	_      [40]byte
}

type passenger struct {
	call *call
	as   role
}

// role is why an id is in a request; two roles that bear no order exclude each other.
type role byte

const (
	asEvent    role = iota // shares the id with other events
	asProfile              // shares it with events
	asIdentity             // shares it with nothing
)

func (r role) excludes(other role) bool {
	return r == asIdentity || other == asIdentity || r == asProfile && other == asProfile
}

// flightPlan is what a call has aboard.
type flightPlan struct {
	keys     []uint64
	overlaps []Violation // found by later calls; guarded by mu
	mu       sync.Mutex
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].aboard = map[uint64][]passenger{}
	}
	return f
}

// board notes that c is about id of the token's project, or finds that another
// request is. The breach is filed with the earlier request, which drops it if its
// client had given up by then: see land.
func (f *flights) board(c *call, token, id string, as role, index int) {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(token)
	h.WriteByte(0)
	h.WriteString(id)
	key := h.Sum64()
	shard := &f.shards[key%profileShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	passengers := shard.aboard[key]
	for i := range passengers {
		if p := &passengers[i]; p.call == c {
			p.as = max(p.as, as)
			return
		}
	}
	for _, p := range passengers {
		if p.as.excludes(as) {
			p.call.flight.mu.Lock()
			p.call.flight.overlaps = append(p.call.flight.overlaps, Violation{
				Time: c.now, Request: c.number, Endpoint: c.endpoint, Index: index, Rule: RuleOverlap,
				Detail: fmt.Sprintf("request %d to /%s for %q is still in flight", p.call.number, p.call.endpoint, printableID(id)),
			})
			p.call.flight.mu.Unlock()
		}
	}
	shard.aboard[key] = append(passengers, passenger{c, as})
	c.flight.keys = append(c.flight.keys, key)
}

// land takes c out before it is answered, because a client may send its next
// request as soon as it has read the answer. Overlaps with a client that had given
// up waiting are its right: it could not know that the request was still alive.
func (f *flights) land(c *call) []Violation {
	for _, key := range c.flight.keys {
		shard := &f.shards[key%profileShards]
		shard.mu.Lock()
		left := slices.DeleteFunc(shard.aboard[key], func(p passenger) bool { return p.call == c })
		if len(left) == 0 {
			delete(shard.aboard, key)
		} else {
			shard.aboard[key] = left
		}
		shard.mu.Unlock()
	}
	c.flight.keys = nil
	c.flight.mu.Lock()
	defer c.flight.mu.Unlock()
	overlaps := c.flight.overlaps
	c.flight.overlaps = nil
	if c.request.Context().Err() != nil {
		return nil
	}
	return overlaps
}
