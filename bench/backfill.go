package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"muster/bench/result"
)

func backfillFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	events := numbers{1_000_000}
	set.Var(&events, "events", "stored `events`, sizes separated by commas")
	profiles := set.Int("profiles", 0, "`users`; 0: one for 20 events")
	seed := set.Uint64("seed", 1, "of the generated traffic")
	return func(ctx context.Context, b *bench) error {
		for _, n := range events {
			t := &Traffic{Seed: *seed, Profiles: n / 20, Start: historyStart, Hours: 24 * historyDays, Events: n}
			if *profiles > 0 {
				t.Profiles = *profiles
			}
			if err := backfillSize(ctx, b, t); err != nil {
				return fmt.Errorf("%d events: %w", n, err)
			}
		}
		b.report.Note("The baseline is SELECT profile_id, count(*) FROM events WHERE event_name_id = ... GROUP BY 1, read to its end and thrown away: it stores nothing. " +
			"The backfill stores the states, the members and their history, and queues what Mixpanel is to be told, in chunks that can be killed and resumed.")
		return nil
	}
}

// backfillSize measures the audience of those who did the commonest thing ten times.
func backfillSize(ctx context.Context, b *bench, t *Traffic) error {
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	past, err := d.load(ctx, t, b.say)
	if err != nil {
		return err
	}
	for _, def := range []definition{
		audience("viewers", "10", part{names[0].name, anyEvent, 0, "count"}),
		audience("viewers_30d", "10", part{names[0].name, anyEvent, 30, "count"}),
	} {
		name := fmt.Sprintf("%s events, %s", result.Number(float64(t.Events)), def.key)
		plain, err := plainGroupBy(ctx, past)
		if err != nil {
			return err
		}
		d.meter.reset()
		var took time.Duration
		var read int64
		before := b.server.cpu()
		peak, err := peakMemory(func() error {
			return d.meter.watch(func() (err error) {
				took, read, err = d.define(ctx, []definition{def}, t.End())
				return err
			})
		})
		if err != nil {
			return err
		}
		used := b.server.cpu().since(before)
		b.report.Add(result.Line{Case: name, Measure: "backfill", Value: took.Seconds(), Unit: "s", Baseline: "GROUP BY", Against: plain.Seconds()})
		b.report.Add(result.Line{Case: name, Measure: "events read", Value: float64(read) / took.Seconds(), Unit: "events/s"})
		b.report.Add(result.Line{Case: name, Measure: "peak memory of the Go process, above what it had", Value: peak, Unit: "MB"})
		b.addCPU(name, "profile", used, t.Profiles)
		b.report.Phases = append(b.report.Phases, d.meter.phases(name, "profile", t.Profiles))
		b.say("%s: %s, GROUP BY %s", name, took.Round(time.Millisecond), plain.Round(time.Millisecond))
	}
	return nil
}

// plainGroupBy is the median of three.
func plainGroupBy(ctx context.Context, past *history) (time.Duration, error) {
	var all []time.Duration
	for range 3 {
		began := time.Now()
		rows, err := past.Pool().Query(ctx, `SELECT profile_id, count(*) FROM events WHERE event_name_id = $1 GROUP BY 1`, past.ids[0])
		if err != nil {
			return 0, err
		}
		for rows.Next() { // what it says is of no interest
		}
		if err := rows.Err(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(began))
	}
	return time.Duration(median(all) * float64(time.Millisecond)), nil
}

// peakMemory is by how many megabytes the memory of this process grew while f ran.
func peakMemory(f func() error) (float64, error) {
	runtime.GC()
	debug.FreeOSMemory()
	before := residentBytes()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		most := before
		for {
			select {
			case <-tick.C:
				most = max(most, residentBytes())
			case <-stop:
				peak <- most
				return
			}
		}
	}()
	err := f()
	close(stop)
	return float64(<-peak-before) / 1e6, err
}

// residentBytes is what the Go runtime holds of the machine's memory.
func residentBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
