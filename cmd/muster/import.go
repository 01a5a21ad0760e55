package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/ingest"
)

// shownBadLines is how many bad lines are shown one by one.
const shownBadLines = 20

func newImport(env *environment) *cobra.Command {
	var db databaseFlags
	var source, output string
	cmd := &cobra.Command{
		Use: "import FILE|-", Short: "Take calls from a file",
		Long: `Import reads Segment calls from a file, or from standard input, one JSON object a
line, plain or gzip. Calls keep their own timestamps. A line that cannot be taken is
reported with its number and reason, and the others go in.

A message id that was seen before is counted and skipped: an interrupted import is
simply run again. It works while muster serve runs, on the same database.

Exit code 1 means that lines were refused.`,
		Example: `  muster import orders.ndjson.gz
  zcat logs/*.gz | muster import - --source web -o json`,
		Args: exactly(1, "one file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, size, err := openInput(env, args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return importCalls(cmd.Context(), env, &db, in, size, source, output)
		},
	}
	db.add(cmd)
	cmd.Flags().StringVar(&source, "source", "import", "`name` of the source that the calls are counted to")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// openInput opens a file, or standard input for "-"; the size is 0 when unknown.
func openInput(env *environment, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(env.in), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return f, 0, err
	}
	return f, info.Size(), nil
}

func importCalls(ctx context.Context, env *environment, db *databaseFlags, in io.Reader, size int64, source, output string) (err error) {
	c, err := db.load(env)
	if err != nil {
		return err
	}
	log := env.logger(slog.LevelWarn)
	s, _, closeDB, err := db.open(ctx, env, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDB()) }()
	if err := configure(ctx, env, s, c.WithoutSources(), log); err != nil {
		return err
	}
	rules, err := identityRules(ctx, s)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, app.Options{Store: s, Identity: rules, Configured: true, Now: env.now, Log: log})
	if err != nil {
		return err
	}
	defer a.Close()
	src, err := s.EnsureSource(ctx, source, env.now())
	if err != nil {
		return err
	}
	if !src.Enabled {
		return fmt.Errorf("source %q is disabled, so nothing is taken from it: muster source enable %[1]s takes its calls again", source)
	}
	bar := newBar(env)
	began := env.now()
	refused := 0
	im := ingest.Import{
		Sink: a.Sink(), SourceID: src.ID, Now: env.now, Size: size,
		OnProgress: func(p ingest.Progress) {
			bar.show(p.Read, p.Size, fmt.Sprintf("%d lines, %.0f/s", p.Lines, p.LinesPerSecond()), p.Remaining())
		},
		OnBadLine: func(b ingest.BadLine) {
			if refused++; refused <= shownBadLines {
				bar.clear()
				fmt.Fprintf(env.err, "line %d: %v\n", b.Line, b.Rejection)
			}
		},
	}
	summary, err := im.Run(ctx, in)
	bar.clear()
	if refused > shownBadLines {
		fmt.Fprintf(env.err, "and %s more\n", plural(refused-shownBadLines, "line"))
	}
	took := env.now().Sub(began)
	if shown := showImport(env, summary, took, output); shown != nil {
		return shown
	}
	if err != nil {
		return fmt.Errorf("%w (what is counted above is stored; run the import again to go on)", err)
	}
	if summary.Refused > 0 {
		return failure{exitFailed}
	}
	return nil
}

func showImport(env *environment, s ingest.Summary, took time.Duration, output string) error {
	rate := float64(s.Lines) / max(took.Seconds(), 1e-9)
	if output == "json" {
		return env.printJSON(struct {
			Lines      int64   `json:"lines"`
			Accepted   int64   `json:"accepted"`
			Duplicate  int64   `json:"duplicate"`
			Suppressed int64   `json:"suppressed"`
			Skipped    int64   `json:"skipped"` // stored nowhere, as the call asked or as its size commands
			Refused    int64   `json:"refused"`
			RefusedBy  any     `json:"refused_by,omitempty"`
			Seconds    float64 `json:"seconds"`
			PerSecond  float64 `json:"lines_per_second"`
		}{s.Lines, s.Accepted, s.Duplicate, s.Suppressed, s.Skipped, s.Refused, s.RefusedBy, took.Seconds(), rate})
	}
	fmt.Fprintf(env.out, "%s in %s (%.0f/s): %d accepted, %d duplicates, %d suppressed, %d skipped, %d refused\n",
		plural(s.Lines, "line"), took.Round(time.Millisecond), rate, s.Accepted, s.Duplicate, s.Suppressed, s.Skipped, s.Refused)
	for _, code := range slices.Sorted(maps.Keys(s.RefusedBy)) {
		fmt.Fprintf(env.out, "  refused for %s: %d\n", code, s.RefusedBy[code])
	}
	return nil
}
