package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/engine"
	"muster/store"
)

// shownDifferences is how many differences are shown one by one.
const shownDifferences = 50

func newVerify(env *environment) *cobra.Command {
	var db databaseFlags
	var o engine.VerifyOptions
	var output string
	cmd := &cobra.Command{
		Use: "verify [KEY...]", Short: "Recompute from history and compare with what is stored and told",
		Long: `Verify recomputes audiences and traits with the reference evaluator, from the stored
history of all profiles or of a share of them, and compares: the states that are kept,
the values, and what was told. It works while muster serves. Exit code 1 means that
something differs; --repair mends it and queues what has to be told.`,
		Example: `  muster verify
  muster verify active_7_days --share 0.1
  muster verify --repair`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Share <= 0 || o.Share > 1 {
				return usageError{fmt.Errorf("--share %g: it must be above 0, and 1 at most", o.Share)}
			}
			o.Keys = args
			return db.withConfiguredStore(cmd, env, func(s *store.Store) error {
				log := env.logger(slog.LevelWarn)
				rules, err := identityRules(cmd.Context(), s)
				if err != nil {
					return err
				}
				a, err := app.New(cmd.Context(), app.Options{Store: s, Identity: rules, Configured: true, Now: env.now, Log: log})
				if err != nil {
					return err
				}
				defer a.Close()
				return verify(cmd, env, a, o, output)
			})
		},
	}
	db.add(cmd)
	cmd.Flags().Float64Var(&o.Share, "share", 1, "share of the profiles that is looked at")
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "mend what differs, and queue what has to be told")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func verify(cmd *cobra.Command, env *environment, a *app.App, o engine.VerifyOptions, output string) error {
	type line struct {
		Profile   int64       `json:"profile"`
		Key       string      `json:"key"`
		Part      engine.Part `json:"part"`
		Of        string      `json:"of,omitempty"`
		Stored    string      `json:"stored"`
		Reference string      `json:"reference"`
	}
	shown := []line{}
	report, err := a.Engine.Verify(cmd.Context(), o, env.now(), func(d engine.Difference) {
		if len(shown) == shownDifferences {
			return
		}
		shown = append(shown, line{d.ProfileID, d.Key, d.Part, d.Of, d.Stored.String(), d.Reference.String()})
		if output == "text" {
			fmt.Fprintln(env.out, d)
		}
	})
	if err != nil {
		return err
	}
	if output == "json" {
		err = env.printJSON(struct {
			Computations int    `json:"computations"`
			Profiles     int64  `json:"profiles"`
			Values       int64  `json:"values"`
			Waiting      int64  `json:"waiting"`
			Remembered   int64  `json:"remembered"`
			Differences  int64  `json:"differences"`
			Repaired     bool   `json:"repaired"`
			Shown        []line `json:"shown"`
		}{report.Computations, report.Profiles, report.Values, report.Waiting, report.Remembered, report.Differences, o.Repair && report.Differences > 0, shown})
		if err != nil {
			return err
		}
	} else {
		if more := report.Differences - int64(len(shown)); more > 0 {
			fmt.Fprintf(env.out, "and %s more\n", plural(more, "difference"))
		}
		fmt.Fprintf(env.out, "%s, %s: %s compared, %d wait for their slot, %s",
			plural(report.Computations, "computation"), plural(report.Profiles, "profile"), plural(report.Values, "value"), report.Waiting, plural(report.Differences, "difference"))
		if o.Repair && report.Differences > 0 {
			fmt.Fprint(env.out, ", mended")
		}
		fmt.Fprintln(env.out)
		if report.Remembered > 0 {
			fmt.Fprintf(env.out, "%d states were taken as they are: they count events from before %s, which have been dropped\n",
				report.Remembered, report.KeptSince.UTC().Format(time.DateOnly))
		}
	}
	if report.Differences > 0 && !o.Repair {
		return failure{exitFailed}
	}
	return nil
}
