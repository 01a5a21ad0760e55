package mixpaneltest

import (
	"sync"
	"time"
)

// stored is an event as the server keeps it: what it needs to compare events, and
// the record as it was sent for all the rest.
type stored struct {
	record     string
	name       string
	distinctID string // as sent; in a legacy project, resolved when it arrived
	insertID   string // "" when it has none
	user       string // simplified projects only, as device
	device     string
	time       int64 // Unix milliseconds
	received   int64 // Unix milliseconds
	seq        uint64
	geo        GeoSource
	endpoint   Endpoint
	effect     Effect
}

// eventLog holds the newest events of a project in the order of their arrival.
type eventLog struct {
	mu     sync.RWMutex
	keep   int // 0: all
	events []stored
	first  int // the oldest, once the log is full and turns into a ring
	total  uint64
}

// add appends the events of one request, none of another's in between.
func (l *eventLog) add(events []stored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		e.seq = l.total
		l.total++
		if l.keep == 0 || len(l.events) < l.keep {
			l.events = append(l.events, e)
			continue
		}
		l.events[l.first] = e
		l.first = (l.first + 1) % l.keep
	}
}

// list returns the kept events, oldest first.
func (l *eventLog) list() []stored {
	l.mu.RLock()
	defer l.mu.RUnlock()
	events := make([]stored, 0, len(l.events))
	events = append(events, l.events[l.first:]...)
	return append(events, l.events[:l.first]...)
}

func (l *eventLog) count() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.total
}

func (l *eventLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events, l.first, l.total = nil, 0, 0
}

// tuple is by what Mixpanel recognises an event that it was sent twice.
type tuple struct {
	name, distinctID string
	time             int64
	insertID         string
}

// deduplicate returns the events without those of which a later copy arrived, in
// the order of arrival of the copies that stay. With byDay, events that differ only in their time within one UTC day are
// copies too.
func deduplicate(events []stored, byDay bool) []stored {
	latest := make(map[tuple]int, len(events))
	key := func(e *stored) tuple {
		t := e.time
		if byDay {
			day := 24 * time.Hour.Milliseconds()
			t -= t % day
		}
		return tuple{e.name, e.distinctID, t, e.insertID}
	}
	for i := range events {
		if e := &events[i]; e.insertID != "" {
			latest[key(e)] = i
		}
	}
	kept := events[:0:0]
	for i := range events {
		if e := &events[i]; e.insertID == "" || latest[key(e)] == i {
			kept = append(kept, *e)
		}
	}
	return kept
}
