package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"muster/query"
	"muster/store"
)

func newQuery(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "query", Short: "Check definitions of audiences and traits, without a database",
		Long: `These commands look at one definition, given as text, in a file, or on standard
input (-). Its language is described in docs/language.md.`,
	}
	group(cmd, newQueryCheck(env), newQueryFmt(env), newQueryExplainClass(env))
	return cmd
}

// queryFlags say what a definition is to be.
type queryFlags struct {
	kind, level, output string
	compile             func(*cobra.Command, string, query.CheckOptions) (*query.Definition, query.Diagnostics, error)
}

// queryCommand builds a command on one definition. Faults of the definition are shown on
// standard error and end it with exit code 1; the warnings are shown too.
func queryCommand(env *environment, cmd *cobra.Command, show func(*queryFlags, *query.Definition, query.Diagnostics) error) *cobra.Command {
	var f queryFlags
	f.compile = func(_ *cobra.Command, text string, o query.CheckOptions) (*query.Definition, query.Diagnostics, error) {
		d, found := query.Compile(text, o)
		return d, found, nil
	}
	return f.command(env, cmd, show)
}

func (f *queryFlags) command(env *environment, cmd *cobra.Command, show func(*queryFlags, *query.Definition, query.Diagnostics) error) *cobra.Command {
	cmd.Args = exactly(1, "one definition: its text, the name of a file, or - for standard input")
	cmd.Flags().StringVar(&f.kind, "kind", string(query.Audience), "what it defines: `audience` or trait")
	cmd.Flags().StringVar(&f.level, "level", string(query.Users), "whom it is about: `users` or accounts")
	outputFlag(cmd, &f.output, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		options, err := f.options()
		if err != nil {
			return err
		}
		text, err := readDefinition(env, args[0])
		if err != nil {
			return err
		}
		d, found, err := f.compile(cmd, text, options)
		if err != nil {
			return err
		}
		if f.output == "text" {
			fmt.Fprint(env.err, found.Render())
			if d == nil {
				return failure{exitFailed}
			}
		}
		if err := show(f, d, found); err != nil {
			return err
		}
		if d == nil {
			return failure{exitFailed}
		}
		return nil
	}
	return cmd
}

func (f *queryFlags) options() (query.CheckOptions, error) {
	o := query.CheckOptions{Purpose: query.Purpose(f.kind), Level: query.Level(f.level)}
	if o.Purpose != query.Audience && o.Purpose != query.Trait {
		return o, usageError{fmt.Errorf("--kind %s: use audience or trait", f.kind)}
	}
	if o.Level != query.Users && o.Level != query.Accounts {
		return o, usageError{fmt.Errorf("--level %s: use users or accounts", f.level)}
	}
	return o, nil
}

// readDefinition takes an argument for - (standard input), for the name of a file, or
// else for the text itself.
func readDefinition(env *environment, arg string) (string, error) {
	if arg == "-" {
		return readText(env.in)
	}
	file, err := os.Open(arg)
	if err == nil {
		defer file.Close()
		return readText(file)
	}
	// No definition is without brackets, and hardly any file name is with them.
	if !strings.ContainsAny(arg, "()") && strings.TrimSpace(arg) != "" {
		return "", fmt.Errorf("%q is neither a file nor a definition, which holds a call such as event('Order Completed'): %w", arg, errors.Unwrap(err))
	}
	return arg, nil
}

// readText reads a definition, one byte beyond the limit at most: enough to see that it is too long.
func readText(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, query.MaxLength+1))
	return string(text), err
}

func newQueryCheck(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "check TEXT|FILE|-", Short: "Say what is wrong with a definition, and where",
		Long: `Check says what is wrong with a definition, where, and how to mend it. With --known it also
warns of events and traits that the database has never seen: mostly they are misspelt.`,
		Example: `  muster query check "event('Order Completed').within(30 days).count() >= 2"
  muster query check lapsed.query -o json
  muster query check lapsed.query --known
  echo "event('Order Completed').count()" | muster query check - --kind trait`,
	}
	var db databaseFlags
	var known bool
	db.add(cmd)
	cmd.Flags().BoolVar(&known, "known", false, "warn of events and traits that the database has never seen")
	f := &queryFlags{}
	f.compile = func(cmd *cobra.Command, text string, o query.CheckOptions) (d *query.Definition, found query.Diagnostics, err error) {
		if !known {
			d, found = query.Compile(text, o)
			return d, found, nil
		}
		err = db.withStore(cmd, env, func(s *store.Store) error {
			var failed error
			o.KnownEvent = func(name string) bool {
				is, err := s.KnowsEvent(cmd.Context(), name)
				failed = cmp.Or(failed, err)
				return is
			}
			o.KnownTrait = func(key string) bool {
				is, err := s.KnowsTrait(cmd.Context(), key)
				failed = cmp.Or(failed, err)
				return is
			}
			d, found = query.Compile(text, o)
			return failed
		})
		return d, found, err
	}
	return f.command(env, cmd, func(f *queryFlags, d *query.Definition, found query.Diagnostics) error {
		if f.output == "text" {
			fmt.Fprintf(env.out, "ok: a %s %s\n", d.Class, d.Purpose)
			return nil
		}
		return env.printJSON(struct {
			Valid       bool              `json:"valid"`
			Diagnostics query.Diagnostics `json:"diagnostics"`
		}{d != nil, orEmpty(found)})
	})
}

func newQueryFmt(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "fmt TEXT|FILE|-", Short: "Print a definition in its canonical form",
		Long: `Fmt prints a definition as Muster stores it: definitions that mean the same by the
rules of the language have the same text.`,
		Example: `  muster query fmt 'event("Order Completed").within(2 weeks).count().gte(2)'`,
	}
	return queryCommand(env, cmd, func(f *queryFlags, d *query.Definition, found query.Diagnostics) error {
		if f.output == "text" {
			fmt.Fprintln(env.out, d.Text())
			return nil
		}
		text := ""
		if d != nil {
			text = d.Text()
		}
		return env.printJSON(struct {
			Text        string            `json:"text,omitempty"`
			Diagnostics query.Diagnostics `json:"diagnostics"`
		}{text, orEmpty(found)})
	})
}

// classReport is what can be told of a definition without data.
type classReport struct {
	Class     query.Class `json:"class"`
	Because   []string    `json:"because"` // the parts that the clock can change
	Events    []string    `json:"events"`
	Traits    []string    `json:"traits"`
	Fields    []string    `json:"fields"`
	Lookback  string      `json:"lookback,omitempty"`
	Unbounded bool        `json:"unbounded"`
	Funnel    bool        `json:"funnel"`
	Session   bool        `json:"session"`
	// Empty is the value for a profile without events and traits.
	Empty jsontext.Value `json:"empty"`
}

func newQueryExplainClass(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "explain-class TEXT|FILE|-", Short: "Say when a definition is computed, and what it reads",
		Long: `A definition is scheduled if the passing of time alone can change its value, and
realtime if only events and traits can. Explain-class says which, and which parts make
it so, together with the events, traits and fields that it reads.`,
		Example: `  muster query explain-class "event('Order Completed').within(30 days).count() >= 2"`,
	}
	return queryCommand(env, cmd, func(f *queryFlags, d *query.Definition, found query.Diagnostics) error {
		if d == nil {
			return env.printJSON(struct {
				Diagnostics query.Diagnostics `json:"diagnostics"`
			}{found})
		}
		r := classReport{
			Class: d.Class, Because: orEmpty(d.ClassBecause), Events: orEmpty(d.Events), Traits: orEmpty(d.Traits), Fields: orEmpty(d.Fields),
			Unbounded: d.Unbounded, Funnel: d.Funnel, Session: d.Session, Empty: d.Empty.AppendJSON(nil),
		}
		if d.MaxLookback > 0 {
			r.Lookback = inWords(d.MaxLookback)
		}
		if f.output == "json" {
			return env.printJSON(r)
		}
		return r.print(env.out)
	})
}

func (r *classReport) print(out io.Writer) error {
	if r.Class == query.Realtime {
		fmt.Fprintln(out, "realtime: only events and traits can change it")
	} else {
		fmt.Fprintln(out, "scheduled: the passing of time alone can change")
		for _, part := range r.Because {
			fmt.Fprintf(out, "  %s\n", part)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, list := range []struct {
		name  string
		items []string
	}{{"events", r.Events}, {"traits", r.Traits}, {"fields", r.Fields}} {
		if len(list.items) > 0 {
			fmt.Fprintf(w, "%s\t%s\n", list.name, strings.Join(list.items, ", "))
		}
	}
	if r.Lookback != "" {
		fmt.Fprintf(w, "looks back\t%s\n", r.Lookback)
	}
	if r.Unbounded {
		fmt.Fprintln(w, "history\tall of it counts")
	}
	if r.Funnel {
		fmt.Fprintln(w, "funnel\tan event follows another")
	}
	if r.Session {
		fmt.Fprintln(w, "session\tonly the last one counts")
	}
	fmt.Fprintf(w, "without data\t%s\n", r.Empty)
	return w.Flush()
}

// inWords writes a window as the language does: in days where it can.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d%unit.length != 0 {
			continue
		}
		n := int64(d / unit.length)
		if n == 1 {
			return "1 " + unit.name
		}
		return fmt.Sprintf("%d %ss", n, unit.name)
	}
	return d.String()
}

// orEmpty makes a list that is printed as [] rather than null.
func orEmpty[T ~[]E, E any](list T) T {
	if list == nil {
		return T{}
	}
	return list
}
