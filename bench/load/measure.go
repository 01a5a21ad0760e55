package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/bench/result"
	"muster/tests/served"
)

// copyLimit bounds a baseline: a transaction for every row takes its time.
const copyLimit = 10 * time.Second

// stage is a muster that serves, with its users known and its definitions live.
type stage struct {
	program string
	muster  *served.Server
	conn    *pgx.Conn // to its database
	clients *clients
}

// on prepares a stage, runs f on it, and clears it away.
func (r *run) on(ctx context.Context, log io.Writer, f func(stage) error) (err error) {
	dir, err := served.TempDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := served.Build(ctx, dir)
	if err != nil {
		return err
	}
	mixpanel, closeMixpanel, err := r.startMixpanel(ctx, program)
	if err != nil {
		return err
	}
	defer closeMixpanel()
	muster, err := r.start(ctx, program, dir, mixpanel, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, muster.Terminate()) }()
	conn, err := pgx.Connect(ctx, muster.Database())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	c := newClients(muster.URL(), r.connections)
	fmt.Fprintf(log, "making %d users known\n", r.users)
	if _, err := c.send(ctx, r.introductions(time.Now()), 0); err != nil {
		return err
	}
	if err := settle(ctx, conn); err != nil {
		return err
	}
	return f(stage{program, muster, conn, c})
}

// measure sends the requests and reports how muster did.
func (r *run) measure(ctx context.Context, out, log io.Writer) error {
	return r.on(ctx, log, func(s stage) error { return r.measureOn(ctx, s, out, log) })
}

func (r *run) measureOn(ctx context.Context, s stage, out, log io.Writer) (err error) {
	fmt.Fprintf(log, "making up %d events\n", r.events)
	began := time.Now()
	requests := r.requests(began)
	fmt.Fprintf(log, "sending them over %d connections\n", r.connections)
	rep := &report{run: *r}
	if rep.found, err = r.begin(ctx, s.conn, "load", "calls over HTTP into muster serve, which computes and tells"); err != nil {
		return err
	}
	if err := r.observe(ctx, s.clients, s.muster, requests, rep); err != nil {
		return err
	}
	if err := rep.compare(ctx, s.conn, began, log); err != nil {
		return err
	}
	found := rep.result()
	found.Finish(time.Now())
	if r.save != "" {
		if err := found.Save(r.save); err != nil {
			return err
		}
	}
	if err := found.WriteTable(out); err != nil {
		return err
	}
	rep.writeSeen(out)
	return nil
}

// begin begins a report.
func (r *run) begin(ctx context.Context, conn *pgx.Conn, name, about string) (*result.Report, error) {
	var version string
	if err := conn.QueryRow(ctx, `SHOW server_version`).Scan(&version); err != nil {
		return nil, err
	}
	return result.New(name, about, r.command, version, true, time.Now()), nil
}

// observe sends the requests and watches the processes and the database meanwhile.
func (r *run) observe(ctx context.Context, c *clients, muster *served.Server, requests []request, rep *report) error {
	look, err := startSampler(ctx, muster.Database())
	if err != nil {
		return err
	}
	before, _ := processorTime(muster.PID())
	rep.outcome, err = c.send(ctx, requests, r.rate)
	after, known := processorTime(muster.PID())
	seen, looked := look.finish()
	if err := errors.Join(err, looked); err != nil {
		return err
	}
	rep.used, rep.usedKnown, rep.seen = after.since(before), known, seen
	return nil
}

// start runs muster with the definitions computed.
func (r *run) start(ctx context.Context, program, dir, mixpanel string, log io.Writer) (*served.Server, error) {
	o := served.Options{Program: program, Dir: dir, Config: configuration, Env: []string{"MIXPANEL_URL=" + mixpanel}}
	if r.verbose {
		o.Log = log
	}
	if r.cpuProfile != "" {
		path, err := filepath.Abs(r.cpuProfile)
		if err != nil {
			return nil, err
		}
		o.Args = []string{"--cpuprofile", path}
	}
	muster, err := served.New(o)
	if err != nil {
		return nil, err
	}
	return muster, muster.Start(ctx)
}

// settle waits until the definitions are live and writes back what is dirty, so that the
// measurement does not pay for what came before it.
func settle(ctx context.Context, conn *pgx.Conn) error {
	for {
		var preparing int
		err := conn.QueryRow(ctx, `SELECT count(*) FROM muster.computations WHERE status <> 'live'`).Scan(&preparing)
		if err != nil {
			return err
		}
		if preparing == 0 {
			break
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	// As autovacuum would: tables that nothing was written to are left alone. PostgreSQL would
	// go on planning for an empty queue for as long as its statistics say that it is.
	var filled string
	err := conn.QueryRow(ctx, `
		SELECT string_agg(format('%I.%I', schemaname, relname), ', ') FROM pg_stat_user_tables WHERE n_tup_ins > 0`).Scan(&filled)
	if err != nil {
		return err
	}
	for _, sql := range []string{"VACUUM (ANALYZE) " + filled, "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// startMixpanel runs the imitation of Mixpanel, if it is wanted, and returns its address.
func (r *run) startMixpanel(ctx context.Context, program string) (url string, stop func(), err error) {
	if r.mixpanel == "none" {
		return "http://127.0.0.1:9", func() {}, nil // the port of the service discard, which nobody runs
	}
	return served.FakeMixpanel(ctx, program)
}
