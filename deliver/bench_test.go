package deliver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"muster/engine"
	"muster/event"
)

// instant is a destination that takes everything at once.
type instant struct{}

func (instant) Send(_ context.Context, calls []*event.Call, _ time.Time) []engine.Outcome {
	return make([]engine.Outcome, len(calls))
}

// BenchmarkDrain measures what delivery itself costs per entry, with a queue in
// memory and a destination that answers at once; one entry in a hundred joins two
// carriers.
func BenchmarkDrain(b *testing.B) {
	const entries = 100_000
	clock := newClock()
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		q := newMemQueue(16, "mp")
		for i := range entries {
			if i%100 == 0 {
				q.appendAlias("mp", fmt.Sprint("c", i), fmt.Sprint("c", i+7), fmt.Sprint("alias", i), clock.Now())
				continue
			}
			q.append("mp", fmt.Sprint("c", i), "m", true, clock.Now())
		}
		d, err := New(Config{
			Queue: q, Targets: targets(Target{Name: "mp", Destination: instant{}, Pace: Pace{Settle: -1}}),
			Owner: "one", Now: clock.Now, Random: func() float64 { return 0 },
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := d.Drain(b.Context()); err != nil {
			b.Fatal(err)
		}
		if open := q.open("mp"); len(open) > 0 {
			b.Fatalf("%d entries are left", len(open))
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
