// Command load sends calls over HTTP on loopback to muster serve, as Segment's libraries
// would, and tells how many events a second are taken in, how long clients wait for their
// answer, where the time goes, and what COPY of the same rows costs in the same run.
//
//	go run ./bench/load -batch 100
//	go run ./bench/load -single -rate 1000
//	go run ./bench/load -soak 2h -rate 80 -graph soak.svg
//
// It starts a muster of its own, with its durable private PostgreSQL and the 40
// definitions of muster.yaml, in a temporary folder.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

//go:embed muster.yaml
var configuration string

// run are the flags of a run.
type run struct {
	batch       int
	single      bool
	rate        float64
	events      int
	users       int
	connections int
	seed        uint64
	mixpanel    string
	cpuProfile  string
	verbose     bool
	soak        time.Duration
	save, graph string
	command     string // what a reader runs to repeat it
}

func parse(args []string, out io.Writer) (run, error) {
	var r run
	set := flag.NewFlagSet("load", flag.ContinueOnError)
	set.SetOutput(out)
	set.IntVar(&r.batch, "batch", 100, "`events` in a request")
	set.BoolVar(&r.single, "single", false, "one event in a request, as browsers send it")
	set.Float64Var(&r.rate, "rate", 0, "`requests` a second; 0: as fast as they are answered")
	set.IntVar(&r.events, "events", 0, "`number` of events to send; 0: 300,000, or with -rate 20 seconds of them")
	set.IntVar(&r.users, "users", 100_000, "`number` of users, who are all known before the measurement")
	set.IntVar(&r.connections, "connections", 0, "`number` of connections; 0: 8, or 64 with -single")
	set.Uint64Var(&r.seed, "seed", 1, "of what is sent")
	set.StringVar(&r.mixpanel, "mixpanel", "fake", "`who` is told: fake, an imitation that runs beside; none, nobody listens there and messages stay queued")
	set.StringVar(&r.cpuProfile, "cpuprofile", "", "write a CPU profile of muster, from its start to its end, to this `file`")
	set.StringVar(&r.save, "save", "", "also write the result as JSON to this `file`")
	set.DurationVar(&r.soak, "soak", 0, "send at -rate for so `long`, and see whether anything grows")
	set.StringVar(&r.graph, "graph", "", "draw the soak into this `file`, as SVG")
	set.BoolVar(&r.verbose, "v", false, "show muster's log")
	if err := set.Parse(args); err != nil {
		return r, err
	}
	r.command = repeatable(set)
	if r.single {
		r.batch = 1
	}
	if r.connections == 0 {
		r.connections = 8
		if r.single {
			r.connections = 64
		}
	}
	if r.events == 0 {
		r.events = 300_000
		if r.rate > 0 {
			r.events = int(20*r.rate) * r.batch
		}
	}
	switch {
	case set.NArg() > 0:
		return r, fmt.Errorf("there are no arguments, only flags: %q", set.Args())
	case r.batch < 1 || r.batch > 2_500:
		return r, errors.New("-batch must be 1 to 2,500, as the Tracking API takes them")
	case r.events < r.batch || r.users < 2 || r.connections < 1 || r.rate < 0:
		return r, errors.New("-events, -users and -connections must be more than that, and -rate not negative")
	case r.soak != 0 && (r.soak < time.Minute || r.rate == 0):
		return r, errors.New("-soak is a minute or more, and needs -rate: half of what muster can take in, so that it could catch up")
	case r.soak == 0 && r.graph != "":
		return r, errors.New("-graph draws a soak: add -soak 2h and -rate")
	case r.mixpanel != "fake" && r.mixpanel != "none":
		return r, fmt.Errorf("-mixpanel is fake or none, not %q", r.mixpanel)
	}
	return r, nil
}

// repeatable is the command with the flags that make a difference to what is measured.
func repeatable(set *flag.FlagSet) string {
	command := "go run ./bench/load"
	set.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "save", "v", "cpuprofile":
		case "single":
			command += " -single"
		default:
			command += " -" + f.Name + " " + f.Value.String()
		}
	})
	return command
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	r, err := parse(os.Args[1:], os.Stderr)
	switch {
	case err != nil:
	case r.soak > 0:
		err = r.soakFor(ctx, os.Stdout, os.Stderr)
	default:
		err = r.measure(ctx, os.Stdout, os.Stderr)
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// requests are what is sent, made before the measurement so that making them costs it nothing.
func (r *run) requests(now time.Time) []request {
	s := newShop(r.seed, r.users)
	all := make([]request, r.events/r.batch)
	for i := range all {
		if r.single {
			all[i] = request{"/v1/t", s.single(now), 1}
		} else {
			all[i] = request{"/v1/batch", s.batch(r.batch, now), r.batch}
		}
	}
	return all
}

// introductions make all users known.
func (r *run) introductions(now time.Time) []request {
	var all []request
	const together = 500
	for first := 0; first < r.users; first += together {
		n := min(together, r.users-first)
		all = append(all, request{"/v1/batch", introduction(first, n, now), n})
	}
	return all
}
