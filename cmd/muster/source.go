package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"muster/ingest"
	"muster/store"
)

func newSource(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "source", Short: "Say who may send calls: sources and their write keys",
		Long: `A source is an app, a site or a server that sends calls. It is known by its write key,
which is stored as a hash and shown once, when it is made. Sources may also stand in
muster.yaml, or in files for muster apply, with keys of your own making; those are changed
there.

A running muster serve notices a change within a second.`,
	}
	group(cmd, newSourceCreate(env), newSourceList(env), newSourceRotate(env), newSourceLimit(env),
		newSourceEnable(env, "disable", "Refuse the calls of a source; its keys are kept", false),
		newSourceEnable(env, "enable", "Take the calls of a disabled source again", true))
	return cmd
}

// printKey shows a new write key: alone on standard output, so that scripts can take it.
func (env *environment) printKey(name string, key store.WriteKey, output string) error {
	if output == "json" {
		return env.printJSON(struct {
			Name     string `json:"name"`
			WriteKey string `json:"write_key"`
		}{name, key.Reveal()})
	}
	fmt.Fprintf(env.err, "The write key of %s follows. It cannot be shown again.\n", name)
	_, err := fmt.Fprintln(env.out, key.Reveal())
	return err
}

// rateFlag adds --rate. The function returned reads it: nil stands for the default.
func rateFlag(cmd *cobra.Command) func() (*float64, error) {
	var rate float64
	cmd.Flags().Float64Var(&rate, "rate", 0, fmt.Sprintf("`requests` per second that are taken, more are answered 429; 0: what muster.yaml says, else %d", ingest.DefaultRate))
	return func() (*float64, error) {
		switch {
		case rate == 0:
			return nil, nil
		case rate >= 0.001 && rate <= 1e6:
			return &rate, nil
		}
		return nil, usageError{fmt.Errorf("--rate %v: use 0.001 to 1000000 requests per second, or 0 for the default", rate)}
	}
}

func newSourceCreate(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a source, and show its write key",
		Example: `  muster source create website
  KEY=$(muster source create app --rate 50)`,
		Args: exactly(1, "the name of one source"),
	}
	rate := rateFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		limit, err := rate()
		if err != nil {
			return err
		}
		return db.withStore(cmd, env, func(s *store.Store) error {
			key, err := s.CreateSource(cmd.Context(), args[0], limit, env.now())
			if err != nil {
				return err
			}
			return env.printKey(args[0], key, output)
		})
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func newSourceRotate(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	var grace time.Duration
	cmd := &cobra.Command{
		Use: "rotate NAME", Short: "Give a source a new write key, and show it",
		Long: `Rotate makes a new write key. The old one, and what is left of earlier ones, works for
the grace that is given: 0 ends them at once, for a key that has leaked.`,
		Example: `  muster source rotate website
  muster source rotate website --grace 0`,
		Args: exactly(1, "the name of one source"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if grace < 0 {
				return usageError{fmt.Errorf("--grace %s: it cannot be negative", grace)}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				key, err := s.RotateWriteKey(cmd.Context(), args[0], grace, env.now())
				if err != nil {
					return err
				}
				return env.printKey(args[0], key, output)
			})
		},
	}
	db.add(cmd)
	cmd.Flags().DurationVar(&grace, "grace", 24*time.Hour, "how `long` the old key works")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func newSourceLimit(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "limit NAME", Short: "Set how many requests a source may send per second",
		Example: `  muster source limit website --rate 50
  muster source limit website --rate 0`,
		Args: exactly(1, "the name of one source"),
	}
	rate := rateFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		limit, err := rate()
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("rate") {
			return usageError{fmt.Errorf("muster source limit needs --rate REQUESTS")}
		}
		return db.withStore(cmd, env, func(s *store.Store) error { return s.LimitSource(cmd.Context(), args[0], limit) })
	}
	db.add(cmd)
	return cmd
}

func newSourceEnable(env *environment, verb, short string, enabled bool) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: verb + " NAME", Short: short, Args: exactly(1, "the name of one source"),
		Example: "  muster source " + verb + " website",
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error { return s.EnableSource(cmd.Context(), args[0], enabled) })
		},
	}
	db.add(cmd)
	return cmd
}

func newSourceList(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List the sources, without their keys", Args: exactly(0, "nothing"),
		Example: "  muster source list\n  muster source list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				sources, err := s.Sources(cmd.Context(), env.now())
				if err != nil {
					return err
				}
				return env.printSources(sources, output)
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func (env *environment) printSources(sources []store.Source, output string) error {
	switch output {
	case "json":
		return env.printJSON(orEmpty(sources))
	case "csv":
		w := newTable(env.out)
		lines := [][]string{{"name", "enabled", "origin", "has_key", "rate", "rate_from", "created_at", "old_keys_until", "last_call_at"}}
		for _, s := range sources {
			rate := ""
			if s.Rate != nil {
				rate = strconv.FormatFloat(*s.Rate, 'f', -1, 64)
			}
			lines = append(lines, []string{
				s.Name, strconv.FormatBool(s.Enabled), string(s.Origin), strconv.FormatBool(s.HasKey), rate, string(s.RateFrom),
				s.CreatedAt.UTC().Format(time.RFC3339), instantOr(s.OldKeysUntil, ""), instantOr(s.LastCallAt, ""),
			})
		}
		return w.WriteAll(lines)
	}
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tWRITE KEY\tRATE\tCREATED\tOLD KEYS UNTIL\tLAST CALL")
	for _, s := range sources {
		state, key, rate := "enabled", "none", "default"
		if !s.Enabled {
			state = "disabled"
		}
		switch {
		case s.HasKey && s.Origin == store.FromConfig:
			key = "in muster.yaml"
		case s.HasKey:
			key = "yes"
		}
		if s.Rate != nil {
			rate = strconv.FormatFloat(*s.Rate, 'f', -1, 64) + "/s"
			if s.RateFrom == store.FromConfig {
				rate += " in muster.yaml"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, state, key, rate,
			s.CreatedAt.UTC().Format(time.RFC3339), instantOr(s.OldKeysUntil, "-"), instantOr(s.LastCallAt, "-"))
	}
	return w.Flush()
}

// instantOr is an instant as text, or another text where there is none.
func instantOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}
