package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
)

// report is what a run has shown.
type report struct {
	run       run
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

func (r *report) write(out io.Writer) {
	o := r.outcome
	fmt.Fprintf(out, "%d events in %d requests over %d connections, %d known users, 10 realtime and 30 windowed definitions, %d cores\n\n",
		o.Calls, o.Requests, r.run.connections, r.run.users, runtime.NumCPU())
	line := func(what string, amount any, note string) { fmt.Fprintf(out, "%-10s %9v  %s\n", what, amount, note) }
	line("events", fmt.Sprintf("%.0f", o.rate()), "a second")
	line("p50", milliseconds(o.quantile(0.50)), "ms from "+r.waitsFrom()+" to the answer 200")
	line("p95", milliseconds(o.quantile(0.95)), "ms")
	line("p99", milliseconds(o.quantile(0.99)), "ms")
	line("longest", milliseconds(o.quantile(1)), "ms")
	line("sent again", o.Again, "times, after 429 or 503")
	for _, c := range r.copied {
		line("COPY", fmt.Sprintf("%.0f", c.perSecond), fmt.Sprintf("rows/s of the same events on one connection, %d in a transaction: %.1f times as many", c.rows, c.perSecond/o.rate()))
	}
	if r.usedKnown {
		fmt.Fprintf(out, "\nprocessor time      us/event  cores\n")
		for _, u := range []struct {
			who string
			d   time.Duration
		}{{"muster", r.used.Muster}, {"PostgreSQL", r.used.PostgreSQL}, {"this generator", r.used.Generator}} {
			fmt.Fprintf(out, "  %-16s %9.1f %6.2f\n", u.who, float64(u.d.Microseconds())/float64(o.Calls), u.d.Seconds()/o.Took.Seconds())
		}
	}
	r.writeSeen(out)
}

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

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
