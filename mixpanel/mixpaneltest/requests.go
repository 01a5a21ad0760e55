package mixpaneltest

import (
	"maps"
	"sync"
	"time"
)

// Request is one request that the server answered, or cut off.
type Request struct {
	Number   int           `json:"number"` // from 1
	Time     time.Time     `json:"time"`   // by the server's clock
	Endpoint Endpoint      `json:"endpoint"`
	Status   int           `json:"status"`         // HTTP; 0 when the connection was broken
	Records  int           `json:"records"`        // in the body
	Good     int           `json:"good"`           // of those, taken
	Wire     int           `json:"wire_bytes"`     // the body as sent
	Bytes    int           `json:"bytes"`          // the body uncompressed
	Duration time.Duration `json:"duration"`       // until the answer was ready, by the real clock
	Fault    FaultKind     `json:"fault,omitzero"` // what struck it
}

// Totals add up the requests of one endpoint.
type Totals struct {
	Requests int           `json:"requests"`
	Records  int           `json:"records"`
	Good     int           `json:"good"`
	Wire     int64         `json:"wire_bytes"`
	Bytes    int64         `json:"bytes"`
	Statuses map[int]int   `json:"statuses"` // requests by HTTP status; 0 when cut off
	Longest  time.Duration `json:"longest"`
	Sum      time.Duration `json:"sum"` // of the durations
	Faults   int           `json:"faults"`
}

// RequestLog is what the server received since it was started or reset.
type RequestLog struct {
	Totals map[Endpoint]Totals `json:"totals"`
	Recent []Request           `json:"recent"` // the newest, in the order of their answers
}

type requestLog struct {
	mu     sync.Mutex
	keep   int
	recent []Request
	first  int
	totals [len(endpoints)]Totals
}

func (l *requestLog) add(c *call, status int, took time.Duration) {
	r := Request{
		Number: c.number, Time: c.now, Endpoint: c.endpoint, Status: status,
		Records: len(c.records), Good: c.good, Wire: c.wire, Bytes: len(c.body), Duration: took,
	}
	if c.fault != nil {
		r.Fault = c.fault.Kind
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) < l.keep {
		l.recent = append(l.recent, r)
	} else {
		l.recent[l.first] = r
		l.first = (l.first + 1) % l.keep
	}
	for i, e := range endpoints {
		if e != c.endpoint {
			continue
		}
		t := &l.totals[i]
		t.Requests++
		t.Records += r.Records
		t.Good += r.Good
		t.Wire += int64(r.Wire)
		t.Bytes += int64(r.Bytes)
		if t.Statuses == nil {
			t.Statuses = map[int]int{}
		}
		t.Statuses[status]++
		t.Longest = max(t.Longest, took)
		t.Sum += took
		if r.Fault != "" {
			t.Faults++
		}
	}
}

// Requests returns the totals per endpoint, and the newest requests.
func (s *Server) Requests() RequestLog {
	l := &s.requests
	l.mu.Lock()
	defer l.mu.Unlock()
	log := RequestLog{Totals: map[Endpoint]Totals{}}
	for i, e := range endpoints {
		t := l.totals[i]
		t.Statuses = maps.Clone(t.Statuses)
		log.Totals[e] = t
	}
	log.Recent = append(append(make([]Request, 0, len(l.recent)), l.recent[l.first:]...), l.recent[:l.first]...)
	return log
}

// InFlight is how many requests have been read and not answered yet, because they
// are delayed by a fault or just being processed.
func (s *Server) InFlight() int { return int(s.inFlight.Load()) }

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent, l.first, l.totals = nil, 0, [len(endpoints)]Totals{}
}
