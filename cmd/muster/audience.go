package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"muster/app"
	"muster/engine"
	"muster/query"
	"muster/scheduler"
	"muster/store"
)

// kind is what a group of commands is about: audiences or computed traits.
type kind struct {
	query.Purpose
	an, plural string
	who        string // those who are in one
	one        string // of these
}

// count is a number of those who are in one.
func (k kind) count(n int64) string {
	if n == 1 {
		return "1 " + k.one
	}
	return fmt.Sprintf("%d %s", n, k.who)
}

var (
	audiences = kind{query.Audience, "an audience", "audiences", "members", "member"}
	traits    = kind{query.Trait, "a computed trait", "computed traits", "profiles with a value", "profile with a value"}
)

// find is what is known of one; engine.ErrUnknownKey if there is none.
func (k kind) find(ctx context.Context, s *store.Store, key string) (store.ComputationLine, error) {
	lines, err := s.Computations(ctx, string(k.Purpose), key)
	if err == nil && len(lines) == 0 {
		err = fmt.Errorf("%s: %w", key, engine.ErrUnknownKey)
	}
	if err != nil {
		return store.ComputationLine{}, err
	}
	return lines[0], nil
}

func newAudience(env *environment) *cobra.Command {
	return computationCommand(env, audiences, "List audiences, their members and sizes, preview new ones")
}

func newTrait(env *environment) *cobra.Command {
	return computationCommand(env, traits, "List computed traits and their values, preview new ones")
}

func computationCommand(env *environment, k kind, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: string(k.Purpose), Short: short,
		Long: "These commands look at " + k.plural + ". They are made and changed by muster apply,\nand muster explain says why somebody has which value.",
	}
	group(cmd, newComputationList(env, k), newComputationShow(env, k), newMembers(env, k), newExportMembers(env, k), newSize(env, k),
		newPreview(env, k), newRunNow(env, k), newEnable(env, k), newDisable(env, k), newResync(env, k), newDelete(env, k))
	return cmd
}

func newComputationList(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List " + k.plural + " with their state and size", Args: exactly(0, "nothing"),
		Example: "  muster " + string(k.Purpose) + " list\n  muster " + string(k.Purpose) + " list -o csv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				lines, err := s.Computations(cmd.Context(), string(k.Purpose), "")
				if err != nil {
					return err
				}
				var rows [][]string
				for _, l := range lines {
					rows = append(rows, []string{l.Key, state(l), l.Class, instantOr(l.AsOf, "-"), strconv.FormatInt(l.Size, 10), strconv.Itoa(l.Version), l.Query})
				}
				return env.printTable(output, []string{"KEY", "STATE", "CLASS", "AS OF", "SIZE", "VERSION", "QUERY"}, rows, orEmpty(lines))
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

// state is how a computation stands, for people.
func state(l store.ComputationLine) string {
	text := l.Status
	switch {
	case l.Backfilled != nil:
		text += fmt.Sprintf(", version %d at %d %%", l.NextVersion, *l.Backfilled)
	case l.NextVersion > 0 && l.Version > 0:
		text += fmt.Sprintf(", version %d waits", l.NextVersion)
	}
	return text
}

func newComputationShow(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "show KEY", Short: "Show " + k.an + " with all that is known of it", Args: exactly(1, "a key"),
		Example: "  muster " + string(k.Purpose) + " show KEY -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				l, err := k.find(cmd.Context(), s, args[0])
				if err != nil {
					return err
				}
				if output == "json" {
					return env.printJSON(l)
				}
				for _, row := range [][2]string{
					{"key", l.Key},
					{"name", l.Name},
					{"description", orNone(l.Description)},
					{"state", state(l)},
					{"reason", l.StatusReason},
					{"version", strconv.Itoa(l.Version)},
					{"class", l.Class},
					{"schedule", l.Schedule},
					{"as of", instantOr(l.AsOf, "")},
					{"next slot", env.nextSlot(l)},
					{"last run", instantOr(l.LastRun, "")},
					{k.who, strconv.FormatInt(l.Size, 10)},
					{"anonymous people", map[bool]string{true: "included", false: "left out"}[l.Anonymous]},
					{"told to", orNone(strings.Join(l.Destinations, ", "))},
					{"created", instantText(l.CreatedAt)},
					{"query", strings.ReplaceAll(l.Query, "\n", "\n"+strings.Repeat(" ", 24))},
				} {
					if row[1] != "" {
						fmt.Fprintf(env.out, "%-23s %s\n", row[0], row[1])
					}
				}
				return nil
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// nextSlot is when a computation with a schedule is computed next; empty if it is not.
func (env *environment) nextSlot(l store.ComputationLine) string {
	s, err := scheduler.Parse(l.Schedule)
	if err != nil || l.Status == string(engine.Disabled) {
		return ""
	}
	return instantText(s.Next(env.now()))
}

func newMembers(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var output string
	var limit int
	cmd := &cobra.Command{
		Use: "members KEY", Short: "List the " + k.who + ", since when and why", Args: exactly(1, "a key"),
		Example: "  muster " + string(k.Purpose) + " members KEY --limit 20\n  muster " + string(k.Purpose) + " members KEY -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usageError{fmt.Errorf("--limit %d: it must be at least 1; muster %s export takes all", limit, k.Purpose)}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				members := []store.Member{}
				var rows [][]string
				err := s.Members(cmd.Context(), string(k.Purpose), args[0], nil, limit, func(m store.Member) error {
					members = append(members, m)
					rows = append(rows, []string{
						strconv.FormatInt(m.ProfileID, 10), string(m.Value), instantText(m.Since), m.Reason, strings.Join(m.IDs, " "),
					})
					return nil
				})
				if err != nil {
					return err
				}
				if len(members) == limit && output == "table" {
					defer fmt.Fprintf(env.err, "only the first %d are listed; --limit says how many\n", limit)
				}
				return env.printTable(output, []string{"PROFILE", "VALUE", "SINCE", "REASON", "IDS"}, rows, members)
			})
		},
	}
	db.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "list so many `profiles` at most")
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func newExportMembers(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var with []string
	cmd := &cobra.Command{
		Use: "export KEY", Short: "Write all " + k.who + " as CSV",
		Long: `Export writes a line for each, with its ids in columns of their own, several of one kind
separated by spaces, and the traits that are asked for. Texts stand as they are, all other
values as JSON.`,
		Example: "  muster " + string(k.Purpose) + " export KEY > members.csv\n  muster " + string(k.Purpose) + " export KEY --with plan,lifetime_value",
		Args:    exactly(1, "a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				w := newTable(env.out)
				head := append([]string{"profile", "user_ids", "emails", "anonymous_ids", "since", "reason"}, with...)
				if k == traits {
					head = slices.Insert(head, 1, args[0])
				}
				// A key that does not exist leaves nothing behind, not even a head.
				headed := false
				writeHead := func() error {
					if headed {
						return nil
					}
					headed = true
					return w.Write(head)
				}
				err := s.Members(cmd.Context(), string(k.Purpose), args[0], with, 0, func(m store.Member) error {
					if err := writeHead(); err != nil {
						return err
					}
					row := []string{
						strconv.FormatInt(m.ProfileID, 10), idsOf(m.IDs, "user_id"), idsOf(m.IDs, "email"), idsOf(m.IDs, "anonymous_id"),
						instantText(m.Since), m.Reason,
					}
					for _, v := range m.With {
						row = append(row, plainText(v))
					}
					if k == traits {
						row = slices.Insert(row, 1, plainText(m.Value))
					}
					return w.Write(row)
				})
				if err == nil {
					err = writeHead()
				}
				w.Flush()
				return cmp.Or(err, w.Error())
			})
		},
	}
	db.add(cmd)
	cmd.Flags().StringSliceVar(&with, "with", nil, "`keys` of traits to be written too, computed ones and audiences included")
	return cmd
}

// idsOf are the values of the ids of a type.
func idsOf(ids []string, typ string) string {
	var values []string
	for _, id := range ids {
		if value, ok := strings.CutPrefix(id, typ+":"); ok {
			values = append(values, value)
		}
	}
	return strings.Join(values, " ")
}

// plainText is a text without its quotes, nothing for null, and any other value as JSON.
func plainText(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		if text, err := jsontext.AppendUnquote(nil, v); err == nil {
			return string(text)
		}
	case 'n':
		return ""
	}
	return string(v)
}

func newSize(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var output string
	var days int
	cmd := &cobra.Command{
		Use: "size KEY", Short: "Count the " + k.who + ", by id type and by day", Args: exactly(1, "a key"),
		Example: "  muster " + string(k.Purpose) + " size KEY\n  muster " + string(k.Purpose) + " size KEY --days 90 -o csv",
		RunE: func(cmd *cobra.Command, args []string) error {
			if days < 0 || days > 3660 {
				return usageError{fmt.Errorf("--days %d: it must be 0 to 3660", days)}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				since := env.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-days)
				size, err := s.SizeOf(cmd.Context(), string(k.Purpose), args[0], since)
				if err != nil {
					return err
				}
				size.Days = orEmpty(size.Days)
				if output == "text" {
					fmt.Fprintln(env.out, k.count(size.Size))
					printShares(env, size.IDTypes, size.Size)
					if len(size.Days) > 0 {
						fmt.Fprintln(env.out)
					}
				}
				var rows [][]string
				for _, d := range size.Days {
					at := ""
					if d.Size != nil {
						at = strconv.FormatInt(*d.Size, 10)
					}
					rows = append(rows, []string{d.Day.Format(time.DateOnly), strconv.FormatInt(d.Entered, 10), strconv.FormatInt(d.Exited, 10), at})
				}
				if output == "text" && len(rows) == 0 {
					return nil
				}
				return env.printTable(output, []string{"DAY", "ENTERED", "EXITED", "SIZE"}, rows, size)
			})
		},
	}
	db.add(cmd)
	cmd.Flags().IntVar(&days, "days", 14, "show the changes of so many `days`, today included, in UTC")
	outputFlag(cmd, &output, "text", "json", "csv")
	return cmd
}

// printShares shows how many have an id of each type.
func printShares(env *environment, types map[string]int64, of int64) {
	for _, typ := range sortedKeys(types) {
		share := strconv.FormatInt(100*types[typ]/max(of, 1), 10)
		if share == "0" && types[typ] > 0 {
			share = "< 1"
		}
		fmt.Fprintf(env.out, "  %3s %% with %s (%d)\n", share, typ, types[typ])
	}
}

func newRunNow(env *environment, k kind) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "run KEY", Short: "Bring " + k.an + " with a schedule up to this moment, without waiting for its slot",
		Long: `Run computes now what the next slot would, together with all that have the same schedule,
as of this moment. What it finds is queued; a running muster serve tells it. The slots that
follow come as always. A realtime definition is up to date already, and refused.`,
		Example: "  muster " + string(k.Purpose) + " run KEY",
		Args:    exactly(1, "a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				result, err := app.RunNow(cmd.Context(), s, k.Purpose, args[0], env.now())
				if err != nil {
					return err
				}
				if output == "json" {
					return env.printJSON(struct {
						EventsRead int64     `json:"events_read"`
						Profiles   int64     `json:"profiles"`
						Runs       []runTold `json:"runs"`
					}{result.EventsRead, result.Profiles, tallied(result)})
				}
				for _, t := range tallied(result) {
					fmt.Fprintf(env.out, "%s: %d entered, %d exited, %d changed\n", t.Key, t.Entered, t.Exited, t.Changed)
				}
				return nil
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// runTold is what a run did for a computation.
type runTold struct {
	Key     string `json:"key"`
	Entered int64  `json:"entered"`
	Exited  int64  `json:"exited"`
	Changed int64  `json:"changed"`
}

func tallied(r engine.SlotResult) []runTold {
	list := []runTold{}
	for _, t := range r.Tallies {
		list = append(list, runTold{t.Computation.Key, t.Entered, t.Exited, t.Changed})
	}
	return list
}
