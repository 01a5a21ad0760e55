package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"muster/app"
	"muster/bench/result"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/ingest"
	"muster/mixpanel"
)

// importRun are the flags of the import benchmark.
type importRun struct {
	events, profiles int
	file             string
	seed             uint64
}

func importFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	i := &importRun{}
	set.IntVar(&i.events, "events", 200_000, "generated `calls`")
	set.IntVar(&i.profiles, "profiles", 0, "`users`; 0: one for 20 calls")
	set.StringVar(&i.file, "file", "", "import this `file` instead, for example demo/online-retail.ndjson.gz")
	set.Uint64Var(&i.seed, "seed", 1, "of the generated traffic")
	return i.run
}

// threeDefinitions are an audience over 30 days, one over everything and a trait, of the
// orders that both the generated traffic and the demo's log hold.
func threeDefinitions() []definition {
	ordered := names[4].name
	return []definition{
		audience("repeat_buyers_30d", "2", part{ordered, anyEvent, 30, "count"}),
		audience("big_spenders", "1000", part{ordered, anyEvent, 0, "sum:revenue"}),
		trait("average_order", part{ordered, large, 0, "avg:revenue"}),
	}
}

// text is the file's text, or that of generated calls of 90 days.
func (i *importRun) text() ([]byte, string, error) {
	if i.file != "" {
		text, err := os.ReadFile(i.file)
		return text, i.file, err
	}
	t := &Traffic{Seed: i.seed, Profiles: max(i.profiles, i.events/20), Start: historyStart, Hours: 24 * 90, Events: i.events}
	if i.profiles > 0 {
		t.Profiles = i.profiles
	}
	r := rand.New(rand.NewPCG(i.seed, 7))
	var b bytes.Buffer
	for hour := range t.Hours {
		for _, line := range lines(r, t.Hour(hour)) {
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), fmt.Sprintf("%s generated calls", result.Number(float64(i.events))), nil
}

func (i *importRun) run(ctx context.Context, b *bench) error {
	text, name, err := i.text()
	if err != nil {
		return err
	}
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	now := time.Now().UTC()
	if _, _, err := d.define(ctx, threeDefinitions(), now); err != nil {
		return err
	}
	a, err := app.New(ctx, app.Options{
		Store: d.Store, Identity: identity.DefaultSettings(), Now: func() time.Time { return now },
		Destinations: map[string]mixpanel.Settings{destination: {Token: "bench"}},
	})
	if err != nil {
		return err
	}
	defer a.Close()
	b.say("importing %s, %d bytes", name, len(text))
	d.meter.reset()
	before, began := b.server.cpu(), time.Now()
	var sum ingest.Summary
	err = d.meter.watch(func() error {
		sum, err = ingest.Import{Sink: a.Sink(), SourceID: d.source.ID, Now: func() time.Time { return now }}.Run(ctx, bytes.NewReader(text))
		return err
	})
	if err != nil {
		return err
	}
	took, used := time.Since(began), b.server.cpu().since(before)
	if sum.Refused > 0 || sum.Accepted == 0 {
		return fmt.Errorf("%d lines were refused and %d accepted", sum.Refused, sum.Accepted)
	}
	events, copied, err := i.copy(ctx, d, text, now)
	if err != nil {
		return err
	}
	b.report.Add(result.Line{
		Case: name, Measure: "lines", Value: float64(sum.Lines) / took.Seconds(), Unit: "lines/s",
		Baseline: "COPY of its events", Against: float64(events) / copied.Seconds(),
	})
	b.addCPU(name, "line", used, int(sum.Lines))
	b.report.Phases = append(b.report.Phases, d.meter.phases(name, "line", int(sum.Lines)))
	b.report.Note("Import reads, decodes and stores the lines, resolves profiles, and keeps three computations up to date; the lines in memory, nothing stored before.\n" +
		"The baseline appends the same events, decoded beforehand, by COPY in transactions of 5,000 to a table with the columns, partitions and indexes of the event log.")
	return nil
}

// copy appends the file's events to the twin of the event log.
func (i *importRun) copy(ctx context.Context, d *database, text []byte, now time.Time) (events int64, took time.Duration, err error) {
	if err := twin(ctx, d); err != nil {
		return 0, 0, err
	}
	var in io.Reader = bytes.NewReader(text)
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(in); err != nil {
			return 0, 0, err
		}
	}
	var calls []engine.Received
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, ingest.MaxLine)
	for scan.Scan() {
		call, err := event.Decode(slices.Clone(scan.Bytes()), event.Envelope{ReceivedAt: now, Archived: true})
		if err != nil {
			return 0, 0, err
		}
		calls = append(calls, engine.Received{Call: call, SourceID: d.source.ID})
	}
	if err := scan.Err(); err != nil {
		return 0, 0, err
	}
	if err := d.checkpoint(ctx); err != nil {
		return 0, 0, err
	}
	const batch = 5000
	began := time.Now()
	for part := range slices.Chunk(calls, batch) {
		n, err := d.copyCalls(ctx, twinTable, part, events)
		if err != nil {
			return 0, 0, err
		}
		events += n
	}
	return events, time.Since(began), nil
}
