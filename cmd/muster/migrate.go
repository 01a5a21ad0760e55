package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"muster/internal/pgserver"
	"muster/migrations"
)

func newMigrate(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Look at the database's schema, and bring it up to date",
		Long: `Muster brings the schema up to date when it starts. These commands are for doing
that beforehand, for looking, and for mending after a migration was interrupted.`,
	}
	group(cmd, newMigrateStatus(env), newMigrateUp(env), newMigrateRepair(env))
	return cmd
}

// withServer finds the database for a command, without touching its schema.
func (f *databaseFlags) withServer(cmd *cobra.Command, env *environment, do func(dsn string) error) (err error) {
	log := env.logger(slog.LevelWarn)
	c, err := f.loadForDatabase(env, log)
	if err != nil {
		return err
	}
	server, err := pgserver.Start(cmd.Context(), f.options(env, c, log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return do(server.DSN())
}

func newMigrateStatus(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "status", Short: "Show which migrations are applied", Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withServer(cmd, env, func(dsn string) error {
				state, err := migrations.Status(cmd.Context(), dsn)
				if err != nil {
					return err
				}
				type line struct {
					Version   int64      `json:"version"`
					Name      string     `json:"name"`
					AppliedAt *time.Time `json:"applied_at"` // null: it is pending
				}
				var lines []line
				var rows [][]string
				for _, m := range state.Migrations {
					l, at := line{Version: int64(m.Version), Name: m.Name}, "pending"
					if m.Applied() {
						l.AppliedAt, at = &m.AppliedAt, instantText(m.AppliedAt)
					}
					lines = append(lines, l)
					rows = append(rows, []string{strconv.FormatInt(l.Version, 10), l.Name, at})
				}
				return env.printTable(output, []string{"VERSION", "NAME", "APPLIED"}, rows, lines)
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func newMigrateUp(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "up", Short: "Apply what is pending", Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withServer(cmd, env, func(dsn string) error {
				applied, err := migrations.Up(cmd.Context(), dsn)
				for _, m := range applied {
					fmt.Fprintf(env.out, "applied %s\n", m.Name)
				}
				if err != nil {
					return err
				}
				if len(applied) == 0 {
					fmt.Fprintln(env.out, "nothing to do: the schema is up to date")
				}
				letReadersIn(cmd.Context(), dsn, env.logger(slog.LevelWarn))
				return nil
			})
		},
	}
	db.add(cmd)
	return cmd
}

func newMigrateRepair(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "repair", Short: "Mend the record of a migration that failed", Args: exactly(0, "nothing"),
		Long: `A migration that fails is rolled back whole, yet its record stays marked as begun and
nothing goes on. Repair looks whether its work is in the database, and sets the record right.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withServer(cmd, env, func(dsn string) error {
				state, err := migrations.Repair(cmd.Context(), dsn)
				if err != nil {
					return err
				}
				if n := len(state.Pending()); n > 0 {
					fmt.Fprintf(env.out, "the record is right; pending: %s; apply with: muster migrate up\n", plural(n, "migration"))
				} else {
					fmt.Fprintln(env.out, "the record is right, and nothing is pending")
				}
				return nil
			})
		},
	}
	db.add(cmd)
	return cmd
}
