package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"muster/config"
	"muster/internal/pgserver"
	"muster/migrations"
	"muster/mixpanel"
	"muster/store"
)

// severity is how bad a finding is.
type severity string

const (
	healthy severity = "ok"
	remark  severity = "note"    // worth knowing
	warning severity = "warning" // will be trouble
	problem severity = "problem" // is trouble
)

// symptom is one finding of the doctor.
type symptom struct {
	Severity severity `json:"severity"`
	Subject  string   `json:"subject"` // a few words, stable
	Text     string   `json:"text"`
	Remedy   string   `json:"remedy,omitempty"`
}

// examination collects symptoms.
type examination struct {
	now      time.Time
	config   *config.Config
	symptoms []symptom
}

func (x *examination) find(s severity, subject, remedy, format string, args ...any) {
	x.symptoms = append(x.symptoms, symptom{s, subject, fmt.Sprintf(format, args...), remedy})
}

// well notes that a subject was looked at, if nothing was found that is worse than a remark.
func (x *examination) well(subject, format string, args ...any) {
	for _, s := range x.symptoms {
		if s.Subject == subject && s.Severity != remark {
			return
		}
	}
	x.find(healthy, subject, "", format, args...)
}

func (x *examination) count(s severity) (n int) {
	for _, found := range x.symptoms {
		if found.Severity == s {
			n++
		}
	}
	return n
}

func newDoctor(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	var online bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for trouble, and say what to do about it", Args: exactly(0, "nothing"),
		Long: `Doctor looks at the configuration, the database with its version, settings, privileges and
sizes, the clocks, what is late or fails, what destinations refuse, and what a process
that died has left. It changes nothing, and may run while muster serves.

Exit code 1 means that there is at least one problem; warnings and notes do not count.`,
		Example: `  muster doctor
  muster doctor --online -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			x := &examination{now: env.now()}
			x.examine(cmd.Context(), env, &db, online)
			if output == "json" {
				if err := env.printJSON(x.symptoms); err != nil {
					return err
				}
			} else {
				for _, s := range x.symptoms {
					fmt.Fprintf(env.out, "%-8s %s: %s\n", s.Severity, s.Subject, s.Text)
					if s.Remedy != "" {
						fmt.Fprintf(env.out, "%-8s %s\n", "", s.Remedy)
					}
				}
				fmt.Fprintf(env.out, "%s, %s, %s\n", plural(x.count(problem), "problem"), plural(x.count(warning), "warning"), plural(x.count(remark), "note"))
			}
			if x.count(problem) > 0 {
				return failure{exitFailed}
			}
			return nil
		},
	}
	db.add(cmd)
	cmd.Flags().BoolVar(&online, "online", false, "also ask the destinations whether they know our credentials")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func (x *examination) examine(ctx context.Context, env *environment, db *databaseFlags, online bool) {
	c, err := db.load(env)
	if err != nil {
		x.find(problem, "configuration", "mend the file; docs/configuration.md explains each field", "%v", err)
		// The database may still be looked at, if it is named elsewhere.
		if c, err = config.Parse(config.File, nil, env.lookup); err != nil {
			return
		}
	} else {
		x.config = c
		x.configuration(c)
	}
	if online {
		x.credentials(ctx, c)
	}
	server, err := pgserver.Start(ctx, db.options(env, c, env.logger(slog.LevelError)))
	if err != nil {
		x.find(problem, "database", "start it, or correct its address: --database, database in the file, or DATABASE_URL", "%v", err)
		return
	}
	defer func() {
		if err := server.Stop(); err != nil {
			x.find(warning, "database", "", "the private PostgreSQL did not stop: %v", err)
		}
	}()
	if !x.schema(ctx, server) {
		return
	}
	s, err := store.Open(ctx, server.DSN())
	if err != nil {
		x.find(problem, "database", "", "%v", err)
		return
	}
	defer s.Close()
	before := env.now()
	h, err := s.Health(ctx, x.now)
	if err != nil {
		x.find(problem, "database", "", "%v", err)
		return
	}
	x.clock(h, before, env.now())
	x.database(h)
	snap, err := s.Snapshot(ctx)
	if err != nil {
		x.find(problem, "database", "", "%v", err)
		return
	}
	x.definitions(ctx, s)
	x.room(ctx, s, h, snap, server)
	x.work(ctx, s, h, snap)
	x.delivery(ctx, s, h, snap)
}

// schema says whether the database's schema is that of this program.
func (x *examination) schema(ctx context.Context, server *pgserver.Server) bool {
	state, err := migrations.Status(ctx, server.DSN())
	switch {
	case err != nil:
		x.find(problem, "database", "start it, or correct its address: --database, database in the file, or DATABASE_URL", "%v", err)
		return false
	case state.Dirty && !state.Running:
		x.find(problem, "schema", "run: muster migrate repair && muster migrate up", "a migration was begun and did not end")
		return false
	case state.Version > state.Latest:
		x.find(problem, "schema", "use the program that made it, or a newer one", "the database is at version %d, this program knows %d", state.Version, state.Latest)
		return false
	case len(state.Pending()) > 0:
		x.find(warning, "schema", "run: muster migrate up, or start muster serve", "%s pending; what is stored cannot be looked at before", plural(len(state.Pending()), "migration"))
		return false
	}
	for _, m := range state.Migrations {
		if m.Edited {
			x.find(warning, "schema", "compare with the program that applied it", "migration %s is not the one that was applied", m.Name)
		}
	}
	where := "PostgreSQL"
	if server.Private() {
		where = "a private PostgreSQL in " + server.Dir() + ","
	}
	x.well("schema", "version %d, up to date, on %s version %s", state.Version, where, server.Version())
	return true
}

// credentials asks the destinations.
func (x *examination) credentials(ctx context.Context, c *config.Config) {
	for _, d := range c.Destinations {
		subject := "destination " + d.Name
		to, err := mixpanel.NewDestination(d.Settings, nil)
		if err != nil {
			x.find(problem, subject, "correct its settings", "%v", err)
			continue
		}
		asking, cancel := context.WithTimeout(ctx, checkTimeout)
		for _, f := range to.Check(asking) {
			switch f.Standing {
			case mixpanel.Failed:
				x.find(problem, subject, "correct its settings, then run: muster destination check "+d.Name, "%s: %s", f.Subject, f.Text)
			case mixpanel.Proven:
				x.find(healthy, subject, "", "%s: %s", f.Subject, f.Text)
			default:
				x.find(remark, subject, "", "%s: %s", f.Subject, f.Text)
			}
		}
		cancel()
	}
}
