package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
					err = env.printJSON(explanationJSON(x))
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
	for _, note := range notes(x) {
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
	for _, t := range x.Told {
		line("told", "%s", toldText(t))
	}
}

// notes are what one has to know to read the explanation.
func notes(x *app.Explained) []string {
	var notes []string
	if !x.Eligible {
		notes = append(notes, "the profile has no id of the kinds that this is for (include_anonymous), so nothing is decided of it")
	}
	if x.Suppressed {
		notes = append(notes, "the person is suppressed: values rest as they are, and nothing is told")
	}
	if x.Past {
		notes = append(notes, "by today's definition, from what had been received by then; only computed traits have a past, other traits are as they are now")
	}
	if kept := x.KeptSince; !kept.IsZero() && (x.Past || len(x.Remembered) > 0) {
		notes = append(notes, fmt.Sprintf("events from before %s have been dropped and are not shown", kept.UTC().Format(time.DateOnly)))
	}
	for _, r := range x.Remembered {
		notes = append(notes, fmt.Sprintf("%s is %s with those", r.Chain, r.Value))
	}
	switch {
	case x.Contradicts():
		notes = append(notes, "what is stored is not what the history says: muster verify --repair mends it")
	case x.Waiting && !x.Agrees:
		notes = append(notes, "something has changed since, which the next slot takes into account")
	case x.Past && x.Eligible && !x.Agrees:
		notes = append(notes, "the value then was another: the definition, a trait or the profile's ids were others, or events came late")
	}
	return notes
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

// explanationJSON is an explanation for programs.
func explanationJSON(x *app.Explained) any {
	type telling struct {
		Destination string      `json:"destination"`
		IDs         string      `json:"ids"`
		Value       query.Value `json:"value"`
		Times       int         `json:"times"`
		At          time.Time   `json:"at,omitzero"`
		Waits       bool        `json:"waits"`
		DeadLetter  int64       `json:"dead_letter,omitempty"`
		Reason      string      `json:"reason,omitempty"`
	}
	told := []telling{}
	for _, t := range x.Told {
		told = append(told, telling(t))
	}
	out := struct {
		Key        string             `json:"key"`
		Kind       query.Purpose      `json:"kind"`
		Profile    int64              `json:"profile"`
		IDs        []string           `json:"ids"`
		Value      query.Value        `json:"value"`
		Since      time.Time          `json:"since,omitzero"`
		Reason     engine.Cause       `json:"reason,omitempty"`
		AsOf       time.Time          `json:"as_of"`
		Schedule   string             `json:"schedule,omitempty"`
		Version    int                `json:"version,omitempty"`
		Eligible   bool               `json:"eligible"`
		Suppressed bool               `json:"suppressed"`
		Past       bool               `json:"past"`
		Waiting    bool               `json:"waiting"`
		Agrees     bool               `json:"agrees"`
		Next       time.Time          `json:"next_change,omitzero"`
		Notes      []string           `json:"notes"`
		Why        *query.Explanation `json:"why,omitempty"`
		Told       []telling          `json:"told"`
	}{
		Key: x.Computation.Key, Kind: x.Computation.Kind, Profile: x.ProfileID, IDs: idTexts(x.Links), Value: x.Value(), AsOf: x.AsOf,
		Eligible: x.Eligible, Suppressed: x.Suppressed, Past: x.Past, Waiting: x.Waiting, Agrees: x.Agrees, Next: x.Next, Notes: orEmpty(notes(x)), Why: x.Tree, Told: told,
	}
	if x.Held != nil {
		out.Since, out.Reason = x.Held.Since, x.Held.Cause
	}
	if x.Version != nil {
		out.Schedule, out.Version = x.Version.Schedule, x.Version.Number
	}
	return out
}
