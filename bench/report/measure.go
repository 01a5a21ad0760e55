package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muster/bench/result"
)

// measure runs benchmarks one after the other and keeps what each has found.
func measure(ctx context.Context, chosen []benchmark, p places, small bool, out, log io.Writer) (failed error) {
	if len(chosen) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "muster-report-")
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, os.RemoveAll(dir)) }()
	programs := make(map[string]string)
	for i, b := range chosen {
		if ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
		command := b.command
		if small {
			command = b.small
		}
		fmt.Fprintf(log, "\n%d of %d, %s: %s\n", i+1, len(chosen), b.name, command)
		began := time.Now()
		s, err := b.run(ctx, command, dir, p, programs, out, log)
		if err == nil {
			err = s.keep(p.results, b.name)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", b.name, err))
			fmt.Fprintf(log, "%s: %v\n", b.name, err)
			continue
		}
		fmt.Fprintf(log, "%s: kept in %s after %s\n", b.name, file(p.results, b.name), time.Since(began).Round(time.Second))
	}
	return failed
}

// run runs the command and returns what it has found.
func (b benchmark) run(ctx context.Context, command, dir string, p places, programs map[string]string, out, log io.Writer) (*saved, error) {
	beside := strings.ReplaceAll(command, graph, filepath.Join(filepath.Dir(p.page), filepath.Base(graph)))
	argv, err := executable(ctx, beside, dir, programs)
	if err != nil {
		return nil, err
	}
	saveTo := filepath.Join(dir, b.name+".json")
	if b.read.json != nil {
		argv = append(argv, "-save", saveTo)
	}
	s := &saved{Commit: commit(ctx), Memory: memory(), BusyBefore: busyCores(ctx)}
	s.Report = *result.New(b.name, "", command, "", true, time.Now())
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // commands of this package
	cmd.Stdout, cmd.Stderr = io.MultiWriter(out, &said), log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it removes its databases
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	s.Finish(time.Now())
	if b.read.json != nil {
		text, err := os.ReadFile(saveTo)
		if err != nil {
			return nil, err
		}
		if err := b.read.json(text, &s.Report); err != nil {
			return nil, fmt.Errorf("%s: %w", saveTo, err)
		}
	} else if err := b.read.says(said.String(), &s.Report); err != nil {
		return nil, err
	}
	if b.read.json == nil || !strings.Contains(s.Command, "-seed") { // a drawn seed belongs to what was run
		s.Command = command
	}
	s.BusyAfter = busyCores(ctx)
	return s, nil
}

// executable is the command with its program built, so that compiling costs the measurement nothing.
func executable(ctx context.Context, command, dir string, programs map[string]string) ([]string, error) {
	argv := strings.Fields(command)
	if !slices.Equal(argv[:2], []string{"go", "run"}) {
		return argv, nil
	}
	source := argv[2]
	if programs[source] == "" {
		program := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(source, "./"), "/", "-"))
		if text, err := exec.CommandContext(ctx, "go", "build", "-o", program, source).CombinedOutput(); err != nil { //nolint:gosec // commands of this package
			return nil, fmt.Errorf("go build %s: %w\n%s", source, err, text)
		}
		programs[source] = program
	}
	return append([]string{programs[source]}, argv[3:]...), nil
}

// take keeps a result that the command of a benchmark has saved by itself. What a file does
// not tell, its instant and its machine, is the file's and this one.
func take(name, from string, p places) error {
	b, err := named(name)
	if err != nil {
		return err
	}
	if b.read.json == nil {
		return fmt.Errorf("%s saves no JSON: use -run %s", b.command, name)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	s := &saved{Memory: memory()}
	s.Report = *result.New(name, "", b.command, "", true, info.ModTime())
	s.Ended = info.ModTime().UTC().Truncate(time.Second)
	s.Machine.LoadBefore = 0
	if err := b.read.json(text, &s.Report); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	s.Command = withoutSave(s.Command)
	return s.keep(p.results, name)
}

// withoutSave leaves out of a command where its result was saved, which readers need not repeat.
func withoutSave(command string) string {
	argv := strings.Fields(command)
	if i := slices.Index(argv, "-save"); i >= 0 && i+1 < len(argv) {
		argv = slices.Delete(argv, i, i+2)
	}
	return strings.Join(argv, " ")
}
