// Command crash kills muster serve, its PostgreSQL, and both, at random moments under load,
// as often as it is told, and compares what is left: see package muster/tests/crash.
//
//	go run ./bench/crash -n 100
//	go run ./bench/crash -n 100 -processes 2
//
// It exits with 1 if something differs, and keeps the database for a look.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/tests/crash"
	"muster/tests/served"
)

// run are the flags of a run.
type run struct {
	crash.Options
	output string
	save   string
	quick  bool
}

func parse(args []string, out io.Writer) (run, error) {
	var r run
	set := flag.NewFlagSet("crash", flag.ContinueOnError)
	set.SetOutput(out)
	set.IntVar(&r.Kills, "n", 20, "`kills`")
	set.Uint64Var(&r.Seed, "seed", 0, "of what is drawn: calls, moments, faults; 0: a new one")
	set.IntVar(&r.Processes, "processes", 1, "of muster serve: 1, with a private PostgreSQL, or 2 on one that is given to them")
	set.StringVar(&r.output, "o", "text", "`form` of the result: text or json")
	set.StringVar(&r.save, "save", "", "write the JSON to this `file` besides")
	set.BoolVar(&r.quick, "quick", false, "do not wait, in the end, for a slot that has seen every call")
	if err := set.Parse(args); err != nil {
		return r, err
	}
	if r.Seed == 0 {
		r.Seed = rand.Uint64()
	}
	r.WholeSlot = !r.quick
	switch {
	case set.NArg() > 0:
		return r, fmt.Errorf("there are no arguments, only flags: %q", set.Args())
	case r.Kills < 1 || r.Processes < 1 || r.Processes > 2:
		return r, errors.New("-n must be 1 or more, and -processes 1 or 2")
	case r.output != "text" && r.output != "json":
		return r, fmt.Errorf("-o is text or json, not %q", r.output)
	}
	return r, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	r, err := parse(os.Args[1:], os.Stderr)
	if err == nil {
		err = r.do(ctx, os.Stdout, os.Stderr)
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

var errDiffers = errors.New("something differs")

// do runs the test; log gets what happens meanwhile.
func (r *run) do(ctx context.Context, out, log io.Writer) (err error) {
	if r.Dir, err = served.TempDir(); err != nil {
		return err
	}
	if r.Program, err = served.Build(ctx, r.Dir); err != nil {
		return errors.Join(err, os.RemoveAll(r.Dir))
	}
	journal, err := os.Create(filepath.Join(r.Dir, "muster.log"))
	if err != nil {
		return err
	}
	r.Log = journal
	r.Progress = func(text string) { fmt.Fprintln(log, text) }
	report, err := crash.Run(ctx, r.Options)
	err = errors.Join(err, journal.Close())
	if report != nil {
		err = errors.Join(err, r.print(report, out))
		if len(report.Differences) > 0 {
			err = errors.Join(err, errDiffers)
		}
	}
	if err != nil {
		fmt.Fprintf(log, "-seed %d; look at the database with: muster psql --data %s (log: %s)\n", r.Seed, filepath.Join(r.Dir, "pg"), journal.Name())
		return err
	}
	return os.RemoveAll(r.Dir)
}

func (r *run) print(report *crash.Report, out io.Writer) error {
	text, err := json.Marshal(report, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if r.save != "" {
		if err := os.WriteFile(r.save, text, 0o600); err != nil {
			return err
		}
	}
	if r.output == "json" {
		_, err = out.Write(text)
		return err
	}
	return report.Print(out)
}
