package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"muster/store"
)

func newProfileShow(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	var limit int
	cmd := &cobra.Command{
		Use: "show TYPE:VALUE", Short: "Show what is known of a person",
		Long: `Show finds a profile by any of its external ids and shows its ids, traits, audiences and
computed traits with since when and why, what was told of it, how its values have changed,
and its latest events. Without a type the id is a user_id.`,
		Example: `  muster profile show kim
  muster profile show email:kim@example.net -o json`,
		Args: exactly(1, "one external id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := externalID(args[0])
			if err != nil {
				return err
			}
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d: it cannot be negative", limit)}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				p, err := s.Person(cmd.Context(), id, limit)
				if err != nil {
					return err
				}
				if output == "json" {
					return env.printJSON(p)
				}
				return env.printPerson(p)
			})
		},
	}
	db.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 10, "show so many `changes` and events at most, the newest")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (env *environment) printPerson(p *store.Person) error {
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
	// section shows rows under a title, unless there are none.
	section := func(title string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		w.Flush()
		fmt.Fprintf(env.out, "\n%s\n", title)
		for _, row := range rows {
			fmt.Fprintln(w, "  "+tableRow(row))
		}
	}
	fmt.Fprintf(env.out, "profile %d, known since %s", p.ProfileID, instantText(p.CreatedAt))
	if len(p.Merged) > 0 {
		fmt.Fprintf(env.out, ", has taken in %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(p.Merged), " ", ", "), "[]"))
	}
	fmt.Fprintln(env.out)
	if p.Suppressed {
		fmt.Fprintln(env.out, "suppressed: calls are dropped, values rest as they are, and nothing is told")
	}
	var ids, traits, values, told, changes, events [][]string
	for _, x := range p.IDs {
		ids = append(ids, []string{x.Type, x.Value, "since " + instantText(x.AddedAt)})
	}
	for _, x := range p.Traits {
		traits = append(traits, []string{x.Key, string(x.Value), "since " + instantText(x.ChangedAt)})
	}
	for _, x := range p.Values {
		values = append(values, []string{x.Key, x.Kind, string(x.Value), "since " + instantText(x.Since), x.Reason})
	}
	for _, x := range p.Told {
		told = append(told, []string{x.Destination, x.Key, string(x.Value), x.IDs, instantText(x.At)})
	}
	for _, x := range p.Changes {
		changes = append(changes, []string{instantText(x.Since), x.Key, string(x.Value), x.Reason})
	}
	for _, x := range p.Events {
		events = append(events, []string{instantText(x.At), x.Name, x.Source, string(x.Properties)})
	}
	section("ids", ids)
	section("traits", traits)
	section("audiences and computed traits", values)
	section("told", told)
	section(fmt.Sprintf("changes (%d of %d)", len(changes), p.Counts["changes"]), changes)
	section(fmt.Sprintf("events (%d of %d)", len(events), p.Counts["events"]), events)
	return w.Flush()
}
