// Command bench measures Muster against plain SQL on the same data, in the same run, on
// the machine it runs on. It needs PostgreSQL's programs and nothing else: it starts a
// durable server of its own in a temporary folder, or, with DATABASE_URL, makes and drops
// databases of its own on that server.
//
//	go run ./bench hourly -events 1000000
//
// docs/benchmarks.md describes what is measured and how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
	"time"

	"muster/bench/result"
)

// benchmark is a subcommand. It declares its flags and returns what runs it.
type benchmark struct {
	name, about string
	flags       func(*flag.FlagSet) func(context.Context, *bench) error
}

var benchmarks = []benchmark{
	{"import", "import of a file, against COPY of its rows", importFlags},
	{"realtime", "the ingest transaction in process, against COPY of its rows", realtimeFlags},
	{"hourly", "the hourly step of 30 windowed definitions, against GROUP BY per definition and one shared scan", hourlyFlags},
	{"constant", "the same hourly change while the stored history grows", constantFlags},
	{"backfill", "one audience over all history, against one GROUP BY", backfillFlags},
	{"plan", "the plan of an edit that moves a twentieth of all profiles, against applying it", planFlags},
	{"merge", "merges of two profiles, against an UPDATE of the same events", mergeFlags},
	{"sql", "the statements of docs/sql.md, against counting the log", questionsFlags},
	{"storage", "bytes for an event, a profile and a membership", storageFlags},
	{"idle", "processor time of 40 definitions while nothing happens", idleFlags},
	{"mapper", "Segment calls to Mixpanel's messages, on one core, against decoding their JSON into maps and encoding it again", mapperFlags},
	{"deliver", "a first sync from the queue to the fake Mixpanel, against posting the same requests", deliverFlags},
}

// bench is what every benchmark works with.
type bench struct {
	server *server
	report *result.Report
	log    io.Writer // progress, for people
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

func main() {
	if os.Getenv(fakeProcess) != "" {
		if err := playMixpanel(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: go run ./bench NAME [flags]   (-h after a name lists its flags)")
	for _, m := range benchmarks {
		fmt.Fprintf(w, "  %-10s %s\n", m.name, m.about)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	if len(args) == 0 {
		usage(log)
		return errors.New("which benchmark?")
	}
	for _, m := range benchmarks {
		if m.name == args[0] {
			return m.run(ctx, args, out, log)
		}
	}
	usage(log)
	return fmt.Errorf("there is no benchmark %q", args[0])
}

func (m benchmark) run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	set := flag.NewFlagSet(m.name, flag.ContinueOnError)
	set.SetOutput(log)
	format := set.String("o", "table", "what is printed: table or json")
	save := set.String("save", "", "also write the result as JSON to this `file`")
	profile := set.String("cpuprofile", "", "write a CPU profile of the whole run to this `file`")
	measure := m.flags(set)
	if err := set.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *format != "table" && *format != "json" {
		return fmt.Errorf("-o must be table or json, not %q", *format)
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	srv, err := startServer(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	b := &bench{server: srv, log: log, report: result.New(m.name, m.about, "go run ./bench "+strings.Join(args, " "), srv.Version(), srv.Private(), time.Now())}
	if err := measure(ctx, b); err != nil {
		return err
	}
	b.report.Finish(time.Now())
	if *save != "" {
		if err := b.report.Save(*save); err != nil {
			return err
		}
	}
	if *format == "json" {
		return b.report.WriteJSON(out)
	}
	return b.report.WriteTable(out)
}
