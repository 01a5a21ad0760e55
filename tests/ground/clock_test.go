package ground_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/app"
	"muster/engine"
	"muster/ingest"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// clock is one that somebody sets.
type clock struct{ off atomic.Int64 }

func (c *clock) now() time.Time        { return time.Now().Add(time.Duration(c.off.Load())) }
func (c *clock) jump(by time.Duration) { c.off.Add(int64(by)) }
func (c *clock) set(t time.Time)       { c.off.Store(int64(time.Until(t))) }

// process is the program's parts in this process, put together as serve does it, on a clock
// that a test may set. The clock of a real process cannot be set without setting everybody's.
type process struct {
	url  string
	stop func() error // lets all that is at hand finish
}

func startProcess(t *testing.T, dsn string, fake *mixpaneltest.Server, c *clock) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s, err := store.Open(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Configure(ctx, store.Configuration{Sources: []store.ConfiguredSource{{Name: "app", Key: writeKey}}}, c.now()); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(ctx, app.Options{
		Store: s, Now: c.now, Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: mixpaneltest.DefaultToken, BaseURL: fake.URL()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	told := []engine.ConnectionDefinition{{Destination: "mixpanel"}}
	refused, err := a.Define(ctx, []engine.Definition{
		{Kind: query.Trait, Key: "orders", Query: "event('Order Completed').count()", IncludeHistorical: true, Connections: told},
		{Kind: query.Trait, Key: "today", Query: "event('Order Completed').within(1 day).count()", Schedule: "* * * * *", IncludeHistorical: true, Connections: told},
	})
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	collector := ingest.NewCollector(a.Sink(), ingest.CollectorConfig{})
	api, err := ingest.NewAPI(ingest.APIConfig{Sources: s.WriteKeys(c.now), Collector: collector, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(api)
	var g errgroup.Group
	g.Go(func() error { return collector.Run(ctx) })
	g.Go(func() error { return a.Run(ctx) })
	stop := sync.OnceValue(func() error {
		web.Close()
		cancel()
		err := g.Wait()
		a.Close()
		s.Close()
		return err
	})
	t.Cleanup(func() { _ = stop() }) // only when the test has failed already
	return &process{url: web.URL, stop: stop}
}

// The clock is set forward by an hour, over midnight, back, and back once more. Each batch is sent
// again after each jump: nothing counts twice. Slots run once each, and those who were told hear
// what is true.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	w := &world{T: t, fake: mixpaneltest.Start(t, mixpaneltest.Options{}), database: pgtest.DSN(t)}
	var c clock
	midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	c.set(midnight.Add(-30 * time.Minute))
	p := startProcess(t, w.database, w.fake, &c)
	calls := startTraffic(p.url)
	for _, by := range []time.Duration{time.Hour, -time.Hour, -time.Hour, 2 * time.Hour} {
		calls.must(t, 15)
		c.jump(by)
		calls.again(t)
	}
	calls.must(t, 15)
	calls.stop()
	conn := w.connect()
	w.checkStored(conn, calls)
	w.checkCounted(conn)
	each(t, conn, `SELECT schedule || ' ' || slot || ' ' || coalesce(error, ''), attempt FROM muster.slots WHERE status <> 'done'`, func(slot string, n int) {
		t.Errorf("the slot %s is not done after %d attempts", slot, n)
	})
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// A process whose clock was an hour ahead dies. Its successor does not wait an hour for what it
// had taken.
func TestLeaseFromTheFuture(t *testing.T) {
	t.Parallel()
	w := &world{T: t, fake: mixpaneltest.Start(t, mixpaneltest.Options{}), database: pgtest.DSN(t)}
	address := w.overWire("")
	var c clock
	c.jump(time.Hour)
	p := startProcess(t, address, w.fake, &c)
	calls := startTraffic(p.url)
	calls.must(t, 10)
	calls.stop()
	conn := w.connect()
	w.checkCounted(conn)
	// It dies without a word: nothing can be given back.
	w.wire.cut()
	_ = p.stop() // its complaints are no matter
	w.wire.mend(t)
	c.set(time.Now())
	p = startProcess(t, address, w.fake, &c)
	calls.resume(p.url)
	calls.must(t, 10)
	calls.stop()
	w.checkStored(conn, calls)
	w.checkCounted(conn)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}
