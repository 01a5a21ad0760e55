package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/api"
	"muster/app"
	"muster/engine"
	"muster/identity"
	"muster/query"
	"muster/store"
)

func newExplain(env *environment) *cobra.Command {
	var db databaseFlags
	var output, at string
	cmd := &cobra.Command{
		Use: "explain KEY PROFILE", Short: "Say why somebody is in an audience or not, or why a trait has its value",
		Long: `Explain shows the tree of conditions with the values found, the events that counted, since
when the value holds, when it can change without a new event, and what was told to whom.
PROFILE is any external id, such as email:kim@example.net; without a type it is a user_id.

With --at it says the same of an instant that lies back, by today's definition, from what
had been received by then. Exit code 1 means that nobody has the id, or that what is stored
is not what the history says, which muster verify --repair mends.`,
		Example: `  muster explain big_spenders kim
  muster explain active_7_days email:kim@example.net -o json
  muster explain active_7_days user_id:kim --at 2026-05-01T00:00:00Z`,
		Args: exactly(2, "a key and a profile"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := externalID(args[1])
			if err != nil {
				return err
			}
			var instant time.Time
			if at != "" {
				if instant, err = parseInstant(at); err != nil {
					return err
				}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				x, err := app.Explain(cmd.Context(), s, args[0], id, instant, env.now())
				if err != nil {
					return err
				}
				if output == "json" {
					err = env.printJSON(api.NewExplanation(x))
				} else {
					printExplanation(env.out, x)
				}
				if err == nil && x.Contradicts() {
					return failure{exitFailed}
				}
				return err
			})
		},
	}
	db.add(cmd)
	cmd.Flags().StringVar(&at, "at", "", "an `instant` that lies back, such as 2026-05-01T00:00:00Z or 2026-05-01")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// externalID reads TYPE:VALUE; without a type it is a user_id.
func externalID(arg string) (identity.ID, error) {
	if !strings.Contains(arg, ":") {
		arg = "user_id:" + arg
	}
	ids, err := externalIDs([]string{arg})
	if err != nil {
		return identity.ID{}, err
	}
	return ids[0], nil
}

// parseInstant reads an instant or a day of a command line, in UTC unless it says otherwise.
func parseInstant(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("%q is no instant; write it like 2026-05-01T12:00:00Z or 2026-05-01", text)}
}

func instantText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// verdict is what the computation says of the profile, for people.
func verdict(x *app.Explained) string {
	v := x.Value()
	switch {
	case x.Computation.Kind != query.Audience && v.IsNull():
		return "none any more"
	case x.Computation.Kind != query.Audience:
		return v.String()
	case v.AsBool():
		return "member"
	}
	return "not a member"
}

func printExplanation(w io.Writer, x *app.Explained) {
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-12s%s\n", label, fmt.Sprintf(format, args...))
	}
	line(string(x.Computation.Kind), "%s", x.Computation.Key)
	line("profile", "%d (%s)", x.ProfileID, strings.Join(idTexts(x.Links), ", "))
	switch {
	case x.Version == nil && x.Held != nil:
		line("value", "%s, since %s (%s)", verdict(x), instantText(x.Held.Since), x.Held.Cause)
		line("note", "it is %s: the value rests as it was last", x.Computation.Status)
		return
	case x.Version == nil && x.Computation.Status == engine.Disabled:
		line("value", "none; it is disabled, and nothing is computed")
		return
	case x.Version == nil:
		line("value", "not known: its first backfill has not come to this profile yet")
		return
	case x.Held != nil:
		line("value", "%s, since %s (%s)", verdict(x), instantText(x.Held.Since), x.Held.Cause)
	case x.Computation.Kind == query.Audience:
		line("value", "not a member, and never was one")
	default:
		line("value", "none, and never had one")
	}
	class := "realtime"
	if x.Version.Scheduled() {
		class = "at the slots of " + x.Version.Schedule
	}
	line("as of", "%s, %s", instantText(x.AsOf), class)
	for _, note := range api.Notes(x) {
		line("note", "%s", note)
	}
	switch {
	case x.Past, x.Suppressed:
	case x.Waiting:
		line("next", "its slot of %s looks at what has come since", instantText(x.Next))
	case !x.Next.IsZero():
		line("next", "can change at %s without a new event", instantText(x.Next))
	default:
		line("next", "only new events or traits change it")
	}
	fmt.Fprintf(w, "\n%s", x.Tree.Render())
	if len(x.Told) > 0 {
		fmt.Fprintln(w)
	}
	told := "told"
	if x.Past {
		told = "told by now" // the ledger knows the last of each only
	}
	for _, t := range x.Told {
		line(told, "%s", toldText(t))
	}
}

func toldText(t engine.Telling) string {
	text := fmt.Sprintf("%s, %s: ", t.Destination, t.IDs)
	if t.Times > 0 {
		text += fmt.Sprintf("%s at %s (message %d)", t.Value, instantText(t.At), t.Times)
	} else {
		text += "nothing"
	}
	if t.Waits {
		text += ", waits in the queue"
	}
	if t.DeadLetter > 0 {
		text += fmt.Sprintf(", dead letter %d: %s", t.DeadLetter, t.Reason)
	}
	return text
}
