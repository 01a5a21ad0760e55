package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/engine"
	"muster/store"
)

func newHistory(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "history KEY", Short: "List the versions of an audience or trait",
		Long: `History lists the definitions that an audience or trait has had, the newest first, those
of deleted ones with the same key too. What an edit of the name or of the connections
alone changed is no new version.`,
		Example: `  muster history big_spenders
  muster history big_spenders -o json`,
		Args: exactly(1, "a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				versions, err := s.Versions(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if len(versions) == 0 {
					return fmt.Errorf("%s: %w", args[0], engine.ErrUnknownKey)
				}
				var rows [][]string
				for _, v := range versions {
					rows = append(rows, []string{strconv.Itoa(v.Version), instantText(v.CreatedAt), v.State, cmp.Or(v.Schedule, "-"), v.Query})
				}
				return env.printTable(output, []string{"VERSION", "CREATED AT", "STATE", "SCHEDULE", "QUERY"}, rows, versions)
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func newRollback(env *environment) *cobra.Command {
	var db databaseFlags
	var f countFlags
	var output string
	var yes bool
	cmd := &cobra.Command{
		Use: "rollback KEY VERSION", Short: "Go back to an earlier definition of an audience or trait",
		Long: `Rollback edits an audience or trait so that it has the query and schedule of an earlier
version (see muster history). That is a new version, which is computed like any edit; all
else stays. It shows the plan and asks. Where the definition stands in a file, change it
there too, or the next apply or start of muster serve brings it back.`,
		Example: `  muster rollback big_spenders 2`,
		Args:    exactly(2, "a key and the number of a version"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[1])
			if err != nil {
				return usageError{fmt.Errorf("%q is not the number of a version", args[1])}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				p := &planned{}
				if p.desired.Definitions, err = app.Definitions(cmd.Context(), s); err != nil {
					return err
				}
				n := slices.IndexFunc(p.desired.Definitions, func(d engine.Definition) bool { return d.Key == args[0] })
				if n < 0 {
					return fmt.Errorf("%s: %w", args[0], engine.ErrUnknownKey)
				}
				versions, err := s.Versions(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				v := slices.IndexFunc(versions, func(v store.Version) bool { return v.Version == number && !v.Deleted })
				if v < 0 {
					return fmt.Errorf("%s has no version %d; muster history %s lists them", args[0], number, args[0])
				}
				def := &p.desired.Definitions[n]
				def.Query, def.Schedule, def.Refresh = versions[v].Query, versions[v].Schedule, engine.Refresh(versions[v].Refresh)
				if p.Plan, err = app.Plan(cmd.Context(), s, p.desired, f.count(), f.within, env.now()); err != nil {
					return err
				}
				return p.apply(cmd, env, s, yes, output)
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	f.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
