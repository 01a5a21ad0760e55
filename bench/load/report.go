package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/bench/result"
)

// report is what a run has shown.
type report struct {
	run       run
	found     *result.Report
	outcome   *outcome
	used      usage
	usedKnown bool
	seen      []activity
	stored    int // events
	copied    []copied
}

// copied is a baseline: COPY of the stored events in transactions of so many rows.
type copied struct {
	rows      int
	perSecond float64
}

// groupedRows is a transaction of the baseline that is as large as muster's may be.
const groupedRows = 2_000

// compare checks that all is stored and measures COPY of the same rows.
func (r *report) compare(ctx context.Context, conn *pgx.Conn, began time.Time, log io.Writer) error {
	rows, err := storedEvents(ctx, conn, began)
	if err != nil {
		return err
	}
	if r.stored = len(rows); r.stored != r.outcome.Calls {
		return fmt.Errorf("%d events were answered 200, %d are stored", r.outcome.Calls, r.stored)
	}
	for _, n := range []int{r.run.batch, groupedRows} {
		fmt.Fprintf(log, "COPY of them, %d rows in a transaction\n", n)
		perSecond, err := copyEvents(ctx, conn, rows, n, copyLimit)
		if err != nil {
			return err
		}
		r.copied = append(r.copied, copied{n, perSecond})
	}
	return nil
}

// result is the report in the form of all benchmarks. Rates are compared with COPY in transactions as
// large as muster's may be.
func (r *report) result() *result.Report {
	o := r.outcome
	name := fmt.Sprintf("%d events in a request, %d connections", r.run.batch, r.run.connections)
	if r.run.rate > 0 {
		name = fmt.Sprintf("%d events in a request, %g requests a second", r.run.batch, r.run.rate)
	}
	add := func(measure string, value float64, unit string) {
		r.found.Add(result.Line{Case: name, Measure: measure, Value: value, Unit: unit})
	}
	for i, c := range r.copied {
		l := result.Line{
			Case: name, Measure: "answered 200 and stored", Value: o.rate(), Unit: "events/s",
			Baseline: fmt.Sprintf("COPY, %d rows in a transaction", c.rows), Against: c.perSecond,
		}
		if i > 0 && r.copied[i-1].rows == c.rows {
			continue
		}
		r.found.Add(l)
	}
	for _, q := range []struct {
		name  string
		share float64
	}{{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}, {"longest", 1}} {
		add("answer, "+q.name, milliseconds(o.quantile(q.share)), "ms")
	}
	if r.usedKnown {
		for _, u := range []struct {
			who string
			d   time.Duration
		}{{"muster", r.used.Muster}, {"PostgreSQL", r.used.PostgreSQL}, {"this generator", r.used.Generator}} {
			add("processor time, "+u.who, float64(u.d.Microseconds())/float64(o.Calls), "us/event")
			add("processors used, "+u.who, u.d.Seconds()/o.Took.Seconds(), "cores")
		}
	}
	r.found.Note("%d events in %d requests, %d known users, 10 realtime and 30 windowed definitions. An answer's time counts from %s. %d requests were sent again, after 429 or 503.",
		o.Calls, o.Requests, r.run.users, r.waitsFrom(), o.Again)
	return r.found
}

// milliseconds is a time in them.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// shown is how many activities are shown.
const shown = 16

func (r *report) writeSeen(out io.Writer) {
	fmt.Fprintf(out, "\nsessions  of PostgreSQL at it at a time, on average, sampled every %v\n", sampleEvery)
	rest := 0.0
	for i, a := range r.seen {
		if i >= shown {
			rest += a.Sessions
			continue
		}
		waiting := ""
		if a.Waiting != "" {
			waiting = "  [" + a.Waiting + "]"
		}
		fmt.Fprintf(out, "%8.2f  %s%s\n", a.Sessions, a.Statement, waiting)
	}
	fmt.Fprintf(out, "%8.2f  all others\n", rest)
}

// waitsFrom tells when a request's wait begins.
func (r *report) waitsFrom() string {
	if r.run.rate > 0 {
		return "when it is due"
	}
	return "sending"
}
