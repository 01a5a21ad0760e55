package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/identity"
	"muster/store"
)

func newProfile(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "profile", Short: "Look at single people, and decide about them"}
	group(cmd, newProfileShow(env), newProfileSuppress(env), newProfileUnsuppress(env), newProfileDelete(env))
	return cmd
}

// externalIDs reads arguments of the form TYPE:VALUE, such as email:kim@example.net.
func externalIDs(args []string) ([]identity.ID, error) {
	if len(args) == 0 {
		return nil, usageError{errors.New("name whom it is about by external ids, such as user_id:kim or email:kim@example.net")}
	}
	ids := make([]identity.ID, len(args))
	for i, arg := range args {
		typ, value, found := strings.Cut(arg, ":")
		ids[i] = identity.ID{Type: typ, Value: value}.Normal()
		if !found || ids[i].Type == "" || ids[i].Value == "" {
			return nil, usageError{fmt.Errorf("%q is no external id; write TYPE:VALUE, such as user_id:kim or email:kim@example.net", arg)}
		}
	}
	return ids, nil
}

// onlyExternalIDs is cobra.PositionalArgs for commands about people.
func onlyExternalIDs(_ *cobra.Command, args []string) error {
	_, err := externalIDs(args)
	return err
}

func newProfileSuppress(env *environment) *cobra.Command {
	return suppressionCommand(env, &cobra.Command{
		Use: "suppress TYPE:VALUE...", Short: "Take no more calls of a person",
		Long: `Suppress drops all calls that carry one of the ids, or any other id of the same profile,
from now on: they are answered with success, and nothing of them is stored or told. The
ids are kept as hashes. What is known of the person stays as it is.

A running muster serve notices within a second. Suppress waits for that, and looks once
more for ids that came in meanwhile.`,
		Example: `  muster profile suppress user_id:kim
  muster profile suppress email:kim@example.net anonymous_id:a-1`,
	}, "dropped from now on", func(ctx context.Context, s *store.Store, ids []identity.ID) (store.Suppression, error) {
		return app.Suppress(ctx, s, ids, env.now)
	})
}

func newProfileUnsuppress(env *environment) *cobra.Command {
	return suppressionCommand(env, &cobra.Command{
		Use: "unsuppress TYPE:VALUE...", Short: "Take the calls of a suppressed person again",
		Long: `Unsuppress takes back what suppress did, for all ids that were suppressed together with
those given. One id of the person is enough, also after the profile was deleted.`,
		Example: `  muster profile unsuppress user_id:kim`,
	}, "taken again", func(ctx context.Context, s *store.Store, ids []identity.ID) (store.Suppression, error) {
		return app.Unsuppress(ctx, s, ids, env.now)
	})
}

// suppressionCommand completes a command that changes the suppression list.
func suppressionCommand(env *environment, cmd *cobra.Command, effect string, change func(context.Context, *store.Store, []identity.ID) (store.Suppression, error)) *cobra.Command {
	var db databaseFlags
	var output string
	cmd.Args = onlyExternalIDs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := externalIDs(args)
		if err != nil {
			return err
		}
		return db.withStore(cmd, env, func(s *store.Store) error {
			done, err := change(cmd.Context(), s, ids)
			if err != nil {
				return err
			}
			if output == "json" {
				return env.printJSON(done)
			}
			// No ids are shown: they would stay in logs and terminals.
			fmt.Fprintf(env.out, "%s, %s, %d changed: calls with these ids are %s\n", plural(done.Profiles, "profile"), plural(done.IDs, "id"), done.Changed, effect)
			return nil
		})
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func newProfileDelete(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	var yes, returning bool
	cmd := &cobra.Command{
		Use: "delete TYPE:VALUE...", Short: "Forget a person for ever",
		Long: `Delete removes all that is kept of the people who have the ids: all of their ids, events,
traits, values and memberships with their history, what was told of them, what waits to
be told, and their calls in the debugger. Nothing is sent. Their ids are suppressed first,
as hashes, so that later calls do not bring them back; with --may-return they are not.

It prints what was removed. On a terminal it asks first; elsewhere it needs --yes.`,
		Example: `  muster profile delete user_id:kim
  muster profile delete email:kim@example.net --yes -o json`,
		Args: onlyExternalIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := externalIDs(args)
			if err != nil {
				return err
			}
			if !yes {
				fmt.Fprintf(env.err, "All that is kept of whoever has %s will be removed for ever.\n", strings.Join(args, " or "))
				if err := env.agree(); err != nil {
					return err
				}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				done, err := app.Forget(cmd.Context(), s, ids, returning, env.now)
				if err != nil {
					return err
				}
				return env.printForgotten(done, output)
			})
		},
	}
	db.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&returning, "may-return", false, "do not suppress them: later calls with these ids make a new profile")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// printForgotten says what is gone, without naming whom.
func (env *environment) printForgotten(f app.Forgotten, output string) error {
	if output == "json" {
		return env.printJSON(struct {
			Profiles   int   `json:"profiles"`
			IDs        int64 `json:"ids"`
			Events     int64 `json:"events"`
			Traits     int64 `json:"traits"`
			Values     int64 `json:"values"`   // of audiences and computed traits
			Messages   int64 `json:"messages"` // queued or in the dead letters
			Unknown    int   `json:"unknown"`  // of the ids given
			Suppressed int   `json:"suppressed"`
		}{len(f.Profiles), f.IDs, f.Events, f.Traits, f.Values, f.Messages, len(f.Unknown), f.Suppressed})
	}
	fmt.Fprintf(env.out, "removed: %s, %s, %s, %s, %s of audiences and computed traits, %s\n",
		plural(len(f.Profiles), "profile"), plural(f.IDs, "id"), plural(f.Events, "event"), plural(f.Traits, "trait"), plural(f.Values, "value"), plural(f.Messages, "message"))
	if n := len(f.Unknown); n > 0 {
		fmt.Fprintf(env.out, "nobody's: %s of those given\n", plural(n, "id"))
	}
	if f.Suppressed > 0 {
		fmt.Fprintf(env.out, "suppressed: %s; calls with these are dropped from now on\n", plural(f.Suppressed, "id"))
	}
	return nil
}
