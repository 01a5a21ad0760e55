package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/engine"
	"muster/store"
)

func newEnable(env *environment, k kind) *cobra.Command {
	return switchCommand(env, k, true, &cobra.Command{
		Use: "enable KEY", Short: "Bring " + k.an + " that was disabled up to date, and go on with it",
		Long: `Enable has a running muster serve compute a disabled definition anew from the stored
history. Destinations are told what has become different since it was disabled, and
nothing else. Where the definition stands in a file, set enabled there too, or the next
apply or start of muster serve disables it again.`,
	})
}

func newDisable(env *environment, k kind) *cobra.Command {
	return switchCommand(env, k, false, &cobra.Command{
		Use: "disable KEY", Short: "Stop computing and telling " + k.an + ", and keep its values",
		Long: `Disable ends computing and telling until it is enabled again. The values stay as they
are, for those who read them too, and nobody is told that he left; messages that are
queued already are delivered. Where the definition stands in a file, write enabled: false
there too, or the next apply or start of muster serve enables it again.`,
	})
}

func switchCommand(env *environment, k kind, enabled bool, cmd *cobra.Command) *cobra.Command {
	var db databaseFlags
	cmd.Example = "  muster " + string(k.Purpose) + " " + cmd.Use
	cmd.Args = exactly(1, "a key")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return db.withStore(cmd, env, func(s *store.Store) error {
			changed, err := app.Enable(cmd.Context(), s, k.Purpose, args[0], enabled, env.now())
			if err != nil {
				return err
			}
			switch {
			case !changed && enabled:
				fmt.Fprintf(env.out, "%s is enabled already\n", args[0])
			case !changed:
				fmt.Fprintf(env.out, "%s is disabled already\n", args[0])
			case enabled:
				fmt.Fprintf(env.out, "%s is enabled; a running muster serve brings it up to date (muster run list --kind backfill)\n", args[0])
			default:
				fmt.Fprintf(env.out, "%s is disabled; its values stay as they are\n", args[0])
			}
			return nil
		})
	}
	db.add(cmd)
	return cmd
}

func newResync(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var destination string
	cmd := &cobra.Command{
		Use: "resync KEY", Short: "Tell destinations everything of " + k.an + " again",
		Long: `Resync has a running muster serve tell the present values again, as if nobody had heard
them: for a destination that has lost something, or whose properties were changed by hand.
With emit: track, all present members enter once more. It goes through the queue in
chunks, goes on where it was after a restart, and muster run list --kind resync shows how
far it is.`,
		Example: "  muster " + string(k.Purpose) + " resync KEY\n  muster " + string(k.Purpose) + " resync KEY --destination mixpanel",
		Args:    exactly(1, "a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				n, err := app.Resync(cmd.Context(), s, k.Purpose, args[0], destination, env.now())
				if err != nil {
					return err
				}
				fmt.Fprintf(env.out, "%s will be told again to %s (muster run list --kind resync)\n", args[0], plural(n, "destination"))
				return nil
			})
		},
	}
	db.add(cmd)
	cmd.Flags().StringVar(&destination, "destination", "", "tell only the destination of this `name`; otherwise all")
	return cmd
}

func newDelete(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var yes bool
	var cleanup string
	cmd := &cobra.Command{
		Use: "delete KEY", Short: "Delete " + k.an,
		Long: `Delete ends a computation. Its last values stay on the profiles as plain traits, and those
who read it go on with these. What destinations were told stays there, unless --cleanup or
the destination_cleanup of its definition says otherwise:

  none    nothing is sent
  exit    everybody who heard of being in hears of having left; a trait loses its value
  unset   the property is removed from all profiles that ever heard of it

That is done by a running muster serve; muster run list --kind cleanup shows how far it
is. The key is not given to another definition unless that says reuse_key: true. Where the
definition stands in a file, take it out there too, or muster serve reports it as refused.`,
		Example: "  muster " + string(k.Purpose) + " delete KEY\n  muster " + string(k.Purpose) + " delete KEY --cleanup exit --yes",
		Args:    exactly(1, "a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cleanup != "" && !engine.Cleanup(cleanup).Valid() {
				return usageError{fmt.Errorf("--cleanup %s: use none, exit or unset", cleanup)}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				l, err := k.find(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				readers, err := app.Readers(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				if len(readers) > 0 {
					fmt.Fprintf(env.err, "%s is read by %s, which goes on with its last values\n", args[0], strings.Join(readers, ", "))
				}
				if !yes {
					fmt.Fprintf(env.err, "%s with %s will be deleted.\n", args[0], k.count(l.Size))
					if err := env.agree(); err != nil {
						return err
					}
				}
				if _, err := app.Remove(cmd.Context(), s, args[0], engine.Cleanup(cleanup), env.now()); err != nil {
					return err
				}
				fmt.Fprintf(env.out, "%s is deleted\n", args[0])
				return nil
			})
		},
	}
	db.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVar(&cleanup, "cleanup", "", "tell destinations `what`: none, exit or unset; otherwise what the definition says")
	return cmd
}
