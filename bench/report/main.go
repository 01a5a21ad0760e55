// Command report runs the benchmarks whose figures the README and docs/benchmarks.md give, keeps
// each result in bench/results, and writes both from what is kept there:
//
//	go run ./bench/report                        # all but the long ones, about 45 minutes on two cores
//	go run ./bench/report -run hourly,backfill   # these
//	go run ./bench/report -render                # run nothing, write the pages anew
//	go run ./bench/report -small -o /tmp/trial   # all of them in minutes, into another folder
//
// Run it in the project's folder, on a machine that does nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// run are the flags of a run.
type run struct {
	names  string
	render bool
	small  bool
	list   bool
	folder string
	take   taken
}

// taken is a flag: results that were saved by other means, by the name of their benchmark.
type taken []struct{ name, file string }

// String implements flag.Value.
func (t *taken) String() string { return "" }

// Set implements flag.Value.
func (t *taken) Set(text string) error {
	name, file, ok := strings.Cut(text, "=")
	if !ok || file == "" {
		return fmt.Errorf("%q is not NAME=FILE", text)
	}
	if _, err := named(name); err != nil {
		return err
	}
	*t = append(*t, struct{ name, file string }{name, file})
	return nil
}

// places are where results and pages are kept.
type places struct {
	results string // a folder
	page    string
	readme  string // empty: there is none
}

func (r *run) places() places {
	if r.folder == "" {
		return places{"bench/results", "docs/benchmarks.md", "README.md"}
	}
	return places{results: r.folder, page: filepath.Join(r.folder, "benchmarks.md")}
}

func parse(args []string, out io.Writer) (run, error) {
	var r run
	set := flag.NewFlagSet("report", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&r.names, "run", "", "`names` of the benchmarks to run, separated by commas; all: also the long ones; by default those that are not long")
	set.BoolVar(&r.render, "render", false, "run nothing, write the pages from the results that are kept")
	set.BoolVar(&r.small, "small", false, "at sizes that take seconds and say nothing, to try things out; with -o")
	set.BoolVar(&r.list, "list", false, "list the benchmarks, and run nothing")
	set.StringVar(&r.folder, "o", "", "keep results and page in this `folder`, not in bench/results and docs")
	set.Var(&r.take, "take", "`NAME=FILE`: instead of running, take the JSON that the command of this benchmark has saved; may be repeated")
	if err := set.Parse(args); err != nil {
		return r, err
	}
	switch {
	case set.NArg() > 0:
		return r, fmt.Errorf("there are no arguments, only flags: %q", set.Args())
	case r.small && r.folder == "":
		return r, errors.New("results of -small are not for the pages: name another folder with -o")
	case r.names != "" && (r.render || len(r.take) > 0), r.render && len(r.take) > 0:
		return r, errors.New("choose one of -run, -render and -take")
	}
	_, err := r.chosen()
	return r, err
}

// chosen are the benchmarks to run.
func (r *run) chosen() ([]benchmark, error) {
	if r.render || len(r.take) > 0 {
		return nil, nil
	}
	if r.names == "" || r.names == "all" {
		return slices.DeleteFunc(slices.Clone(benchmarks), func(b benchmark) bool { return b.long && r.names == "" }), nil
	}
	var chosen []benchmark
	for name := range strings.SplitSeq(r.names, ",") {
		b, err := named(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, b)
	}
	return chosen, nil
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
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

// do runs the benchmarks, keeps what they have found, and writes the pages. A benchmark that
// fails leaves its older result as it is, and the others run on.
func (r *run) do(ctx context.Context, out, log io.Writer) error {
	if r.list {
		return list(out)
	}
	if text, err := os.ReadFile("go.mod"); err != nil || !strings.HasPrefix(string(text), "module muster\n") {
		return errors.New("run it in the folder of the project, where go.mod is")
	}
	chosen, err := r.chosen()
	if err != nil {
		return err
	}
	p := r.places()
	if err := os.MkdirAll(p.results, 0o755); err != nil { //nolint:gosec // part of the project, for everybody to read
		return err
	}
	failed := measure(ctx, chosen, p, r.small, out, log)
	for _, t := range r.take {
		failed = errors.Join(failed, take(t.name, t.file, p))
	}
	return errors.Join(failed, write(p, log))
}

// write writes the pages from the kept results.
func write(p places, log io.Writer) error {
	all, err := load(p.results)
	if err != nil {
		return err
	}
	text, err := page(all, filepath.Dir(p.page))
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.page, text, 0o644); err != nil { //nolint:gosec // a page of the manual
		return err
	}
	fmt.Fprintf(log, "written: %s\n", p.page)
	if p.readme == "" {
		return nil
	}
	old, err := os.ReadFile(p.readme)
	if err != nil {
		return err
	}
	if text, err = readme(old, all); err != nil {
		return err
	}
	if err := os.WriteFile(p.readme, text, 0o644); err != nil { //nolint:gosec // the README
		return err
	}
	fmt.Fprintf(log, "written: %s\n", p.readme)
	return nil
}
