package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/bench/result"
	"muster/engine"
	"muster/event"
	"muster/ingest"
)

// realtimeRun are the flags of the realtime benchmark.
type realtimeRun struct {
	events, profiles, past int
	batches, workers       numbers
	sets                   numbers // of definitions, from 1
	sustain                time.Duration
	divide                 bool
	seed                   uint64
}

func realtimeFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	r := &realtimeRun{batches: numbers{100, 1000, 5000}, workers: numbers{1, 2}, sets: numbers{1, 2, 3}}
	set.IntVar(&r.events, "events", 100_000, "`calls` taken in for each case")
	set.IntVar(&r.profiles, "profiles", 100_000, "known `users`")
	set.IntVar(&r.past, "history", 500_000, "stored `events` at the beginning")
	set.Var(&r.batches, "batch", "calls in a transaction, separated by commas")
	set.Var(&r.workers, "workers", "transactions at the same time, separated by commas")
	set.BoolVar(&r.divide, "divide", true, "give each worker the calls of its own users, as an import does, so that none waits for another's locks")
	set.Var(&r.sets, "definitions", "1: 10 realtime and 30 windowed ones; 2: 100, 3: 1,000, of which an event touches 5")
	set.DurationVar(&r.sustain, "sustain", 0, "instead: take calls in for this long, in the largest batches by the most workers, with the first of the definitions")
	set.Uint64Var(&r.seed, "seed", 1, "of the generated traffic")
	return r.run
}

// definitionSets are what the realtime benchmark runs with.
func definitionSets() []struct {
	name string
	defs []definition
} {
	return []struct {
		name string
		defs []definition
	}{
		{"10 realtime + 30 windowed", slices.Concat(realtime(), windowed())},
		{"100, 5 touched", many(100, 5)},
		{"1,000, 5 touched", many(1000, 5)},
	}
}

func (r *realtimeRun) traffic() *Traffic {
	const days = 90
	return &Traffic{Seed: r.seed, Profiles: r.profiles, Start: historyStart, Hours: 24 * days, Events: r.past}
}

// historyStart is the beginning of all generated histories. It is fixed, so that the
// partitions by time are the same in every run.
var historyStart = time.Date(2025, 3, 3, 0, 0, 0, 0, time.UTC)

func (r *realtimeRun) run(ctx context.Context, b *bench) error {
	for i, set := range definitionSets() {
		if !slices.Contains(r.sets, i+1) || r.sustain > 0 && i+1 != r.sets[0] {
			continue
		}
		if err := r.definitions(ctx, b, set.name, set.defs); err != nil {
			return fmt.Errorf("%s: %w", set.name, err)
		}
	}
	b.report.Note("Calls are decoded beforehand; no HTTP. Property filters are evaluated. Calls are divided among workers by person, as an import does; with -divide=false any worker may meet any user.\n" +
		"The baseline is one connection that appends the same events by COPY, a transaction for each batch, to a table with the columns, partitions and indexes of the event log.")
	return nil
}

// definitions measures all cases with one set of definitions, each on a fresh copy of
// one loaded database.
func (r *realtimeRun) definitions(ctx context.Context, b *bench, name string, defs []definition) error {
	base, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer base.drop(ctx)
	traffic := r.traffic()
	if _, err := base.load(ctx, traffic, b.say); err != nil {
		return err
	}
	took, _, err := base.define(ctx, defs, traffic.End())
	if err != nil {
		return err
	}
	b.say("%s: defined and backfilled in %s", name, took.Round(time.Millisecond))
	if err := twin(ctx, base); err != nil {
		return err
	}
	if err := base.settle(ctx); err != nil {
		return err
	}
	base.Close()
	if r.sustain > 0 {
		return r.endure(ctx, b, name, base.name, slices.Max(r.batches), slices.Max(r.workers))
	}
	for _, batch := range r.batches {
		for _, workers := range r.workers {
			if err := r.burst(ctx, b, name, base.name, batch, workers); err != nil {
				return err
			}
		}
	}
	return nil
}

// twinTable is laid out like the event log, partitions and indexes included.
const twinTable = "bench_events"

func twin(ctx context.Context, d *database) error {
	return d.exec(ctx, `DO $$
		DECLARE p record;
		BEGIN
			CREATE TABLE muster.bench_events (LIKE muster.events INCLUDING ALL) PARTITION BY RANGE (ts);
			FOR p IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound
				FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'muster.events'::regclass LOOP
				EXECUTE format('CREATE TABLE muster.%I PARTITION OF muster.bench_events %s', 'bench_' || p.relname, p.bound);
			END LOOP;
		END $$`)
}

// burst takes a fixed number of calls in.
func (r *realtimeRun) burst(ctx context.Context, b *bench, name, template string, batch, workers int) error {
	d, err := b.server.newDatabase(ctx, template)
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	batches, err := r.calls(d, r.events, batch)
	if err != nil {
		return err
	}
	streams := [][][]engine.Received{batches}
	if r.divide {
		streams = divided(batches, workers, batch)
	}
	if err := d.checkpoint(ctx); err != nil {
		return err
	}
	calls := 0
	var events, seq int64
	began := time.Now()
	for _, part := range batches {
		n, err := d.copyCalls(ctx, twinTable, part, seq)
		if err != nil {
			return err
		}
		events += n
		calls += len(part)
		seq += int64(len(part))
	}
	copied := time.Since(began)
	if err := d.checkpoint(ctx); err != nil {
		return err
	}
	d.meter.reset()
	before, began := b.server.cpu(), time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for _, stream := range streams {
		g.Go(func() error { return d.ingest(gctx, slices.Values(stream), workers/len(streams)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took, used := time.Since(began), b.server.cpu().since(before)
	what := fmt.Sprintf("%s; batch %d, %d workers", name, batch, workers)
	if !r.divide {
		what += ", not divided"
	}
	b.report.Add(result.Line{
		Case: what, Measure: "calls", Value: float64(calls) / took.Seconds(), Unit: "calls/s",
		Baseline: "COPY of the events", Against: float64(events) / copied.Seconds(),
	})
	b.addCPU(what, "call", used, calls)
	b.report.Phases = append(b.report.Phases, d.meter.phases(what, "call", calls))
	if again := d.meter.again(); again > 0 {
		b.report.Note("%s: %d of %d transactions were begun anew after a conflict.", what, again, len(batches)+again)
	}
	b.say("%s: %.0f calls/s", what, float64(calls)/took.Seconds())
	return nil
}

// calls are what comes in after the history, in batches.
func (r *realtimeRun) calls(d *database, n, batch int) ([][]engine.Received, error) {
	var batches [][]engine.Received
	now := r.traffic()
	now.Seed, now.Events = r.seed+1, n // all of them in the hour that follows the history
	now.Start, now.Hours = now.End(), 1
	rnd := rand.New(rand.NewPCG(r.seed, 7))
	all := lines(rnd, now.Hour(0))
	for part := range slices.Chunk(all, batch) {
		calls, err := d.received(part, now.Start.Add(time.Hour))
		if err != nil {
			return nil, err
		}
		batches = append(batches, calls)
	}
	return batches, nil
}

// divided deals the calls out to streams by whose they are, as an import does, and makes batches of each.
func divided(batches [][]engine.Received, streams, batch int) [][][]engine.Received {
	divider := ingest.NewDivider(streams)
	parts := make([][]engine.Received, streams)
	for _, b := range batches {
		for lane, places := range divider.Divide(callsOf(b)) {
			for _, i := range places {
				parts[lane] = append(parts[lane], b[i])
			}
		}
	}
	out := make([][][]engine.Received, streams)
	for i, part := range parts {
		out[i] = slices.Collect(slices.Chunk(part, batch))
	}
	return out
}

// ingest takes batches in by several workers, each the next one.
func (d *database) ingest(ctx context.Context, batches func(func([]engine.Received) bool), workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan []engine.Received)
	for range workers {
		g.Go(func() error {
			for batch := range queue {
				err := d.meter.watch(func() error {
					_, err := d.engine.Ingest(ctx, batch, batch[0].Call.ReceivedAt)
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(queue)
		for batch := range batches {
			select {
			case queue <- batch:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// ingestDivided deals the calls out to workers by whose they are, as they come, and lets
// each take in batches of its own.
func (d *database) ingestDivided(ctx context.Context, batches func(func([]engine.Received) bool), workers, size int) error {
	g, ctx := errgroup.WithContext(ctx)
	queues := make([]chan []engine.Received, workers)
	for i := range queues {
		queues[i] = make(chan []engine.Received, 1)
		g.Go(func() error {
			return d.ingest(ctx, func(yield func([]engine.Received) bool) {
				for batch := range queues[i] {
					if !yield(batch) {
						return
					}
				}
			}, 1)
		})
	}
	g.Go(func() error {
		divider := ingest.NewDivider(workers)
		waiting := make([][]engine.Received, workers)
		defer func() {
			for _, q := range queues {
				close(q)
			}
		}()
		for batch := range batches {
			for lane, places := range divider.Divide(callsOf(batch)) {
				for _, i := range places {
					waiting[lane] = append(waiting[lane], batch[i])
				}
				if len(waiting[lane]) < size {
					continue
				}
				select {
				case queues[lane] <- waiting[lane][:size:size]:
					waiting[lane] = slices.Clone(waiting[lane][size:])
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	return g.Wait()
}

func callsOf(batch []engine.Received) []*event.Call {
	calls := make([]*event.Call, len(batch))
	for i := range batch {
		calls[i] = batch[i].Call
	}
	return calls
}

// endure takes calls in for a long time, over checkpoints and vacuum, and tells the rate
// of every half minute. Calls are generated and decoded on the same processors meanwhile.
func (r *realtimeRun) endure(ctx context.Context, b *bench, name, template string, batch, workers int) error {
	d, err := b.server.newDatabase(ctx, template)
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	var done atomic.Int64
	began := time.Now()
	batches := func(yield func([]engine.Received) bool) {
		for seed := r.seed; time.Since(began) < r.sustain; seed++ {
			part := *r
			part.seed = seed
			some, err := part.calls(d, 20*batch, batch)
			if err != nil {
				panic(err) // generated calls are valid
			}
			for _, calls := range some {
				if time.Since(began) > r.sustain || !yield(calls) {
					return
				}
				done.Add(int64(len(calls)))
			}
		}
	}
	d.meter.reset()
	watch := make(chan struct{})
	slowest := make(chan float64)
	go func() {
		const every = 30 * time.Second
		tick := time.NewTicker(every)
		defer tick.Stop()
		worst, last := 0.0, int64(0)
		for {
			select {
			case <-watch:
				slowest <- worst
				return
			case <-tick.C:
				n := done.Load()
				rate := float64(n-last) / every.Seconds()
				last = n
				if worst == 0 || rate < worst {
					worst = rate
				}
				b.say("%s: %.0f calls/s", time.Since(began).Round(time.Second), rate)
			}
		}
	}()
	if r.divide {
		err = d.ingestDivided(ctx, batches, workers, batch)
	} else {
		err = d.ingest(ctx, batches, workers)
	}
	took := time.Since(began)
	close(watch)
	worst := <-slowest
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s; batch %d, %d workers, %s", name, batch, workers, r.sustain)
	n := int(done.Load())
	b.report.Add(result.Line{Case: what, Measure: "calls", Value: float64(n) / took.Seconds(), Unit: "calls/s"})
	if worst > 0 {
		b.report.Add(result.Line{Case: what, Measure: "slowest half minute", Value: worst, Unit: "calls/s"})
	}
	b.report.Phases = append(b.report.Phases, d.meter.phases(what, "call", n))
	return nil
}
