package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/config"
	"muster/engine"
	"muster/identity"
	"muster/query"
	"muster/store"
)

// countFlags say how far effects are counted.
type countFlags struct {
	run    engine.DryRun
	within time.Duration
	none   bool
}

func (f *countFlags) add(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&f.run.Profiles, "limit", 0, "count over so many `profiles` at most, chosen as by lot; 0: all")
	cmd.Flags().DurationVar(&f.within, "timeout", time.Minute, "count for so `long` at most, and say over how many profiles; 0: as long as it takes")
	cmd.Flags().IntVar(&f.run.Samples, "samples", 3, "show so many `profiles` of each kind")
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if f.run.Profiles < 0 || f.run.Samples < 0 || f.within < 0 {
			return usageError{errors.New("--limit, --timeout and --samples cannot be negative")}
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

// count is nil if nothing is to be counted.
func (f *countFlags) count() *engine.DryRun {
	if f.none {
		return nil
	}
	return &f.run
}

func newPlan(env *environment) *cobra.Command {
	var db databaseFlags
	var f countFlags
	var output string
	cmd := &cobra.Command{
		Use: "plan [FILE|FOLDER]", Short: "Show what a configuration would change, and for whom",
		Long: `Plan compares a file, or all .yaml files of a folder, with what the database has: audiences
and traits, and of each new or edited one how many profiles would enter and leave, with
samples; sources, identity rules and destinations with the fields that change. Of secrets
it says only that they change. Without an argument it takes the configuration itself. It
changes nothing. Exit code 1 means that a definition is refused.

What the file has no field for (sources, identity, destinations, audiences and traits)
stays as it is, and nothing is said of it. A file that has none of these is an empty one.

The numbers come from a dry run over the stored history with the reference evaluator. When
its time is up they stand for the profiles looked at by then, and it says so.`,
		Example: `  muster plan
  muster plan definitions/ --timeout 10s
  muster plan -o json`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withConfiguredStore(cmd, env, func(s *store.Store) error {
				p, err := makePlan(cmd, env, s, db.desiredPath(args), &f, false)
				if err != nil {
					return err
				}
				if output == "json" {
					err = env.printJSON(p.json(false))
				} else {
					p.print(env.out)
				}
				if err == nil && len(p.Refused()) > 0 {
					return failure{exitFailed}
				}
				return err
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	f.add(cmd)
	cmd.Flags().BoolVar(&f.none, "no-count", false, "do not count who would enter and leave")
	return cmd
}

// atMostOne is cobra.MaximumNArgs(1) with an error that counts as one of usage.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("%s takes one file or folder, not %d arguments", cmd.CommandPath(), len(args))}
	}
	return nil
}

// desiredPath is where definitions are taken from.
func (f *databaseFlags) desiredPath(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return f.config
}

// planned is a plan with what it was made of.
type planned struct {
	*engine.Plan
	desired engine.Desired
	config  *config.Config // nil: it was not made of files

	stored   store.Configuration // sources, identity rules and destinations to be
	changes  []config.Change     // of them
	rewrites bool                // they are to be stored though nothing changes, see config.Changes
	leaves   bool                // the files say nothing of audiences and traits
}

// Changes tells whether anything would change.
func (p *planned) Changes() bool { return len(p.changes) > 0 || p.Plan.Changes() }

// makePlan plans for what stands in a file or folder. all says that a file which says nothing
// of audiences and traits wants none.
func makePlan(cmd *cobra.Command, env *environment, s *store.Store, path string, f *countFlags, all bool) (*planned, error) {
	ctx := cmd.Context()
	kept, err := s.Kept(ctx)
	if err != nil {
		return nil, err
	}
	c, err := config.LoadDefinitions(path, env.lookup, slices.Sorted(maps.Keys(kept.Destinations)))
	if err != nil {
		return nil, missing(path, err)
	}
	p := &planned{config: c, desired: engine.Desired{Definitions: c.Definitions()}}
	if p.stored, p.changes, p.rewrites, err = changesOf(c, kept); err != nil {
		return nil, err
	}
	other := c.Says("sources") || c.Says("identity") || c.Says("destinations")
	count := f.count()
	if p.leaves = other && !all && !c.Says("audiences") && !c.Says("traits"); p.leaves {
		count = nil
		if p.desired.Definitions, err = app.Definitions(ctx, s); err != nil {
			return nil, err
		}
	}
	if c.Says("destinations") {
		p.desired.Destinations = make(map[string]string)
		for _, d := range c.Destinations {
			p.desired.Destinations[d.Name] = d.Kind
		}
	}
	p.Plan, err = app.Plan(ctx, s, p.desired, count, f.within, env.now())
	return p, err
}

var planMarks = map[engine.Action]string{
	engine.ActionCreate: "+", engine.ActionEdit: "~", engine.ActionRemove: "-", engine.ActionFollow: ">",
}

// print shows a plan to people.
func (p *planned) print(w io.Writer) {
	counts := make(map[engine.Action]int)
	for _, c := range p.changes {
		counts[c.Action]++
		printChange(w, c)
	}
	for _, s := range p.Steps {
		if s.Refused != nil {
			fmt.Fprintf(w, "! %s %s is refused\n", s.Kind, s.Key)
			fmt.Fprint(w, indented(p.fault(s)))
			continue
		}
		if counts[s.Action]++; s.Action == engine.ActionKeep {
			continue
		}
		p.printStep(w, s)
	}
	if p.Looked.Of > 0 && !p.Looked.Complete() {
		fmt.Fprintf(w, "\nCounted over %d of %d profiles; the figures are estimates for all of them, made from these.\n", p.Looked.Profiles, p.Looked.Of)
	}
	if !p.Changes() && len(p.Refused()) == 0 {
		fmt.Fprintln(w, "Nothing changes.")
		return
	}
	fmt.Fprintf(w, "\n%d to create, %d to edit, %d to remove, %d stay as they are", counts[engine.ActionCreate], counts[engine.ActionEdit],
		counts[engine.ActionRemove], counts[engine.ActionKeep]+counts[engine.ActionFollow])
	if n := len(p.Refused()); n > 0 {
		fmt.Fprintf(w, "; %d refused", n)
	}
	fmt.Fprintln(w, ".")
}

// printChange shows what becomes of a source, a destination, or the identity rules.
func printChange(w io.Writer, c config.Change) {
	fmt.Fprintln(w, strings.TrimSpace(fmt.Sprintf("%s %s %s", planMarks[c.Action], c.Part, c.Name)))
	for _, f := range c.Fields {
		switch {
		case f.Secret:
			fmt.Fprintf(w, "    %s: changed\n", f.Field)
		case c.Action == engine.ActionCreate || c.Unknown:
			fmt.Fprintf(w, "    %s: %s\n", f.Field, f.After)
		default:
			printField(w, f.Field, f.Before, f.After)
		}
	}
	for _, note := range c.Notes {
		fmt.Fprintf(w, "    %s\n", note)
	}
}

func printField(w io.Writer, field, before, after string) {
	if len(before)+len(after) > 60 {
		fmt.Fprintf(w, "    %s\n      from  %s\n      to    %s\n", field, orNone(before), orNone(after))
	} else {
		fmt.Fprintf(w, "    %s: %s -> %s\n", field, orNone(before), orNone(after))
	}
}

func (p *planned) printStep(w io.Writer, s engine.Step) {
	fmt.Fprintf(w, "%s %s %s", planMarks[s.Action], s.Kind, s.Key)
	switch {
	case s.Action == engine.ActionFollow:
		fmt.Fprint(w, " reads what changes")
	case s.Class != "" && s.Recomputed:
		fmt.Fprintf(w, " (%s)", s.Class)
	}
	fmt.Fprintln(w)
	for _, f := range s.Fields {
		printField(w, f.Field, f.Before, f.After)
	}
	if s.Action == engine.ActionEdit && !s.Recomputed {
		fmt.Fprintln(w, "    no value changes")
	}
	if s.Action == engine.ActionRemove {
		if len(s.Cleanups) > 0 {
			fmt.Fprintf(w, "    what was told is taken back (%s); its last values stay as plain traits\n", strings.Join(s.Cleanups, ", "))
		} else {
			fmt.Fprintln(w, "    nothing is sent; its last values stay as plain traits")
		}
		if len(s.Readers) > 0 {
			fmt.Fprintf(w, "    read by %s, which goes on with these\n", strings.Join(s.Readers, ", "))
		}
	}
	if len(s.Warnings) > 0 && p.config != nil {
		fmt.Fprint(w, indented(p.config.Place(s.Key).Render(s.Key, s.Warnings)))
	}
	if s.Effect != nil {
		p.printEffect(w, s.Kind, *s.Effect)
	}
}

func (p *planned) printEffect(w io.Writer, kind query.Purpose, e engine.Effect) {
	what := "with a value"
	if kind == query.Audience {
		what = "members"
	}
	n := p.Looked.Whole
	fmt.Fprintf(w, "    %s: %d -> %d; %d enter, %d leave", what, n(e.Before), n(e.After), n(e.Entered), n(e.Exited))
	if kind != query.Audience {
		fmt.Fprintf(w, ", %d change", n(e.Changed))
	}
	fmt.Fprintln(w)
	for _, sample := range e.Samples {
		fmt.Fprintf(w, "      %-7s %s\n", sampleVerb(kind, sample), sampleText(kind, sample))
	}
}

func sampleVerb(kind query.Purpose, s engine.Sample) string {
	off := func(v query.Value) bool { return v.IsNull() || kind == query.Audience && !v.AsBool() }
	switch {
	case off(s.Before):
		return "enters"
	case off(s.After):
		return "leaves"
	}
	return "changes"
}

func sampleText(kind query.Purpose, s engine.Sample) string {
	text := strings.Join(idTexts(s.Links), ", ")
	if kind != query.Audience {
		text += fmt.Sprintf(": %s -> %s", s.Before, s.After)
	}
	return text
}

func idTexts(links []identity.Link) []string {
	texts := make([]string, 0, len(links))
	for _, l := range links {
		texts = append(texts, l.ID.String())
	}
	return texts
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

// fault is why a step is refused, with file, line and caret if it is the query.
func (p *planned) fault(s engine.Step) string {
	if len(s.Refused.Diagnostics) > 0 {
		if p.config != nil {
			return p.config.Place(s.Key).Render(s.Key, s.Refused.Diagnostics)
		}
		return s.Refused.Diagnostics.Render()
	}
	if p.config != nil && p.config.Place(s.Key).File != "" {
		return p.config.Place(s.Key).File + ": " + s.Refused.Error() + "\n"
	}
	return s.Refused.Error() + "\n"
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// json is a plan for programs. Counts are those of the profiles looked at.
func (p *planned) json(applied bool) any {
	type sample struct {
		Profile int64       `json:"profile"`
		IDs     []string    `json:"ids"`
		Before  query.Value `json:"before"`
		After   query.Value `json:"after"`
	}
	type effect struct {
		Before  int64    `json:"before"`
		After   int64    `json:"after"`
		Entered int64    `json:"entered"`
		Exited  int64    `json:"exited"`
		Changed int64    `json:"changed"`
		Samples []sample `json:"samples"`
	}
	type field struct {
		Field  string `json:"field"`
		Before string `json:"before"`
		After  string `json:"after"`
	}
	type step struct {
		Action     engine.Action     `json:"action"`
		Kind       query.Purpose     `json:"kind"`
		Key        string            `json:"key"`
		Class      query.Class       `json:"class,omitempty"`
		Because    []string          `json:"because,omitempty"`
		Recomputed bool              `json:"recomputed"`
		Fields     []field           `json:"fields,omitempty"`
		Readers    []string          `json:"readers,omitempty"`
		Cleanups   []string          `json:"cleanups,omitempty"`
		Effect     *effect           `json:"effect,omitempty"`
		Refused    string            `json:"refused,omitempty"`
		Found      query.Diagnostics `json:"diagnostics,omitempty"`
	}
	out := struct {
		Changes      bool            `json:"changes"`
		Applied      bool            `json:"applied"`
		Complete     bool            `json:"complete"`
		Looked       int64           `json:"profiles_looked_at"`
		Of           int64           `json:"profiles"`
		Sources      []config.Change `json:"sources"`
		Identity     *config.Change  `json:"identity"` // null: they stay
		Destinations []config.Change `json:"destinations"`
		Steps        []step          `json:"steps"`
	}{p.Changes(), applied, p.Looked.Complete(), p.Looked.Profiles, p.Looked.Of, []config.Change{}, nil, []config.Change{}, []step{}}
	for _, c := range p.changes {
		switch c.Part {
		case config.PartSource:
			out.Sources = append(out.Sources, c)
		case config.PartIdentity:
			out.Identity = &c
		case config.PartDestination:
			out.Destinations = append(out.Destinations, c)
		}
	}
	for _, s := range p.Steps {
		line := step{
			Action: s.Action, Kind: s.Kind, Key: s.Key, Class: s.Class, Because: s.Because, Recomputed: s.Recomputed, Readers: s.Readers, Cleanups: s.Cleanups, Found: s.Warnings,
		}
		for _, f := range s.Fields {
			line.Fields = append(line.Fields, field(f))
		}
		if s.Refused != nil {
			line.Refused = s.Refused.Message
		}
		if e := s.Effect; e != nil {
			line.Effect = &effect{Before: e.Before, After: e.After, Entered: e.Entered, Exited: e.Exited, Changed: e.Changed, Samples: []sample{}}
			for _, x := range e.Samples {
				line.Effect.Samples = append(line.Effect.Samples, sample{x.ProfileID, idTexts(x.Links), x.Before, x.After})
			}
		}
		out.Steps = append(out.Steps, line)
	}
	return out
}

// empties tells whether a plan would remove everything because its file is empty.
func (p *planned) empties() bool {
	return !p.leaves && len(p.desired.Definitions) == 0 && slices.ContainsFunc(p.Steps, func(s engine.Step) bool { return s.Action == engine.ActionRemove })
}

// missing says that a file is not there, in the words of the command line.
func missing(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no %s: name a file or a folder of definitions", path)
	}
	return err
}
