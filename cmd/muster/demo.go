package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/demo"
	"muster/engine"
	"muster/identity"
	"muster/internal/pgserver"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// The demo's calendar: what lies before liveFrom is loaded as history, the rest is played.
var (
	liveFrom  = time.Date(2011, 10, 1, 0, 0, 0, 0, time.UTC)
	liveUntil = time.Date(2011, 12, 10, 0, 0, 0, 0, time.UTC)
)

func newDemo(env *environment) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Show the whole way on a real shop's log, on this machine only",
		Long: `Demo starts a private PostgreSQL in a temporary folder and plays Mixpanel on loopback.
It loads ten months of a real web shop's log as history, computes six audiences and
four traits, plays the ten weeks that follow with a simulated clock, hour by hour, and
proves at the end that Mixpanel holds what the database says. Nothing leaves this machine.`,
		Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), env, keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave everything running at the end, for looking around")
	return cmd
}

// show is a demo under way.
type show struct {
	env    *environment
	bar    *bar
	clock  atomic.Pointer[time.Time]
	app    *app.App
	store  *store.Store
	server *pgserver.Server
	fake   *mixpaneltest.Server
	source store.Source
	log    *shopLog
	began  time.Time
}

// Now is the simulated clock.
func (s *show) Now() time.Time { return *s.clock.Load() }

func (s *show) setNow(t time.Time) {
	s.clock.Store(&t)
	s.fake.SetNow(t)
}

func runDemo(ctx context.Context, env *environment, keep bool) (err error) {
	s := &show{env: env, bar: newBar(env), began: env.now()}
	closeAll, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	for _, act := range []func(context.Context) error{s.history, s.backfill, s.play} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	s.say("")
	if err := s.table(ctx); err != nil {
		return err
	}
	if err := s.customer(ctx); err != nil {
		return err
	}
	if err := s.proof(ctx); err != nil {
		return err
	}
	s.say("\n%s\nThe whole demo took %s.", demo.Attribution, env.now().Sub(s.began).Round(100*time.Millisecond))
	if !keep {
		s.say("Look around yourself: muster demo --keep")
		return nil
	}
	s.say("\nEverything is left running until Ctrl-C. Look around:")
	s.say("  database  %s", s.server.Psql())
	s.say("  Mixpanel  curl -s '%s/_fake/profile?token=%s&distinct_id=%s'", s.fake.URL(), mixpaneltest.DefaultToken, s.log.favourite)
	<-ctx.Done()
	return nil
}

func (s *show) say(format string, args ...any) {
	s.bar.clear()
	fmt.Fprintf(s.env.out, format+"\n", args...)
}

// open starts all parts and returns what stops them.
func (s *show) open(ctx context.Context) (_ func() error, err error) {
	var stops []func() error
	stop := func() error {
		var errs []error
		for _, stop := range slices.Backward(stops) {
			errs = append(errs, stop())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	s.say("Starting a private PostgreSQL in a temporary folder, and a strict imitation of Mixpanel on loopback.")
	if s.server, err = startDatabase(ctx, pgserver.Options{Throwaway: true, SearchPath: "muster"}, s.env.logger(slog.LevelWarn)); err != nil {
		return nil, err
	}
	stops = append(stops, s.server.Stop)
	s.fake = mixpaneltest.NewServer(mixpaneltest.Options{Now: s.Now})
	if _, err = s.fake.Start("127.0.0.1:0"); err != nil {
		return nil, err
	}
	stops = append(stops, s.fake.Close)
	s.setNow(liveFrom)
	if s.store, err = store.Open(ctx, s.server.DSN()); err != nil {
		return nil, err
	}
	stops = append(stops, func() error { s.store.Close(); return nil })
	s.app, err = app.New(ctx, app.Options{
		Store: s.store, Identity: identity.DefaultSettings(), Now: s.Now,
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: mixpaneltest.DefaultToken, BaseURL: s.fake.URL()}},
		Log:          s.env.logger(slog.LevelWarn),
	})
	if err != nil {
		return nil, err
	}
	stops = append(stops, func() error { s.app.Close(); return nil })
	if s.source, err = s.store.EnsureSource(ctx, "shop", s.Now()); err != nil {
		return nil, err
	}
	s.log, err = readShopLog(bytes.NewReader(demo.Log))
	return stop, err
}

// history loads what happened before the demo's present.
func (s *show) history(ctx context.Context) error {
	began := s.env.now()
	const batch = 2000
	calls := s.log.before(liveFrom)
	for from := 0; from < len(calls); from += batch {
		if err := s.ingest(ctx, calls[from:min(from+batch, len(calls))]); err != nil {
			return err
		}
		s.bar.show(int64(from), int64(len(calls)), "loading ten months of calls", 0)
	}
	took := s.env.now().Sub(began)
	var profiles, events int64
	err := s.store.Pool().QueryRow(ctx, `SELECT (SELECT count(*) FROM profiles), (SELECT count(*) FROM events)`).Scan(&profiles, &events)
	if err != nil {
		return err
	}
	s.say("Loaded %s to %s: %d calls (%d events) of %d profiles in %s, %.0f calls/s.",
		"1 December 2010", "30 September 2011", len(calls), events, profiles, took.Round(time.Millisecond), float64(len(calls))/took.Seconds())
	return nil
}

func (s *show) ingest(ctx context.Context, calls []engine.Received) error {
	if len(calls) == 0 {
		return nil
	}
	for i := range calls {
		calls[i].SourceID, calls[i].Source = s.source.ID, s.source.Name
	}
	_, err := s.app.Engine.Ingest(ctx, calls, s.Now())
	return err
}

// backfill defines the computations and computes them from history.
func (s *show) backfill(ctx context.Context) error {
	refused, err := s.app.Define(ctx, demoDefinitions())
	if err != nil {
		return err
	}
	for _, r := range refused {
		err = errors.Join(err, r)
	}
	if err != nil {
		return err
	}
	began := s.env.now()
	var last engine.BackfillProgress
	err = s.app.Backfill(ctx, func(p engine.BackfillProgress) {
		if p.Total > 0 {
			s.bar.show(p.Done, p.Total, fmt.Sprintf("backfilling, %d events read", p.EventsRead), 0)
		}
		if p.Done > 0 {
			last = p
		}
	})
	if err != nil {
		return err
	}
	took := s.env.now().Sub(began)
	if err := s.app.Settle(ctx); err != nil {
		return err
	}
	s.say("Defined 6 audiences and 4 traits; backfilled %d profiles from %d events in %s; first sync: %d messages.",
		last.Done, last.EventsRead, took.Round(time.Millisecond), s.told(ctx))
	return nil
}

// told is how many messages were acknowledged.
func (s *show) told(ctx context.Context) (n int64) {
	if err := s.store.Pool().QueryRow(ctx, `SELECT coalesce(sum(delivered), 0) FROM queue_positions`).Scan(&n); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return n
}

// play lets the weeks pass, hour by hour: the hour's calls, then the slot.
func (s *show) play(ctx context.Context) error {
	began := s.env.now()
	before := s.told(ctx)
	hours := int64(liveUntil.Sub(liveFrom) / time.Hour)
	calls, slots := 0, int64(0)
	for hour := liveFrom; hour.Before(liveUntil); hour = hour.Add(time.Hour) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		end := hour.Add(time.Hour)
		s.setNow(end)
		batch := s.log.between(hour, end)
		if err := s.ingest(ctx, batch); err != nil {
			return err
		}
		calls += len(batch)
		if err := s.app.RunSlots(ctx); err != nil {
			return err
		}
		if err := s.app.Deliver(ctx); err != nil {
			return err
		}
		slots++
		s.bar.show(slots, hours, end.Format("2 January 2006 15:04")+", hour by hour", 0)
	}
	took := s.env.now().Sub(began)
	s.say("Played %s to %s hour by hour: %d calls, %d hourly slots, %d messages in %s (%.0f simulated hours a second).",
		"1 October", "9 December 2011", calls, slots, s.told(ctx)-before, took.Round(100*time.Millisecond), float64(slots)/took.Seconds())
	return nil
}

// demoDefinitions are of different kinds: with and without a window, for known people
// and for guests, told as properties and as events.
func demoDefinitions() []engine.Definition {
	property := []engine.ConnectionDefinition{{Destination: "mixpanel"}}
	event := []engine.ConnectionDefinition{{Destination: "mixpanel", Emit: engine.EmitTrack}}
	return []engine.Definition{
		{
			Name: "Active 7 days", Kind: query.Audience, IncludeHistorical: true, Connections: property,
			Query: `event('Order Completed').within(7 days).count() >= 1`,
		},
		{
			Name: "Repeat buyers 30 days", Kind: query.Audience, IncludeHistorical: true, Connections: property,
			Query: `event('Order Completed').within(30 days).count() >= 2`,
		},
		{
			Name: "Big spenders", Kind: query.Audience, IncludeHistorical: true, Connections: property,
			Query: `event('Order Completed').sum(property('revenue')) >= 5000`,
		},
		{
			Name: "Refunders", Kind: query.Audience, IncludeHistorical: true, Connections: event,
			Query: `event('Order Refunded').count() >= 1 AND event('Order Completed').count() >= 1`,
		},
		{
			Name: "Lapsed", Kind: query.Audience, IncludeHistorical: true, Connections: property,
			Query: `event('Order Completed').between(30 days, 90 days).count() >= 1 AND event('Order Completed').within(30 days).count() = 0`,
		},
		{
			Name: "Large baskets 14 days", Kind: query.Audience, IncludeHistorical: true, IncludeAnonymous: true, Connections: property,
			Query: `event('Order Completed').where(property('revenue') > 500).within(14 days).count() >= 1`,
		},
		{
			Name: "Lifetime value", Kind: query.Trait, IncludeHistorical: true, Connections: property,
			Query: `event('Order Completed').sum(property('revenue'))`,
		},
		{
			Name: "Orders 30 days", Kind: query.Trait, IncludeHistorical: true, Connections: property,
			Query: `event('Order Completed').within(30 days).count()`,
		},
		{
			Name: "Average order", Kind: query.Trait, IncludeHistorical: true, Connections: property,
			Query: `event('Order Completed').avg(property('revenue'))`,
		},
		{
			Name: "First country", Kind: query.Trait, IncludeHistorical: true, IncludeAnonymous: true, Connections: property,
			Query: `event('Order Completed').first(property('country'))`,
		},
	}
}
