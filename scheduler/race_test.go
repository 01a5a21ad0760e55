package scheduler_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"muster/scheduler"
)

const day = 24 * time.Hour

var long = flag.Bool("long", false, "let the runners of random tests run for a week or more")

// TestRacingRunnersDoEachSlotOnce is three processes over two days.
func TestRacingRunnersDoEachSlotOnce(t *testing.T) {
	days := 2
	if *long {
		days = 7
	}
	for _, locks := range []bool{false, true} {
		t.Run(fmt.Sprintf("locks=%t", locks), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(t)
				m.locks = locks
				began := time.Now()
				m.create("minutely", "* * * * *", began)
				m.create("quarterly", "*/15 * * * *", began)
				m.create("hourly", "@hourly", began)
				m.create("nightly", "30 2 * * *", began)
				var c clock
				var stops []func()
				for range 3 {
					stops = append(stops, start(t, &scheduler.Runner{Slots: m.connect(), Work: m.lasting(always(time.Second)), Now: c.now}))
				}
				time.Sleep(time.Duration(days)*day + 30*time.Second)
				for _, stop := range stops {
					stop()
				}
				m.check(began)
				for key, want := range map[string]int{"minutely": days * 24 * 60, "quarterly": days * 24 * 4, "hourly": days * 24, "nightly": days} {
					if got := m.done(key); got != want {
						t.Errorf("%s: %d slots done, want %d", key, got, want)
					}
				}
			})
		})
	}
}

// TestSlotsSurviveAnything is processes that are slow, fail, panic, are stopped and
// started, and whose clock is set back and forward by an hour, at random.
func TestSlotsSurviveAnything(t *testing.T) {
	seeds, steps := uint64(4), 40
	if *long {
		seeds, steps = 16, 120
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lock sync.Mutex
				random := rand.New(rand.NewPCG(seed, 7))
				draw := func(n int) int {
					lock.Lock()
					defer lock.Unlock()
					return random.IntN(n)
				}
				m := newMemory(t)
				m.locks = seed%2 == 1
				began := time.Now()
				m.create("minutely", "* * * * *", began)
				m.create("five", "*/5 * * * *", began)
				m.create("hourly", "@hourly", began)
				var c clock
				work := m.lasting(func() time.Duration { return time.Duration(draw(100)) * time.Second })
				newRunner := func() *scheduler.Runner {
					return &scheduler.Runner{
						Slots: m.connect(),
						Now:   c.now,
						Work: func(ctx context.Context, slot scheduler.Slot, attempt int) error {
							switch draw(10) {
							case 0:
								return errors.New("not today")
							case 1:
								panic("not ever")
							}
							return work(ctx, slot, attempt)
						},
					}
				}
				stops := []func(){start(t, newRunner()), start(t, newRunner()), start(t, newRunner())}
				for range steps {
					time.Sleep(time.Duration(draw(2*3600)) * time.Second)
					switch draw(3) {
					case 0:
						c.set(time.Duration(draw(3)-1) * time.Hour)
					case 1:
						i := draw(len(stops))
						stops[i]()
						stops[i] = start(t, newRunner())
					}
				}
				// When the clock is right again all is made up for.
				c.set(0)
				time.Sleep(2*time.Hour - time.Duration(time.Now().Unix()%3600)*time.Second)
				for _, stop := range stops {
					stop()
				}
				m.check(began)
				for key, most := range map[string]time.Duration{"minutely": 20 * time.Minute, "five": 25 * time.Minute, "hourly": 80 * time.Minute} {
					if age := time.Since(m.last(key)); age < 0 || age > most {
						t.Errorf("%s has come to %v at %v", key, m.last(key), time.Now())
					}
				}
			})
		})
	}
}
