package ingest

import (
	"hash/maphash"
	"sync"

	"muster/event"
)

// remembered is how many anonymous ids a Divider remembers the lane of, at least.
const remembered = 20_000

// Divider deals calls out to lanes that store side by side. What is stored of a profile
// is stored under its lock, so calls of one person in two lanes would wait for each
// other; and a lane keeps the order of its calls. Calls that share an id go to one lane,
// and so do later ones with one of the ids, as far as the Divider remembers. It is a
// matter of speed only: which calls are one profile's is for identity resolution to say.
type Divider struct {
	lanes int
	seed  maphash.Seed

	mu         sync.Mutex
	young, old map[string]int // lanes of anonymous ids that came together with a user id
}

// NewDivider returns a divider for so many lanes, at least one.
func NewDivider(lanes int) *Divider {
	return &Divider{lanes: max(lanes, 1), seed: maphash.MakeSeed(), young: make(map[string]int)}
}

func (d *Divider) hashed(id string) int { return int(maphash.String(d.seed, id) % uint64(d.lanes)) }

// Divide answers which places of the calls go to which lane, in their order.
func (d *Divider) Divide(calls []*event.Call) [][]int {
	places := make([][]int, d.lanes)
	if d.lanes == 1 {
		places[0] = make([]int, len(calls))
		for i := range calls {
			places[0][i] = i
		}
		return places
	}
	g := group(calls)
	d.mu.Lock()
	defer d.mu.Unlock()
	speaker := make([]*event.Call, len(calls)) // of those that share ids: the first with a user id, else the first
	for i, c := range calls {
		root := g.find(i)
		if have := speaker[root]; have == nil || have.UserID == "" && c.UserID != "" {
			speaker[root] = c
		}
	}
	for i, c := range calls {
		by := speaker[g.find(i)]
		lane := d.lane(by)
		places[lane] = append(places[lane], i)
		if by.UserID != "" && c.AnonymousID != "" {
			d.remember(c.AnonymousID, lane)
		}
	}
	return places
}

// lane is that of a call by itself.
func (d *Divider) lane(c *event.Call) int {
	id := c.UserID
	if id == "" {
		id = c.AnonymousID
		for _, known := range []map[string]int{d.young, d.old} {
			if lane, ok := known[id]; ok {
				return lane
			}
		}
	}
	return d.hashed(id)
}

func (d *Divider) remember(anonymousID string, lane int) {
	if have, known := d.young[anonymousID]; known && have == lane {
		return
	}
	if len(d.young) >= remembered {
		d.young, d.old = make(map[string]int), d.young
	}
	d.young[anonymousID] = lane
}

// sharing tells which calls share ids, directly or through others: each leads to an
// earlier one, and the first of them to itself.
type sharing []int

func group(calls []*event.Call) sharing {
	g := make(sharing, len(calls))
	seen := make(map[string]int, 2*len(calls))
	for i, c := range calls {
		g[i] = i
		for _, id := range [...]string{c.UserID, c.AnonymousID, c.PreviousID} {
			if id == "" {
				continue
			}
			if before, ok := seen[id]; ok {
				g.join(before, i)
			} else {
				seen[id] = i
			}
		}
	}
	return g
}

func (g sharing) find(i int) int {
	for g[i] != i {
		g[i] = g[g[i]]
		i = g[i]
	}
	return i
}

func (g sharing) join(a, b int) {
	a, b = g.find(a), g.find(b)
	g[max(a, b)] = min(a, b)
}
