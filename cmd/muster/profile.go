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
	cmd := &cobra.Command{Use: "profile", Short: "Decide about single people"}
	group(cmd, newProfileSuppress(env), newProfileUnsuppress(env))
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
		return s.Unsuppress(ctx, ids)
	})
}

// suppressionCommand completes a command that changes the suppression list.
func suppressionCommand(env *environment, cmd *cobra.Command, effect string, change func(context.Context, *store.Store, []identity.ID) (store.Suppression, error)) *cobra.Command {
	var db databaseFlags
	var output string
	cmd.Args = func(_ *cobra.Command, args []string) error {
		_, err := externalIDs(args)
		return err
	}
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
			fmt.Fprintf(env.out, "%d profiles, %d ids, %d changed: calls with these ids are %s\n", done.Profiles, done.IDs, done.Changed, effect)
			return nil
		})
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}
