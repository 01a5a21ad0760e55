package mixpaneltest

import (
	"sync"
	"time"
)

// rateMeter counts what a project received during the last minute, second by second.
type rateMeter struct {
	mu      sync.Mutex
	seconds [60]struct {
		at            int64 // Unix seconds
		events, bytes int
	}
}

// take adds a request and tells whether the minute that ends now stays within the
// limits. A refused request counts as well, as with Mixpanel.
func (m *rateMeter) take(now time.Time, events, bytes int, l *Limits) bool {
	if l.EventsPerMinute == 0 && l.BytesPerMinute == 0 {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := now.Unix()
	slot := &m.seconds[(at%60+60)%60]
	if slot.at != at {
		slot.at, slot.events, slot.bytes = at, 0, 0
	}
	slot.events += events
	slot.bytes += bytes
	events, bytes = 0, 0
	for _, s := range m.seconds {
		if at-60 < s.at && s.at <= at {
			events += s.events
			bytes += s.bytes
		}
	}
	return (l.EventsPerMinute == 0 || events <= l.EventsPerMinute) && (l.BytesPerMinute == 0 || bytes <= l.BytesPerMinute)
}

func (m *rateMeter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.seconds[:])
}

// overRate counts the request for its project; only events have a published rate.
func (c *call) overRate() bool {
	if c.project == nil || c.endpoint != Import && c.endpoint != Track {
		return false
	}
	return !c.project.rate.take(c.now, len(c.records), len(c.body), &c.server.options.Limits)
}
