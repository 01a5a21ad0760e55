package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
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

// withStore opens the database for a command that needs nothing else.
func (f *databaseFlags) withStore(cmd *cobra.Command, env *environment, do func(*store.Store) error) (err error) {
	c, err := f.load(env)
	if err != nil {
		return err
	}
	s, _, closeDB, err := f.open(cmd.Context(), env, c, env.logger(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDB()) }()
	return do(s)
}

func newLag(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "lag", Short: "Show what waits for each destination", Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				lags, err := s.Lags(cmd.Context())
				if err != nil {
					return err
				}
				if output == "json" {
					return env.printJSON(lags)
				}
				w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "DESTINATION\tSTATE\tWAITING\tOLDEST\tDELIVERED\tDEAD LETTERS\tLAST FAILURE")
				for _, l := range lags {
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
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%d\t%s\n", l.Destination, state, l.Waiting, oldest, l.Delivered, l.DeadLetters, harmless(failure))
				}
				return w.Flush()
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "table", "json")
	return cmd
}

func newPause(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "pause DESTINATION", Short: "Stop telling a destination; its queue is kept", Args: exactly(1, "a destination"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error { return s.Pause(cmd.Context(), args[0]) })
		},
	}
	db.add(cmd)
	return cmd
}

func newResume(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "resume DESTINATION", Short: "Go on telling a destination that was paused, or that stopped by itself", Args: exactly(1, "a destination"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error { return s.Resume(cmd.Context(), args[0]) })
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
		Long: `As JSON each has the call that was to be sent; muster map shows what becomes of it in Mixpanel.`,
		Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
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
			strconv.FormatInt(l.ID, 10), l.DiedAt.UTC().Format(time.RFC3339), l.Destination, key, l.Kind, l.IDs, value, l.Reason,
		}
	}
	switch output {
	case "json":
		return env.printJSON(letters)
	case "csv":
		w := newTable(env.out)
		if err := w.Write(head); err != nil {
			return err
		}
		for _, l := range letters {
			if err := w.Write(row(l)); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, l := range letters {
		fmt.Fprintln(w, tableRow(row(l)))
	}
	return w.Flush()
}

func newRetry(env *environment) *cobra.Command {
	return decide(env, "retry", "Queue dead letters again, as they were",
		`A message that is queued again keeps its id and time: if it had been applied after all,
an event of it stays one. A change of a number ($add) would count twice: look before you
retry uncertain ones. A property that was told anew meanwhile is not set back to the older
value; its dead letter is settled as superseded. That is known of what Muster has computed;
a call of a source that is forwarded again sets its traits as it says.`,
		func(cmd *cobra.Command, s *store.Store, f store.LetterFilter) (string, error) {
			r, err := s.RetryDeadLetters(cmd.Context(), f, env.now())
			text := fmt.Sprintf("%d queued again", r.Queued)
			if r.Superseded > 0 {
				text += fmt.Sprintf(", %d superseded by what was told since", r.Superseded)
			}
			return text, err
		})
}

func newDrop(env *environment) *cobra.Command {
	return decide(env, "drop", "Give dead letters up", "They stay in the database, marked as dropped.",
		func(cmd *cobra.Command, s *store.Store, f store.LetterFilter) (string, error) {
			n, err := s.DropDeadLetters(cmd.Context(), f, env.now())
			return fmt.Sprintf("%d dropped", n), err
		})
}

// decide is a command that does something to chosen dead letters.
func decide(env *environment, verb, short, long string, do func(*cobra.Command, *store.Store, store.LetterFilter) (string, error)) *cobra.Command {
	var db databaseFlags
	var filter store.LetterFilter
	var all bool
	cmd := &cobra.Command{
		Use: verb + " [ID...]", Short: short, Long: long,
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
			return db.withStore(cmd, env, func(s *store.Store) error {
				done, err := do(cmd, s, filter)
				if err == nil {
					fmt.Fprintln(env.out, done)
				}
				return err
			})
		},
	}
	db.add(cmd)
	filterFlags(cmd, &filter)
	cmd.Flags().BoolVar(&all, "all", false, "all that wait for a decision")
	return cmd
}

func filterFlags(cmd *cobra.Command, f *store.LetterFilter) {
	cmd.Flags().StringVar(&f.Destination, "destination", "", "only those for this destination")
	cmd.Flags().StringVar(&f.Kind, "kind", "", "only rejected, uncertain, gave_up or undeliverable ones")
}
