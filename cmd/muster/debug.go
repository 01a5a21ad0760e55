package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"muster/store"
)

// followEvery is how often debug --follow looks for new calls.
const followEvery = time.Second

func newDebug(env *environment) *cobra.Command {
	var db databaseFlags
	var filter store.RecentFilter
	var output, id string
	var follow bool
	cmd := &cobra.Command{
		Use: "debug [SOURCE]", Short: "Show the latest calls, and what became of them",
		Long: fmt.Sprintf(`Debug shows the latest calls over HTTP, of one source or of all, the newest last, each with
what became of it: accepted, duplicate, suppressed, skipped (it must not touch profiles)
or rejected. The last %d of each source are kept; calls appear within two seconds.

With -o json each call has the beginning of its text, and with --follow each stands on
a line of its own.`, store.RecentPerSource),
		Example: `  muster debug website --outcome rejected
  muster debug --follow
  muster debug --id email:kim@example.net
  muster debug website -o json --limit 1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("%s takes one source at most, not %d arguments", cmd.CommandPath(), len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				filter.Source = args[0]
			}
			for _, o := range filter.Outcomes {
				if !slices.Contains(outcomes, o) {
					return usageError{fmt.Errorf("--outcome %s: use some of %s", o, strings.Join(outcomes, ", "))}
				}
			}
			if id != "" {
				x, err := externalID(id)
				if err != nil {
					return err
				}
				filter.ID = x.String()
			}
			if filter.Limit < 0 {
				return usageError{fmt.Errorf("--limit %d: use 1 or more, or 0 for all", filter.Limit)}
			}
			if follow && output == "csv" {
				return usageError{errors.New("--follow shows a table, or JSON a line with -o json")}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				if follow {
					return env.followCalls(cmd.Context(), s, filter, output)
				}
				calls, err := s.RecentCalls(cmd.Context(), filter)
				if err != nil {
					return err
				}
				var rows [][]string
				for _, c := range calls {
					rows = append(rows, callRow(c))
				}
				return env.printTable(output, []string{"RECEIVED", "SOURCE", "OUTCOME", "TYPE", "NAME", "MESSAGE ID", "REASON"}, rows, orEmpty(calls))
			})
		},
	}
	db.add(cmd)
	cmd.Flags().StringSliceVar(&filter.Outcomes, "outcome", nil, "only calls with these `outcomes`")
	cmd.Flags().StringVar(&id, "id", "", "only calls that carry this external id, `TYPE:VALUE`; without a type it is a user_id")
	cmd.Flags().IntVar(&filter.Limit, "limit", 50, "how many calls are shown at most, the newest; 0: all")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on showing calls as they come, until interrupted")
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

// outcomes are what may become of a call.
var outcomes = []string{"accepted", "duplicate", "suppressed", "skipped", "rejected"}

// callRow is a call in columns.
func callRow(c store.RecentCall) []string {
	reason := c.Reason
	if c.Code != "" {
		reason = c.Code + ": " + reason
	}
	return []string{
		c.ReceivedAt.UTC().Format("2006-01-02T15:04:05.000Z"), cmp.Or(c.Source, "-"), c.Outcome, cmp.Or(c.Type, "-"), cmp.Or(c.Name, "-"),
		cmp.Or(c.MessageID, "-"), cmp.Or(reason, "-"),
	}
}

// followCalls shows calls as they come, until the context ends.
func (env *environment) followCalls(ctx context.Context, s *store.Store, filter store.RecentFilter, output string) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		calls, err := s.RecentCalls(ctx, filter)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, c := range calls {
			filter.After = c.ID
			if err := env.printCall(c, output); err != nil {
				return err
			}
		}
		filter.Limit = 0
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// printCall shows one call on a line of its own.
func (env *environment) printCall(c store.RecentCall, output string) error {
	if output == "json" {
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(unshown(env.out), "%s\n", line)
		return err
	}
	_, err := fmt.Fprintln(env.out, strings.ReplaceAll(tableRow(callRow(c)), "\t", "  "))
	return err
}
