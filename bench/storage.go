package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"muster/bench/result"
)

func storageFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	events := set.Int("events", 200_000, "generated `calls`")
	profiles := set.Int("profiles", 0, "`users`; 0: one for 20 calls")
	seed := set.Uint64("seed", 1, "of the generated traffic")
	return func(ctx context.Context, b *bench) error {
		t := &Traffic{Seed: *seed, Profiles: *events / 20, Start: historyStart, Hours: 24 * 90, Events: *events}
		if *profiles > 0 {
			t.Profiles = *profiles
		}
		return storage(ctx, b, t)
	}
}

// storage ingests the traffic hour by hour through the engine, and asks for the sizes
// that the tables have then: as they are, with what updates left behind.
func storage(ctx context.Context, b *bench, t *Traffic) error {
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	if _, _, err := d.define(ctx, slices.Concat(realtime(), windowed()), t.Start); err != nil {
		return err
	}
	d.meter.reset()
	r := rand.New(rand.NewPCG(t.Seed, 7))
	var text int64
	const slotEvery = 24 // hours
	for first := 0; first < t.Hours; first += slotEvery {
		var batch [][]byte
		for hour := first; hour < min(first+slotEvery, t.Hours); hour++ {
			batch = append(batch, lines(r, t.Hour(hour))...)
		}
		for _, line := range batch {
			text += int64(len(line))
		}
		now := t.Start.Add(time.Duration(first+slotEvery) * time.Hour)
		calls, err := d.received(batch, now)
		if err != nil {
			return err
		}
		if err := d.ingest(ctx, slices.Chunk(calls, 5000), 1); err != nil {
			return err
		}
		if _, err := d.engine.RunSlot(ctx, "0 * * * *", now, now); err != nil {
			return err
		}
		if first%(10*slotEvery) == 0 {
			b.say("day %d of %d", first/24, t.Hours/24)
		}
	}
	return sizes(ctx, b, d, text)
}

// stored are the tables that something is stored in, with the statement that counts it.
var stored = []struct {
	what, unit, count string
	tables            []string
}{
	{"an event", "B/event", `SELECT count(*) FROM events`, []string{"events"}},
	{"the memory of a message id", "B/call", `SELECT count(*) FROM message_keys`, []string{"message_keys"}},
	{"a profile with its ids and traits", "B/profile", `SELECT count(*) FROM profiles`, []string{"profiles", "external_ids", "id_owners", "traits"}},
	{"a state of a leaf", "B/state", `SELECT count(*) FROM leaf_states`, []string{"leaf_states"}},
	{"a membership or a trait's value", "B/value", `SELECT count(*) FROM computed_values`, []string{"computed_values"}},
	{"a change of it, kept as history", "B/change", `SELECT count(*) FROM value_changes`, []string{"value_changes"}},
	{"what a destination was last told", "B/line", `SELECT count(*) FROM ledger`, []string{"ledger"}},
	{"a message in the queue", "B/message", `SELECT count(*) FROM queue`, []string{"queue"}},
}

func sizes(ctx context.Context, b *bench, d *database, text int64) error {
	for _, s := range stored {
		var n, heap, all int64
		if err := d.Pool().QueryRow(ctx, s.count).Scan(&n); err != nil {
			return err
		}
		// Partitions count to their table.
		err := d.Pool().QueryRow(ctx, `
			SELECT sum(pg_table_size(t.relid)), sum(pg_total_relation_size(t.relid))
			FROM unnest($1::text[]) AS want (name), LATERAL (
				SELECT ('muster.' || want.name)::regclass UNION SELECT relid FROM pg_partition_tree(('muster.' || want.name)::regclass)) t (relid)`, s.tables).Scan(&heap, &all)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		name := fmt.Sprintf("%s of them", result.Number(float64(n)))
		l := result.Line{Case: name, Measure: s.what, Value: float64(all) / float64(n), Unit: s.unit}
		if s.tables[0] == "events" {
			l.Baseline, l.Against = "its JSON line", float64(text)/float64(n)
		}
		b.report.Add(l)
		b.report.Add(result.Line{Case: "", Measure: "  without indexes", Value: float64(heap) / float64(n), Unit: s.unit})
	}
	b.report.Note("40 definitions, told to one destination. Sizes as they are after 90 days of calls and slots, with room that updates left; the line of JSON is that of the average call, identify calls included.")
	return nil
}
