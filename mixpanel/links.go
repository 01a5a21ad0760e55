package mixpanel

import (
	"strings"
	"sync"

	"muster/event"
)

// pair are the two ids that an alias or an identify makes one person of.
type pair struct{ from, to string }

// pairOf is the pair that a call joins under an id merge mode by an identity event. A pair that
// lacks an id, or has one twice, joins nothing.
func pairOf(c *event.Call, idMerge string) (p pair, ok bool) {
	switch {
	case idMerge == MergeSimplified:
		return p, false
	case c.Type == event.Alias:
		p.from = strings.TrimSpace(c.PreviousID)
	case c.Type != event.Identify || idMerge != MergeOriginal:
		return p, false
	}
	if p.from == "" {
		p.from = strings.TrimSpace(c.AnonymousID)
	}
	p.to = strings.TrimSpace(c.UserID)
	return p, p.from != "" && p.to != "" && p.from != p.to
}

// links remembers pairs. It forgets the oldest: repeating
// an identity event is harmless, only slow.
type links struct {
	mu         sync.Mutex
	young, old map[pair]struct{}
}

// maxYoungLinks bounds the memory to twice that many pairs.
const maxYoungLinks = 50_000

func (l *links) known(p pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, young := l.young[p]
	_, old := l.old[p]
	return young || old
}

func (l *links) remember(p pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.young == nil || len(l.young) >= maxYoungLinks {
		l.old, l.young = l.young, make(map[pair]struct{})
	}
	l.young[p] = struct{}{}
}
