package deliver

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"muster/engine"
)

// Defaults of Pace.
const (
	DefaultBatch          = 2000
	DefaultConcurrency    = 16
	DefaultFirstDelay     = 2 * time.Second
	DefaultLongestDelay   = time.Minute
	DefaultSettle         = time.Second
	DefaultGiveUpAge      = 24 * time.Hour
	DefaultGiveUpAttempts = 10
)

// longestRetryAfter bounds what a destination may ask for, so that a mistaken
// header does not silence it for years.
const longestRetryAfter = time.Hour

// CodeGaveUp is the code of a letter that failed for too long.
const CodeGaveUp = "gave_up"

// Pace is how a destination is served. The zero value of a field means its
// default.
type Pace struct {
	// Batch is the largest number of entries in one Send.
	Batch int
	// Window is how many entries a lane may have in hand or resolved beyond its
	// position; with one entry stuck, a lane goes on until the window is full.
	// It bounds the memory and the stored state of a lane. At least Batch;
	// default 5 * Batch.
	Window int
	// Concurrency is the largest number of lanes of the destination that this
	// process works on at once.
	Concurrency int
	// FirstDelay and LongestDelay bound the pause after failures: a random part of
	// FirstDelay after the first, of twice as much after each further one, and
	// never of more than LongestDelay (full jitter).
	FirstDelay, LongestDelay time.Duration
	// Settle is how long entries of both carriers wait after a barrier. Negative:
	// not at all.
	Settle time.Duration
	// An entry is given up once it has failed at least GiveUpAttempts times and
	// for GiveUpAge since its first failure. Both must hold, so that neither many
	// quick tries nor a backlog that is old when it is first sent loses anything,
	// nor an outage that is shorter than GiveUpAge.
	GiveUpAge      time.Duration
	GiveUpAttempts int
}

// withDefaults fills in what is not set.
func (p Pace) withDefaults() Pace {
	p.Batch = cmp.Or(p.Batch, DefaultBatch)
	p.Window = cmp.Or(p.Window, 5*p.Batch)
	p.Concurrency = cmp.Or(p.Concurrency, DefaultConcurrency)
	p.FirstDelay = cmp.Or(p.FirstDelay, DefaultFirstDelay)
	p.LongestDelay = cmp.Or(p.LongestDelay, max(p.FirstDelay, DefaultLongestDelay))
	p.Settle = cmp.Or(p.Settle, DefaultSettle)
	p.GiveUpAge = cmp.Or(p.GiveUpAge, DefaultGiveUpAge)
	p.GiveUpAttempts = cmp.Or(p.GiveUpAttempts, DefaultGiveUpAttempts)
	p.Settle = max(p.Settle, 0)
	return p
}

// Validate reports every field that is out of range.
func (p Pace) Validate() error {
	p = p.withDefaults()
	var faults []error
	atLeastOne := func(name string, n int) {
		if n < 1 {
			faults = append(faults, fmt.Errorf("%s is %d: it must be at least 1 (0 means the default)", name, n))
		}
	}
	positive := func(name string, d time.Duration) {
		if d < 0 {
			faults = append(faults, fmt.Errorf("%s is %v: it must be positive (0 means the default)", name, d))
		}
	}
	atLeastOne("batch", p.Batch)
	atLeastOne("concurrency", p.Concurrency)
	atLeastOne("give-up attempts", p.GiveUpAttempts)
	positive("first delay", p.FirstDelay)
	positive("longest delay", p.LongestDelay)
	positive("give-up age", p.GiveUpAge)
	if p.Window < p.Batch {
		faults = append(faults, fmt.Errorf("window is %d: it must be at least the batch, %d", p.Window, p.Batch))
	}
	if p.LongestDelay < p.FirstDelay {
		faults = append(faults, fmt.Errorf("longest delay is %v: it must be at least the first delay, %v", p.LongestDelay, p.FirstDelay))
	}
	return errors.Join(faults...)
}

// delay is the pause after the attempt-th failure in a row (from 1). random, in
// [0, 1), spreads the lanes so that they do not come back all at once, also after
// a wait that the destination asked for.
func (p Pace) delay(attempt int, retryAfter time.Duration, random float64) time.Duration {
	ceiling := p.FirstDelay
	for n := 1; n < attempt && ceiling < p.LongestDelay; n++ {
		ceiling *= 2
	}
	ceiling = min(ceiling, p.LongestDelay)
	if retryAfter > 0 {
		return min(retryAfter, longestRetryAfter) + time.Duration(random*float64(p.FirstDelay))
	}
	return time.Duration(random * float64(ceiling))
}

// failure is what is known about an entry that has failed and is tried again.
type failure struct {
	attempts int
	since    time.Time
	last     engine.Outcome
}

// givesUp says whether an entry with this failure is not to be tried again.
func (p Pace) givesUp(f failure, now time.Time) bool {
	return f.attempts >= p.GiveUpAttempts && now.Sub(f.since) >= p.GiveUpAge
}
