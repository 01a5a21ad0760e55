package main

import (
	"context"
	"flag"
	"slices"
	"time"

	"muster/app"
	"muster/bench/result"
	"muster/identity"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
)

func idleFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	wait := set.Duration("for", 30*time.Second, "how long is watched")
	events := set.Int("events", 100_000, "stored `events`")
	return func(ctx context.Context, b *bench) error { return idle(ctx, b, *events, *wait) }
}

// idle runs the product as muster serve does, without its web server, on 40 computed
// definitions, once all is told.
func idle(ctx context.Context, b *bench, events int, wait time.Duration) error {
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	now := time.Now().UTC()
	const days = 91
	t := &Traffic{Seed: 1, Profiles: events / 20, Start: now.Truncate(time.Hour).Add(-days * 24 * time.Hour), Hours: days * 24, Events: events}
	if _, err := d.load(ctx, t, b.say); err != nil {
		return err
	}
	if _, _, err := d.define(ctx, slices.Concat(realtime(), windowed()), now); err != nil {
		return err
	}
	fake := mixpaneltest.NewServer(mixpaneltest.Options{Now: time.Now})
	if _, err := fake.Start("127.0.0.1:0"); err != nil {
		return err
	}
	defer fake.Close()
	a, err := app.New(ctx, app.Options{
		Store: d.Store, Identity: identity.DefaultSettings(), Now: time.Now,
		Destinations: map[string]mixpanel.Settings{destination: {Token: mixpaneltest.DefaultToken, BaseURL: fake.URL()}},
	})
	if err != nil {
		return err
	}
	defer a.Close()
	b.say("telling what is there, then watching for %s", wait)
	if err := a.Settle(ctx); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	alone, err := share(ctx, b, wait)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(running) }()
	const warmUp = 5 * time.Second
	if err := sleep(ctx, warmUp); err != nil {
		stop()
		return err
	}
	d.meter.reset()
	var busy cpu
	err = d.meter.watch(func() (err error) {
		busy, err = share(ctx, b, wait)
		return err
	})
	stop()
	if err := <-ended; err != nil {
		return err
	}
	if err != nil {
		return err
	}
	percent := func(x time.Duration) float64 { return 100 * x.Seconds() / wait.Seconds() }
	b.report.Add(result.Line{Case: "40 definitions, nothing happens", Measure: "processor time, Go", Value: percent(busy.own), Unit: "% of a core", Baseline: "not running", Against: percent(alone.own)})
	b.report.Add(result.Line{Case: "40 definitions, nothing happens", Measure: "processor time, PostgreSQL", Value: percent(busy.postgres), Unit: "% of a core", Baseline: "Muster not running", Against: percent(alone.postgres)})
	b.report.Phases = append(b.report.Phases, d.meter.phases("waiting for answers", "s", int(wait.Seconds())))
	b.report.Note("An hourly slot that falls into the time counts; run it away from the full hour to see none.")
	return nil
}

// share is the processor time that a span of time takes.
func share(ctx context.Context, b *bench, wait time.Duration) (cpu, error) {
	before := b.server.cpu()
	err := sleep(ctx, wait)
	return b.server.cpu().since(before), err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
