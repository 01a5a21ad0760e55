package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/store"
)

func newDelivery(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delivery", Short: "See what waits to be told, and decide about what could not be",
		Long: `Changes are told in the order of the queue, and so are the calls that sources forward.
Delivery shows how far each destination is, stops and resumes it, and lists the dead
letters: messages that a destination refused for good, that may or may not have been
applied, or that have nobody to go to.`,
	}
	group(cmd, newLag(env), newPause(env), newResume(env), newLetters(env), newRetry(env), newDrop(env))
	return cmd
}

func newLag(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "lag", Short: "Show what waits for each destination", Args: exactly(0, "nothing"),
		Example: "  muster delivery lag -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				lags, err := s.Lags(cmd.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, l := range lags {
					rows = append(rows, env.lagRow(l))
				}
				head := []string{"DESTINATION", "STATE", "WAITING", "OLDEST", "DELIVERED", "DEAD LETTERS", "LAST FAILURE"}
				return env.printTable(output, head, rows, orEmpty(lags))
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func (env *environment) lagRow(l store.Lag) []string {
	state, oldest, failure := "delivering", "-", l.LastReason
	switch {
	case l.Paused:
		state = "paused"
	case l.HaltedReason != "":
		state, failure = "halted", l.HaltedReason
	case l.Failing > 0:
		state = "failing"
	}
	if l.Oldest != nil {
		oldest = env.now().Sub(*l.Oldest).Round(time.Second).String()
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	return []string{l.Destination, state, n(l.Waiting), oldest, n(l.Delivered), n(l.DeadLetters), cmp.Or(failure, "-")}
}

func newPause(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "pause DESTINATION", Short: "Stop telling a destination; its queue is kept", Args: exactly(1, "a destination"),
		Example: "  muster delivery pause mixpanel",
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				err := s.Pause(cmd.Context(), args[0])
				if err == nil {
					fmt.Fprintf(env.out, "%s is paused; what is to be told waits in its queue\n", args[0])
				}
				return err
			})
		},
	}
	db.add(cmd)
	return cmd
}

func newResume(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "resume DESTINATION", Short: "Go on telling a destination that was paused, or that stopped by itself", Args: exactly(1, "a destination"),
		Example: "  muster delivery resume mixpanel",
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				err := s.Resume(cmd.Context(), args[0])
				if err == nil {
					fmt.Fprintf(env.out, "%s is told again, by a running muster serve\n", args[0])
				}
				return err
			})
		},
	}
	db.add(cmd)
	return cmd
}

func newLetters(env *environment) *cobra.Command {
	var db databaseFlags
	var filter store.LetterFilter
	var output string
	cmd := &cobra.Command{
		Use: "dead-letters", Short: "List the messages that wait for a decision",
		Long:    `As JSON each has the call that was to be sent; muster map shows what becomes of it in Mixpanel.`,
		Example: "  muster delivery dead-letters --destination mixpanel --kind rejected\n  muster delivery dead-letters -o json",
		Args:    exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if filter.Limit < 1 {
				return usageError{fmt.Errorf("--limit %d: it must be at least 1", filter.Limit)}
			}
			if err := validKind(filter); err != nil {
				return err
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				if err := knownDestination(cmd.Context(), s, filter); err != nil {
					return err
				}
				letters, err := s.DeadLetters(cmd.Context(), filter)
				if err != nil {
					return err
				}
				return env.printLetters(letters, output)
			})
		},
	}
	db.add(cmd)
	filterFlags(cmd, &filter)
	cmd.Flags().IntVar(&filter.Limit, "limit", 100, "how many are listed at most, the newest first")
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func (env *environment) printLetters(letters []store.DeadLetter, output string) error {
	head := []string{"ID", "DIED AT", "DESTINATION", "COMPUTATION", "KIND", "IDS", "VALUE", "REASON"}
	row := func(l store.DeadLetter) []string {
		key, value := l.Key, l.Value
		switch {
		case l.Forwarded:
			key, value = "(forwarded)", strings.TrimSpace(string(l.Call.Type)+" "+cmp.Or(l.Call.Event, l.Call.Name, l.Call.GroupID))
		case l.Key == "":
			key = "(alias)"
		}
		return []string{
			strconv.FormatInt(l.ID, 10), instantText(l.DiedAt), l.Destination, key, l.Kind, l.IDs, value, l.Reason,
		}
	}
	var rows [][]string
	for _, l := range letters {
		rows = append(rows, row(l))
	}
	return env.printTable(output, head, rows, orEmpty(letters))
}

func newRetry(env *environment) *cobra.Command {
	return decide(env, "retry", "Queue dead letters again, as they were",
		`A message that is queued again keeps its id and time: if it had been applied after all,
an event of it stays one. A change of a number ($add) would count twice: look before you
retry uncertain ones. A property that was told anew meanwhile is not set back to the older
value; its dead letter is settled as superseded. That is known of what Muster has computed;
a call of a source that is forwarded again sets its traits as it says.`,
		func(cmd *cobra.Command, s *store.Store, f store.LetterFilter) (string, int64, error) {
			r, err := s.RetryDeadLetters(cmd.Context(), f, env.now())
			text := fmt.Sprintf("%d queued again", r.Queued)
			if r.Superseded > 0 {
				text += fmt.Sprintf(", %d superseded by what was told since", r.Superseded)
			}
			return text, r.Queued + r.Superseded, err
		})
}

func newDrop(env *environment) *cobra.Command {
	return decide(env, "drop", "Give dead letters up", "They stay in the database, marked as dropped.",
		func(cmd *cobra.Command, s *store.Store, f store.LetterFilter) (string, int64, error) {
			n, err := s.DropDeadLetters(cmd.Context(), f, env.now())
			return fmt.Sprintf("%d dropped", n), n, err
		})
}

// decide is a command that does something to chosen dead letters: do says what it did, and
// to how many.
func decide(env *environment, verb, short, long string, do func(*cobra.Command, *store.Store, store.LetterFilter) (string, int64, error)) *cobra.Command {
	var db databaseFlags
	var filter store.LetterFilter
	var all bool
	cmd := &cobra.Command{
		Use: verb + " [ID...]", Short: short, Long: long,
		Example: "  muster delivery " + verb + " 17 18\n  muster delivery " + verb + " --destination mixpanel --kind rejected",
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				id, err := strconv.ParseInt(arg, 10, 64)
				if err != nil {
					return usageError{fmt.Errorf("%q is not the number of a dead letter", arg)}
				}
				filter.IDs = append(filter.IDs, id)
			}
			if len(filter.IDs) == 0 && filter.Destination == "" && filter.Kind == "" && !all {
				return usageError{errors.New("name dead letters by number, choose with --destination or --kind, or say --all")}
			}
			if err := validKind(filter); err != nil {
				return err
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				if err := knownDestination(cmd.Context(), s, filter); err != nil {
					return err
				}
				done, n, err := do(cmd, s, filter)
				if err != nil {
					return err
				}
				fmt.Fprintln(env.out, done)
				slices.Sort(filter.IDs)
				if named := int64(len(slices.Compact(filter.IDs))); n < named {
					return fmt.Errorf("%s named: not among those that muster delivery dead-letters lists, or with nobody to go to", plural(named-n, "dead letter"))
				}
				return nil
			})
		},
	}
	db.add(cmd)
	filterFlags(cmd, &filter)
	cmd.Flags().BoolVar(&all, "all", false, "all that wait for a decision")
	return cmd
}

// letterKinds are the kinds of dead letters.
var letterKinds = []string{store.KindRejected, store.KindUncertain, store.KindGaveUp, store.KindUndeliverable}

func validKind(f store.LetterFilter) error {
	if f.Kind != "" && !slices.Contains(letterKinds, f.Kind) {
		return usageError{fmt.Errorf("--kind %s: use rejected, uncertain, gave_up or undeliverable", f.Kind)}
	}
	return nil
}

// knownDestination refuses a filter by a destination that there never was: one that was
// removed may have left dead letters.
func knownDestination(ctx context.Context, s *store.Store, f store.LetterFilter) error {
	if f.Destination == "" {
		return nil
	}
	names, err := s.DestinationNames(ctx)
	if err != nil || slices.Contains(names, f.Destination) {
		return err
	}
	left, err := s.DeadLetters(ctx, store.LetterFilter{Destination: f.Destination, Limit: 1})
	if err == nil && len(left) == 0 {
		err = fmt.Errorf("there is no destination %q; muster delivery lag lists them", f.Destination)
	}
	return err
}

func filterFlags(cmd *cobra.Command, f *store.LetterFilter) {
	cmd.Flags().StringVar(&f.Destination, "destination", "", "only those for this destination")
	cmd.Flags().StringVar(&f.Kind, "kind", "", "only rejected, uncertain, gave_up or undeliverable ones")
}
