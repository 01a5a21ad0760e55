package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"muster/bench/result"
	"muster/engine"
)

// hourlyRun are the flags of the two benchmarks of the hourly step.
type hourlyRun struct {
	events   numbers
	profiles int
	steps    int
	seed     uint64
	only     string
	untold   bool
}

// historyDays is more than the longest window, so that events leave each of them.
const historyDays = 92

func hourlyFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	h := &hourlyRun{events: numbers{1_000_000}}
	h.flags(set)
	set.Var(&h.events, "events", "stored `events`, sizes separated by commas")
	set.StringVar(&h.only, "only", "", "leave the baselines out: `product`")
	return func(ctx context.Context, b *bench) error {
		for _, n := range h.events {
			t := h.traffic(n, 0)
			if err := h.size(ctx, b, t, fmt.Sprintf("%s events", result.Number(float64(n)))); err != nil {
				return fmt.Errorf("%d events: %w", n, err)
			}
		}
		h.notes(b)
		return nil
	}
}

func (h *hourlyRun) flags(set *flag.FlagSet) {
	set.IntVar(&h.profiles, "profiles", 0, "`users`; 0: one for 20 events")
	set.IntVar(&h.steps, "steps", 5, "hourly `steps` that are measured; the median counts")
	set.BoolVar(&h.untold, "untold", false, "define the computations without a destination: no ledger, no queue")
	set.Uint64Var(&h.seed, "seed", 1, "of the generated traffic")
}

func constantFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	h := &hourlyRun{events: numbers{1_000_000, 20_000_000}, only: "product"}
	h.flags(set)
	set.Var(&h.events, "events", "stored `events`, sizes separated by commas; the change of every hour is that of the first")
	return func(ctx context.Context, b *bench) error {
		base := h.events[0]
		if h.profiles == 0 {
			h.profiles = h.events[len(h.events)-1] / 20
		}
		var first float64
		for _, n := range h.events {
			before := len(b.report.Lines)
			if err := h.size(ctx, b, h.traffic(base, n-base), fmt.Sprintf("%s events", result.Number(float64(n)))); err != nil {
				return fmt.Errorf("%d events: %w", n, err)
			}
			l := &b.report.Lines[before]
			if n == base {
				first = l.Value
				continue
			}
			l.Baseline, l.Against, l.Speed = fmt.Sprintf("%s events", result.Number(float64(base))), first, first/l.Value
		}
		b.report.Note("What enters and leaves the windows in each hour is the same for all sizes: the additional events are in the other hours of the same 90 days.")
		h.notes(b)
		return nil
	}
}

func (h *hourlyRun) notes(b *bench) {
	b.report.Note("A step is everything that a slot does, to the commit: read what entered and left, evaluate, write states, values, their history, the ledger and the queue.")
	if h.only == "" {
		b.report.Note("The baselines compute the difference to the members and traits that they keep, and write it back; every step made as many changes as the product's, and after the last their members and traits were compared with the product's, row by row: the same.")
	}
}

// traffic has events evenly over the days, and extra ones away from all hours that a
// step reads.
func (h *hourlyRun) traffic(events, extra int) *Traffic {
	t := &Traffic{
		Seed: h.seed, Profiles: h.profiles, Start: historyStart, Hours: 24 * historyDays, Events: events, Extra: extra,
	}
	if t.Profiles == 0 {
		t.Profiles = events / 20
	}
	quiet := make(map[int]bool)
	for _, d := range windowed() {
		for _, p := range d.parts {
			for step := -1; step <= h.steps; step++ {
				quiet[t.Hours+step-24*p.days] = true
			}
		}
	}
	for step := -1; step <= h.steps; step++ {
		quiet[t.Hours+step] = true
	}
	t.Quiet = func(hour int) bool { return quiet[hour] }
	return t
}

func (h *hourlyRun) slot(t *Traffic, step int) time.Time {
	return t.End().Add(time.Duration(step+1) * time.Hour)
}

// size measures with one history.
func (h *hourlyRun) size(ctx context.Context, b *bench, t *Traffic, name string) error {
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	past, err := d.load(ctx, t, b.say)
	if err != nil {
		return err
	}
	defs := windowed()
	b.say("%s: computing %d definitions", name, len(defs))
	d.untold = h.untold
	took, read, err := d.define(ctx, defs, t.End())
	if err != nil {
		return err
	}
	b.report.Note("%s: the first computation of all %d definitions read %d events in %s.", name, len(defs), read, took.Round(100*time.Millisecond))
	var sql *naive
	if h.only == "" {
		if sql, err = newNaive(ctx, past, defs, t.End()); err != nil {
			return err
		}
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	// The product's steps come one after the other, as they do where it runs, and then the
	// SQL's: of one instant both see the same, because they pass over what is stamped later.
	var product, shared, plain []time.Duration
	changes := make([]int64, h.steps)
	var readings, looked int64
	d.meter.reset()
	var used cpu
	for step := range h.steps {
		if err := past.loadHours(ctx, t.Hours+step, t.Hours+step+1, b.say); err != nil {
			return err
		}
		slot := h.slot(t, step)
		var result engine.SlotResult
		before, began := b.server.cpu(), time.Now()
		err := d.meter.watch(func() (err error) {
			result, err = d.engine.RunSlot(ctx, engine.DefaultSchedule, slot, slot)
			return err
		})
		if err != nil {
			return err
		}
		product = append(product, time.Since(began))
		used = used.plus(b.server.cpu().since(before))
		readings += result.EventsRead
		looked += result.Profiles
		for _, t := range result.Tallies {
			changes[step] += t.Entered + t.Exited + t.Changed
		}
		b.say("%s, step %d: product %s (%d events read, %d profiles)", name, step+1, product[step].Round(time.Millisecond), result.EventsRead, result.Profiles)
	}
	for step := range h.steps {
		if sql == nil {
			break
		}
		s, p, n, err := sql.step(ctx, h.slot(t, step))
		if err != nil {
			return err
		}
		shared, plain = append(shared, s), append(plain, p)
		b.say("%s, step %d: shared scan %s, GROUP BY each %s", name, step+1, s.Round(time.Millisecond), p.Round(time.Millisecond))
		if n != changes[step] {
			return fmt.Errorf("step %d: the product made %d changes and the plain SQL %d", step+1, changes[step], n)
		}
	}
	if sql != nil {
		if err := sql.compare(ctx); err != nil {
			return err
		}
	}
	l := result.Line{Case: name, Measure: "hourly step, 30 definitions", Value: median(product), Unit: "ms"}
	if sql == nil {
		b.report.Add(l)
	} else {
		l.Baseline, l.Against = "GROUP BY for each, EXCEPT", median(plain)
		b.report.Add(l)
		l.Baseline, l.Against = "one shared scan", median(shared)
		b.report.Add(l)
	}
	all := int64(0)
	for _, n := range changes {
		all += n
	}
	b.report.Add(result.Line{Case: name, Measure: "changes in a step", Value: float64(all) / float64(h.steps), Unit: "changes"})
	b.report.Add(result.Line{Case: name, Measure: "events read in a step", Value: float64(readings) / float64(h.steps), Unit: "events"})
	b.report.Add(result.Line{Case: name, Measure: "profiles looked at in a step", Value: float64(looked) / float64(h.steps), Unit: "profiles"})
	b.addCPU(name, "step", used, h.steps)
	b.report.Phases = append(b.report.Phases, d.meter.phases(name, "step", h.steps))
	return nil
}
