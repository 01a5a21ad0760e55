package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/bench/result"
	"muster/engine"
)

func mergeFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	sizes := numbers{10, 100, 1000}
	set.Var(&sizes, "sizes", "`events` of the profile that is merged away, separated by commas")
	merges := set.Int("merges", 200, "`merges` of each size")
	batch := set.Int("batch", 50, "calls in a transaction, each a merge")
	return func(ctx context.Context, b *bench) error {
		for _, n := range sizes {
			if err := mergeSize(ctx, b, n, *merges, *batch); err != nil {
				return fmt.Errorf("%d events: %w", n, err)
			}
		}
		b.report.Note("Each call carries the user id of one profile and the anonymous id of another, so that the second is merged into the first with all its events, states and values. " +
			"The baseline moves as many events of as many profiles by UPDATE in a table with the same columns, partitions and indexes, in transactions of the same size.")
		return nil
	}
}

// mergeSize measures merges of visitors with so many events each into users with ten.
func mergeSize(ctx context.Context, b *bench, events, merges, batch int) error {
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	const mine, background = 10, 20_000
	t := &Traffic{Seed: 1, Profiles: background / 20, Start: historyStart, Hours: 24 * historyDays, Events: background}
	if _, err := d.load(ctx, t, b.say); err != nil {
		return err
	}
	defs := slices.Concat(realtime(), windowed())
	if _, _, err := d.define(ctx, defs, t.End()); err != nil {
		return err
	}
	// Users and visitors are made by calls, as all are.
	r := rand.New(rand.NewPCG(2, 2))
	var calls [][]byte
	for i := range merges {
		for range mine {
			e := newEvent(r, 0, t.Start.Add(time.Duration(r.Int64N(int64(t.End().Sub(t.Start))))).Truncate(time.Millisecond))
			calls = append(calls, callOf(&e, fmt.Sprintf(`"userId":"m-%d"`, i)))
		}
		for range events {
			e := newEvent(r, 0, t.Start.Add(time.Duration(r.Int64N(int64(t.End().Sub(t.Start))))).Truncate(time.Millisecond))
			calls = append(calls, callOf(&e, fmt.Sprintf(`"anonymousId":"mv-%d"`, i)))
		}
	}
	received, err := d.received(calls, t.End())
	if err != nil {
		return err
	}
	d.meter.reset()
	if err := d.ingest(ctx, slices.Chunk(received, 5000), 1); err != nil {
		return err
	}
	if _, err := d.engine.RunSlot(ctx, engine.DefaultSchedule, t.End(), t.End()); err != nil {
		return err
	}
	moved, err := updateOwners(ctx, d, merges, batch)
	if err != nil {
		return err
	}
	signIns := make([][]byte, merges)
	for i := range signIns {
		signIns[i] = fmt.Appendf(nil, `{"type":"identify","messageId":%q,"userId":"m-%d","anonymousId":"mv-%d","timestamp":%q,"traits":{}}`,
			messageID(r), i, i, t.End().Format(time.RFC3339))
	}
	if received, err = d.received(signIns, t.End()); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	d.meter.reset()
	before, began := b.server.cpu(), time.Now()
	if err := d.ingest(ctx, slices.Chunk(received, batch), 1); err != nil {
		return err
	}
	took, used := time.Since(began), b.server.cpu().since(before)
	var done int
	if err := d.Pool().QueryRow(ctx, `SELECT count(*) FROM profile_merges`).Scan(&done); err != nil {
		return err
	}
	if done != merges {
		return fmt.Errorf("%d merges happened, not %d", done, merges)
	}
	name := fmt.Sprintf("%d events each", events)
	b.report.Add(result.Line{
		Case: name, Measure: "a merge", Value: float64(took.Microseconds()) / 1e3 / float64(merges), Unit: "ms",
		Baseline: "UPDATE of the events", Against: float64(moved.Microseconds()) / 1e3 / float64(merges),
	})
	b.addCPU(name, "merge", used, merges)
	b.report.Phases = append(b.report.Phases, d.meter.phases(name, "merge", merges))
	return nil
}

// updateOwners moves the visitors' events to the users in a copy of the event log.
func updateOwners(ctx context.Context, d *database, merges, batch int) (time.Duration, error) {
	if err := twin(ctx, d); err != nil {
		return 0, err
	}
	if err := d.exec(ctx, `INSERT INTO bench_events SELECT * FROM events; ANALYZE bench_events`); err != nil {
		return 0, err
	}
	owner := make(map[string]int64)
	rows, err := d.Pool().Query(ctx, `SELECT id_value, profile_id FROM id_owners WHERE id_value LIKE 'm-%' OR id_value LIKE 'mv-%'`)
	if err != nil {
		return 0, err
	}
	var value string
	var id int64
	if _, err := pgx.ForEachRow(rows, []any{&value, &id}, func() error { owner[value] = id; return nil }); err != nil {
		return 0, err
	}
	began := time.Now()
	for first := 0; first < merges; first += batch {
		var from, to []int64
		var fromBuckets, toBuckets []int32
		for i := first; i < min(first+batch, merges); i++ {
			loser, survivor := owner[fmt.Sprintf("mv-%d", i)], owner[fmt.Sprintf("m-%d", i)]
			from, to = append(from, loser), append(to, survivor)
			fromBuckets, toBuckets = append(fromBuckets, int32(engine.ProfileBucket(loser))), append(toBuckets, int32(engine.ProfileBucket(survivor)))
		}
		_, err := d.Pool().Exec(ctx, `
			UPDATE bench_events e SET bucket = m.to_bucket, profile_id = m.to_id
			FROM unnest($1::int[], $2::bigint[], $3::int[], $4::bigint[]) AS m (bucket, id, to_bucket, to_id)
			WHERE e.bucket = m.bucket AND e.profile_id = m.id`, fromBuckets, from, toBuckets, to)
		if err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}
