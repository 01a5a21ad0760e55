package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"muster/app"
	"muster/bench/result"
	"muster/engine"
)

func planFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	events := set.Int("events", 5_000_000, "stored `events`")
	profiles := set.Int("profiles", 1_000_000, "`users`")
	seed := set.Uint64("seed", 1, "of the generated traffic")
	return func(ctx context.Context, b *bench) error {
		return planned(ctx, b, &Traffic{Seed: *seed, Profiles: *profiles, Start: historyStart, Hours: 24 * historyDays, Events: *events})
	}
}

// planned measures the plan of an edit that takes a part of everybody out of an audience,
// and fails if applying it does anything else than the plan has said.
func planned(ctx context.Context, b *bench, t *Traffic) error {
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	past, err := d.load(ctx, t, b.say)
	if err != nil {
		return err
	}
	least, err := past.twentieth(ctx)
	if err != nil {
		return err
	}
	now := t.End()
	viewers := func(least int) definition {
		return audience("viewers", fmt.Sprint(least), part{names[0].name, anyEvent, 0, "count"})
	}
	if _, _, err := d.define(ctx, []definition{viewers(least)}, now); err != nil {
		return err
	}
	now = now.Add(time.Minute)
	desired := engine.Desired{Definitions: []engine.Definition{viewers(least + 1).engine()}}
	began := time.Now()
	p, err := app.Plan(ctx, d.Store, desired, &engine.DryRun{Samples: 5}, 0, now)
	if err != nil {
		return err
	}
	planning := time.Since(began)
	foreseen := p.Steps[0].Effect
	if foreseen == nil {
		return fmt.Errorf("the plan foresees no effect: %+v", p.Steps)
	}
	began = time.Now()
	if err := app.Apply(ctx, d.Store, desired, p, now); err != nil {
		return err
	}
	if _, err := d.backfill(ctx, now); err != nil {
		return err
	}
	applying := time.Since(began)
	var after, entered, exited, told int64
	err = d.Pool().QueryRow(ctx, `
		SELECT (SELECT count(*) FROM computed_values WHERE value = 'true'),
			(SELECT count(*) FROM value_changes WHERE changed_at = $1 AND value = 'true'),
			(SELECT count(*) FROM value_changes WHERE changed_at = $1 AND value = 'false'),
			(SELECT count(DISTINCT profile_id) FROM queue WHERE reason = 'definition_edit' AND value = 'false')`, now).Scan(&after, &entered, &exited, &told)
	if err != nil {
		return err
	}
	if foreseen.After != after || foreseen.Entered != entered || foreseen.Exited != exited || told != exited || exited == 0 {
		return fmt.Errorf("the plan foresaw %+v; %d are members now, %d entered, %d left, %d were told to leave", *foreseen, after, entered, exited, told)
	}
	name := fmt.Sprintf("%s profiles, %s events", result.Number(float64(t.Profiles)), result.Number(float64(t.Events)))
	b.report.Add(result.Line{Case: name, Measure: "plan of an edit, with its effect", Value: planning.Seconds(), Unit: "s", Baseline: "apply and backfill", Against: applying.Seconds()})
	b.report.Add(result.Line{Case: name, Measure: "members before", Value: float64(foreseen.Before), Unit: "profiles"})
	b.report.Add(result.Line{Case: name, Measure: "foreseen to leave", Value: float64(foreseen.Exited), Unit: "profiles"})
	b.report.Note("The plan evaluates every profile by the old and the new definition with the reference evaluator. After apply exactly as many had left, and exactly as many were told so.")
	return nil
}

// twentieth is how often to have done the commonest thing, so that about a twentieth of
// all profiles have done it just so often.
func (h *history) twentieth(ctx context.Context) (int, error) {
	var least int
	err := h.Pool().QueryRow(ctx, `
		SELECT n FROM (SELECT n, count(*) AS profiles FROM (
				SELECT profile_id, count(*) AS n FROM events WHERE event_name_id = $1 GROUP BY 1) counts GROUP BY n) sizes
		ORDER BY abs(profiles - $2) LIMIT 1`, h.ids[0], h.traffic.Profiles/20).Scan(&least)
	return least, err
}
