package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"muster/tests/served"
)

// soakLooks is into how many parts a soak is divided, each of which is a point of the graph.
const soakLooks = 180

// patience is how many seconds' requests may wait for a connection before the soak gives up:
// muster does not keep up then, and the graph would show nothing but that.
const patience = 60

// due is a request with the instant at which it is to be sent.
type due struct {
	request
	key string
	at  time.Time
}

// soakFor sends requests at one rate for long, looks at everything that might grow meanwhile,
// and compares the store with what was answered in the end.
func (r *run) soakFor(ctx context.Context, out, log io.Writer) error {
	return r.on(ctx, log, func(s stage) error { return r.soakOn(ctx, s, out, log) })
}

func (r *run) soakOn(ctx context.Context, s stage, out, log io.Writer) (err error) {
	rep := &soakReport{}
	about := fmt.Sprintf("%g events a second over HTTP for %v into muster serve, which computes and tells", r.rate*float64(r.batch), r.soak)
	if rep.Report, err = r.begin(ctx, s.conn, "soak", about); err != nil {
		return err
	}
	fmt.Fprintf(log, "sending %g requests of %d events a second for %v\n", r.rate, r.batch, r.soak)
	w := &watch{muster: s.muster, conn: s.conn, log: log, report: rep}
	calls, err := r.keepSending(ctx, s.clients, w)
	if err != nil {
		return err
	}
	rep.conclude()
	rep.Finish(time.Now())
	if err := rep.settleAccounts(ctx, s, calls, log); err != nil {
		return err
	}
	if err := rep.files(r.save, r.graph); err != nil {
		return err
	}
	return rep.WriteTable(out)
}

// keepSending sends for the time of the soak and returns how many calls were answered 200.
func (r *run) keepSending(ctx context.Context, c *clients, w *watch) (calls int64, err error) {
	requests := make(chan due, int(r.rate*patience)+1)
	var answered, again atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	g.Go(func() error {
		defer close(requests)
		return r.feed(ctx, requests, began)
	})
	for range c.connections {
		g.Go(func() error {
			for q := range requests {
				if err := c.deliver(ctx, q.request, q.key, &again); err != nil {
					return err
				}
				answered.Add(int64(q.calls))
				w.answered(time.Since(q.at), q.calls)
			}
			return nil
		})
	}
	g.Go(func() error { return w.lookFor(ctx, began, r.soak, &again) })
	err = g.Wait()
	return answered.Load(), err
}

// feed makes each request when it is due.
func (r *run) feed(ctx context.Context, requests chan<- due, began time.Time) error {
	s := newShop(r.seed, r.users)
	for i := 0; ; i++ {
		at := began.Add(time.Duration(float64(i) / r.rate * float64(time.Second)))
		if at.Sub(began) >= r.soak {
			return nil
		}
		if err := sleep(ctx, time.Until(at)); err != nil {
			return err
		}
		q := due{request{"/v1/batch", nil, r.batch}, writeKeys[i%len(writeKeys)], at}
		if r.single {
			q.path, q.body = "/v1/t", s.single(at)
		} else {
			q.body = s.batch(r.batch, at)
		}
		select {
		case requests <- q:
		default:
			return fmt.Errorf("muster does not keep up: the requests of %d seconds wait for an answer after %v", patience, time.Since(began).Round(time.Second))
		}
	}
}

// watch looks at muster and its database now and then, and collects the answers between two looks.
type watch struct {
	muster *served.Server
	conn   *pgx.Conn
	log    io.Writer
	report *soakReport

	mu    sync.Mutex
	waits []time.Duration
	calls int
}

func (w *watch) answered(wait time.Duration, calls int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waits = append(w.waits, wait)
	w.calls += calls
}

// take returns what was answered since it was called last, the shortest wait first.
func (w *watch) take() (waits []time.Duration, calls int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	waits, calls = w.waits, w.calls
	w.waits, w.calls = nil, 0
	slices.Sort(waits)
	return waits, calls
}

// lookFor looks soakLooks times, evenly over a time that began at an instant.
func (w *watch) lookFor(ctx context.Context, began time.Time, long time.Duration, again *atomic.Int64) error {
	previous, _ := processorTime(w.muster.PID())
	from := began
	for i := range soakLooks {
		if err := sleep(ctx, time.Until(began.Add(long*time.Duration(i+1)/soakLooks))); err != nil {
			return err
		}
		waits, calls := w.take()
		v, err := readVitals(ctx, w.muster, w.conn)
		if err != nil {
			return err
		}
		now := time.Now()
		used, known := processorTime(w.muster.PID())
		v.Minute = now.Sub(began).Minutes()
		v.EventsPerSecond = float64(calls) / now.Sub(from).Seconds()
		o := outcome{Answered: waits}
		v.P50, v.P99, v.Longest = o.quantile(0.50).Seconds()*1000, o.quantile(0.99).Seconds()*1000, o.quantile(1).Seconds()*1000
		v.SentAgain = again.Load()
		if known {
			spent := used.since(previous)
			v.MusterCores, v.PostgreSQLCores = spent.Muster.Seconds()/now.Sub(from).Seconds(), spent.PostgreSQL.Seconds()/now.Sub(from).Seconds()
		}
		previous, from = used, now
		w.report.Looks = append(w.report.Looks, v)
		if i%10 == 9 {
			fmt.Fprintf(w.log, "%5.1f min: %6.0f events/s, p99 %4.0f ms, oldest message %3.1f s, memory %3.0f MB, database %.1f GB\n",
				v.Minute, v.EventsPerSecond, v.P99, v.OldestSeconds, v.MusterMemory/1e6, v.bytes()/1e9)
		}
	}
	return nil
}
