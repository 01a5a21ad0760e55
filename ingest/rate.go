package ingest

import (
	"cmp"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// DefaultRate is the number of requests per second that one source may make, unless the
// source or APIConfig.DefaultRate says otherwise.
const DefaultRate = 1_000

// pacer keeps a token bucket for every source.
type pacer struct {
	standard float64 // rate of sources that have none
	mu       sync.Mutex
	buckets  map[int64]*rate.Limiter
}

// wait takes a token of the source. If there is none it returns how long the client
// has to wait for one.
func (p *pacer) wait(src Source, now time.Time) time.Duration {
	r := p.bucket(src, now).ReserveN(now, 1)
	delay := r.DelayFrom(now)
	if delay > 0 {
		r.CancelAt(now)
	}
	return delay
}

// bucket is the bucket of the source, at the source's present rate.
func (p *pacer) bucket(src Source, now time.Time) *rate.Limiter {
	limit := rate.Limit(cmp.Or(src.Rate, p.standard))
	burst := int(math.Max(1, math.Ceil(float64(limit))))
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.buckets[src.ID]
	if b == nil {
		if p.buckets == nil {
			p.buckets = map[int64]*rate.Limiter{}
		}
		b = rate.NewLimiter(limit, burst)
		p.buckets[src.ID] = b
	}
	if b.Limit() != limit {
		b.SetLimitAt(now, limit)
		b.SetBurstAt(now, burst)
	}
	return b
}
