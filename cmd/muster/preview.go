package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"muster/api"
	"muster/app"
	"muster/engine"
	"muster/store"
)

// unsaved is the key of a definition that is looked at without being saved.
const unsaved = "unsaved_definition"

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func newPreview(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var f countFlags
	var output, schedule string
	var anonymous bool
	cmd := &cobra.Command{
		Use: "preview TEXT|FILE|-", Short: "Say " + map[bool]string{true: "who would be in an audience", false: "who would have which value of a computed trait"}[k == audiences] + ", without saving it",
		Long: `Preview evaluates a definition on the stored history: how many profiles it would hold, which
ids they have, a few of them, and whether it would be realtime or scheduled, and why. When
its time is up it says over how many profiles it has counted, and the figures are estimates.`,
		Example: `  muster ` + string(k.Purpose) + ` preview "event('Order Completed').within(30 days).count()` + map[bool]string{true: " >= 2", false: ""}[k == audiences] + `"
  muster ` + string(k.Purpose) + ` preview lapsed.query --timeout 10s -o json`,
		Args: exactly(1, "one definition: its text, the name of a file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readDefinition(env, args[0])
			if err != nil {
				return err
			}
			def := engine.Definition{
				Key: unsaved, Kind: k.Purpose, Query: text, Schedule: schedule, IncludeAnonymous: anonymous, IncludeHistorical: true,
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				p, err := app.Preview(cmd.Context(), s, def, f.run, f.within, env.now())
				if refused, ok := errors.AsType[*engine.DefinitionError](err); ok && len(refused.Diagnostics) > 0 {
					fmt.Fprint(env.err, refused.Diagnostics.Render())
					return failure{exitFailed}
				}
				if err != nil {
					return err
				}
				if output == "json" {
					return env.printJSON(api.NewPreview(p))
				}
				env.printPreview(k, p)
				return nil
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	f.add(cmd)
	cmd.Flags().StringVar(&schedule, "schedule", "", "`cron` text of a definition with a window; hourly by default")
	cmd.Flags().BoolVar(&anonymous, "include-anonymous", false, "also people of whom only an anonymous id is known")
	return cmd
}

func (env *environment) printPreview(k kind, p *engine.Preview) {
	fmt.Fprint(env.err, p.Warnings.Render())
	about := ""
	if !p.Complete() {
		about = "about "
	}
	fmt.Fprintf(env.out, "%s%s, of %s\n", about, k.count(p.Whole(p.After)), plural(p.Of, "profile"))
	printShares(env, p.IDTypes, p.After)
	fmt.Fprintf(env.out, "It is %s", p.Definition.Class)
	if len(p.Definition.ClassBecause) > 0 {
		fmt.Fprintf(env.out, ", because of %s", strings.Join(p.Definition.ClassBecause, ", "))
	}
	fmt.Fprintln(env.out, ".")
	if !p.Complete() {
		fmt.Fprintf(env.out, "Counted over %d of %d profiles; the figures are estimates for all of them, made from these.\n", p.Profiles, p.Of)
	}
	for _, s := range p.Samples {
		text := strings.Join(idTexts(s.Links), ", ")
		if k == traits {
			text += ": " + s.After.String()
		}
		fmt.Fprintf(env.out, "  %s\n", text)
	}
}
