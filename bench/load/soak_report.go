package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/bench/result"
)

// soakReport is what a soak has shown: the figures, and every look that they come from.
type soakReport struct {
	*result.Report
	Looks []vitals `json:"looks"`
}

// settleAccounts waits until all is told, and compares the store with what was answered.
func (r *soakReport) settleAccounts(ctx context.Context, s stage, calls int64, log io.Writer) error {
	fmt.Fprintln(log, "comparing what is stored with what was answered")
	for began := time.Now(); ; {
		metrics, err := readMetrics(ctx, s.muster.URL()+"/metrics")
		if err != nil {
			return err
		}
		waiting := metrics[`muster_queue_waiting{destination="mixpanel"}`]
		if waiting == 0 {
			break
		}
		if time.Since(began) > 10*time.Minute {
			return fmt.Errorf("%.0f messages still wait ten minutes after the last call", waiting)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	var stored int64
	var letters int
	err := s.conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM muster.events WHERE received_at >= $1), (SELECT count(*) FROM muster.dead_letters)`, r.Began).Scan(&stored, &letters)
	switch {
	case err != nil:
		return err
	case stored != calls:
		return fmt.Errorf("%d events were answered 200, %d are stored", calls, stored)
	case letters > 0:
		return fmt.Errorf("there are %d dead letters", letters)
	}
	const share = "0.01"
	out, err := exec.CommandContext(ctx, s.program, "verify", "--database", s.muster.Database(), "--share", share).CombinedOutput()
	if err != nil {
		return fmt.Errorf("muster verify: %w\n%s", err, out)
	}
	r.Note("%d events were answered 200, as many are stored, none is a dead letter. The states and values of a hundredth of the profiles, and what was told, are those of the reference evaluator (muster verify --share %s).", calls, share)
	return nil
}

// conclude adds the figures: each measure in the second quarter of the time, when caches
// are full, and in the last.
func (r *soakReport) conclude() {
	n := len(r.Looks)
	second, last := r.Looks[n/4:n/2], r.Looks[n*3/4:]
	name := fmt.Sprintf("last quarter of %.0f minutes", r.Looks[n-1].Minute)
	add := func(measure, unit string, value func(vitals) float64) {
		r.Add(result.Line{
			Case: name, Measure: measure, Value: middle(last, value), Unit: unit,
			Baseline: "second quarter", Against: middle(second, value),
		})
	}
	add("taken in", "events/s", func(v vitals) float64 { return v.EventsPerSecond })
	add("answer, p50", "ms", func(v vitals) float64 { return v.P50 })
	add("answer, p99", "ms", func(v vitals) float64 { return v.P99 })
	add("oldest message that waits", "s", func(v vitals) float64 { return v.OldestSeconds })
	add("memory of muster", "MB", func(v vitals) float64 { return v.MusterMemory / 1e6 })
	add("processors, muster", "cores", func(v vitals) float64 { return v.MusterCores })
	add("processors, PostgreSQL", "cores", func(v vitals) float64 { return v.PostgreSQLCores })
	add("dead rows", "rows", func(v vitals) float64 { return float64(v.DeadRows) })
	for _, p := range parts {
		add(p.name, "MB", func(v vitals) float64 { return v.Tables[p.name].bytes() / 1e6 })
	}
	add(rest, "MB", func(v vitals) float64 { return v.Tables[rest].bytes() / 1e6 })
	first, end := r.Looks[0], r.Looks[n-1]
	events := 0.0
	from := first.Minute
	for _, v := range r.Looks[1:] {
		events += v.EventsPerSecond * 60 * (v.Minute - from)
		from = v.Minute
	}
	for _, p := range []string{"event log", "message ids", "history"} {
		r.Add(result.Line{Case: "whole soak", Measure: "growth of " + p, Value: (end.Tables[p].bytes() - first.Tables[p].bytes()) / events, Unit: "B/event"})
	}
	r.Add(result.Line{Case: "whole soak", Measure: "longest answer", Value: slices.MaxFunc(r.Looks, func(a, b vitals) int { return int(a.Longest - b.Longest) }).Longest, Unit: "ms"})
	r.Add(result.Line{Case: "whole soak", Measure: "sent again, after 429 or 503", Value: float64(end.SentAgain), Unit: "requests"})
}

// middle is the median of a measure.
func middle(looks []vitals, value func(vitals) float64) float64 {
	var all []float64
	for _, v := range looks {
		all = append(all, value(v))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// files writes the JSON and the graph, where they are wanted.
func (r *soakReport) files(save, graph string) error {
	var errs []error
	if save != "" {
		text, err := json.Marshal(r, jsontext.WithIndent("  "))
		errs = append(errs, err, os.WriteFile(save, append(text, '\n'), 0o644)) //nolint:gosec // a result for everybody
	}
	if graph != "" {
		errs = append(errs, os.WriteFile(graph, r.draw(), 0o644)) //nolint:gosec // a picture for everybody
	}
	return errors.Join(errs...)
}
