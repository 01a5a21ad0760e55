package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried, and did not work or found something wrong
	exitUsage  = 2 // the command line is wrong
)

// environment is what a command touches of the process it runs in.
type environment struct {
	in     io.Reader
	out    io.Writer // results
	err    io.Writer // everything else: logs, progress
	lookup func(string) (string, bool)
	now    func() time.Time
}

// failure is an error that has been shown already: only its exit code is left.
type failure struct{ code int }

func (f failure) Error() string { return fmt.Sprintf("exit %d", f.code) }

// run executes a command line and returns its exit code.
func run(ctx context.Context, env *environment, args []string) int {
	seen := *env
	seen.out = shown{env.out}
	root := newRoot(&seen)
	root.SetArgs(longFlags(args))
	cmd, err := root.ExecuteContextC(ctx)
	var f failure
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &f):
		return f.code
	case errors.As(err, &usage):
		fmt.Fprintf(shown{env.err}, "muster: %v\nrun '%s --help' for how it is used\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(shown{env.err}, "muster: %v\n", err)
	return exitFailed
}

// longFlags lets muster test -run PATTERN, as in go test, mean --run.
func longFlags(args []string) []string {
	if len(args) == 0 || args[0] != "test" {
		return args
	}
	args = slices.Clone(args)
	for i, a := range args {
		if a == "-run" || strings.HasPrefix(a, "-run=") {
			args[i] = "-" + a
		}
	}
	return args
}

// usageError is a mistake in the command line.
type usageError struct{ error }

func newRoot(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "muster",
		Short: "Audiences and computed traits from Segment calls, told to Mixpanel",
		Long: `Muster takes the calls that your apps make in the format of Segment, keeps profiles
in PostgreSQL, decides who is in which audience and what each computed trait is
worth, and tells Mixpanel about every change.

Start with:  muster demo     a real shop's log, from calls to Mixpanel, on this machine
             muster serve    the real thing, configured by muster.yaml`,
		SilenceErrors: true, SilenceUsage: true,
		Version: buildInfo().Version,
	}
	root.SetVersionTemplate("muster {{.Version}}\n")
	root.SetIn(env.in)
	root.SetOut(env.out)
	root.SetErr(env.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	group(root)
	for _, part := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Running:", []*cobra.Command{newServe(env), newImport(env), newDemo(env), newFakeMixpanel(env), newMigrate(env)}},
		{"Defining:", []*cobra.Command{newPlan(env), newApply(env), newExport(env), newHistory(env), newRollback(env), newQuery(env), newTest(env)}},
		{"Looking:", []*cobra.Command{newAudience(env), newTrait(env), newProfile(env), newExplain(env), newRun(env), newDebug(env), newPsql(env)}},
		{"Calls in, messages out:", []*cobra.Command{newSource(env), newDestination(env), newDelivery(env), newMap(env), newToken(env)}},
		{"Is all well?", []*cobra.Command{newDoctor(env), newVerify(env)}},
		{"Besides:", []*cobra.Command{newVersion(env)}},
	} {
		root.AddGroup(&cobra.Group{ID: part.title, Title: part.title})
		for _, cmd := range part.commands {
			cmd.GroupID = part.title
		}
		root.AddCommand(part.commands...)
	}
	completeArguments(env, root)
	root.SetHelpCommandGroupID("Besides:")
	root.SetCompletionCommandGroupID("Besides:")
	return root
}

// group makes a command of its commands: alone it shows its help.
func group(cmd *cobra.Command, commands ...*cobra.Command) {
	cmd.AddCommand(commands...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fmt.Errorf("there is no command %q in %s", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean %s?", err, near[0])
		}
		return usageError{err}
	}
}

// exactly is cobra.ExactArgs with an error that counts as one of usage. what says what the
// arguments are; it is not used where there are none.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == n:
			return nil
		case n == 0:
			return usageError{fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args[0])}
		}
		return usageError{fmt.Errorf("%s takes %s, not %s", cmd.CommandPath(), what, plural(len(args), "argument"))}
	}
}

// plural is a number of things.
func plural[N ~int | ~int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// terminal tells whether a stream is one that a person looks at.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	// The device that jobs are given in the place of a terminal looks like one.
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// logger writes to the error stream: for people on a terminal, as JSON elsewhere.
func (env *environment) logger(level slog.Level) *slog.Logger {
	if terminal(env.err) {
		return slog.New(tint.NewTextHandler(env.err, &tint.Options{Level: level, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewJSONHandler(env.err, &slog.HandlerOptions{Level: level, ReplaceAttr: withUnits}))
}

// withUnits writes durations with their unit, where JSON would have bare nanoseconds.
func withUnits(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// printJSON writes a result for programs.
func (env *environment) printJSON(v any) error {
	text, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(unshown(env.out), "%s\n", text)
	return err
}

// outputFlag adds -o, whose values are the ones given, the first by default.
func outputFlag(cmd *cobra.Command, into *string, formats ...string) {
	last := len(formats) - 1
	choice := strings.Join(formats[:last], ", ") + " or " + formats[last]
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "output `format`: "+choice)
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case !slices.Contains(formats, *into):
			return usageError{fmt.Errorf("--output %s: use %s", *into, choice)}
		case before != nil:
			return before(cmd, args)
		}
		return nil
	}
}
