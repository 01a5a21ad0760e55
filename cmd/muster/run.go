package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/store"
)

func newRun(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "See what slots, backfills, resyncs and cleanups did, and how far they are",
		Long: `A run is what a slot of a schedule, a backfill, a resync or a cleanup did for one audience
or trait. Runs of 90 days are kept.`,
	}
	group(cmd, newRunList(env), newRunShow(env))
	return cmd
}

var runHead = []string{"ID", "KEY", "KIND", "AS OF", "STATE", "TOOK", "EVENTS", "PROFILES", "ENTERED", "EXITED", "CHANGED"}

func runRow(r store.Run) []string {
	state, took := "done", "-"
	switch {
	case r.FinishedAt != nil:
		took = r.FinishedAt.Sub(r.StartedAt).Round(time.Millisecond).String()
	case r.Percent != nil:
		state = fmt.Sprintf("at %d %%", *r.Percent)
	default:
		state = "running"
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	return []string{n(r.ID), r.Key, r.Kind, instantText(r.AsOf), state, took, n(r.EventsRead), n(r.Profiles), n(r.Entered), n(r.Exited), n(r.Changed)}
}

func newRunList(env *environment) *cobra.Command {
	var db databaseFlags
	var filter store.RunFilter
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List runs, the newest first, and slots that fail", Args: exactly(0, "nothing"),
		Example: `  muster run list --key active_7_days
  muster run list --kind backfill -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case filter.Limit < 1:
				return usageError{fmt.Errorf("--limit %d: it must be at least 1", filter.Limit)}
			case filter.Kind != "" && !slices.Contains([]string{"slot", "backfill", "resync", "cleanup"}, filter.Kind):
				return usageError{fmt.Errorf("--kind %s: use slot, backfill, resync or cleanup", filter.Kind)}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				runs, err := s.Runs(cmd.Context(), filter)
				if err != nil {
					return err
				}
				failing, err := s.FailingSlots(cmd.Context())
				if err != nil {
					return err
				}
				for _, f := range failing {
					fmt.Fprintf(env.err, "slot %s of %q fails, attempt %d: %s\n", instantText(f.Slot), f.Schedule, f.Attempt, f.Error)
				}
				var rows [][]string
				for _, r := range runs {
					rows = append(rows, runRow(r))
				}
				return env.printTable(output, runHead, rows, struct {
					Runs    []store.Run         `json:"runs"`
					Failing []store.FailingSlot `json:"failing_slots"`
				}{orEmpty(runs), orEmpty(failing)})
			})
		},
	}
	db.add(cmd)
	cmd.Flags().StringVar(&filter.Key, "key", "", "only those of the audience or trait with this `key`")
	cmd.Flags().StringVar(&filter.Kind, "kind", "", "only those of a `kind`: slot, backfill, resync or cleanup")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "list so many `runs` at most")
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func newRunShow(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a run, and how far it is", Args: exactly(1, "the number of a run"),
		Example: "  muster run show 42",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || id < 1 {
				return usageError{fmt.Errorf("%q is not the number of a run", args[0])}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				runs, err := s.Runs(cmd.Context(), store.RunFilter{ID: id})
				if err != nil {
					return err
				}
				if len(runs) == 0 {
					return fmt.Errorf("there is no run %d; muster run list shows them", id)
				}
				if output == "json" {
					return env.printJSON(runs[0])
				}
				r := runs[0]
				for i, v := range runRow(r) {
					if label := strings.ToLower(runHead[i]); v != "" {
						fmt.Fprintf(env.out, "%-10s %s\n", label, v)
					}
				}
				fmt.Fprintf(env.out, "%-10s %s\n", "started", instantText(r.StartedAt))
				if r.FinishedAt != nil {
					fmt.Fprintf(env.out, "%-10s %s\n", "finished", instantText(*r.FinishedAt))
				}
				return nil
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}
