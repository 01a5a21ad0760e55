package main

import (
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"
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
	c, err := f.load(env)
	if err != nil {
		return err
	}
	server, err := pgserver.Start(cmd.Context(), f.options(env, c, env.logger(slog.LevelWarn)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return do(server.DSN())
}

func newMigrateStatus(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "status", Short: "Show which migrations are applied", Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withServer(cmd, env, func(dsn string) error {
				state, err := migrations.Status(cmd.Context(), dsn)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "VERSION\tNAME\tAPPLIED")
				for _, m := range state.Migrations {
					at := "pending"
					if m.Applied() {
						at = m.AppliedAt.UTC().Format(time.RFC3339)
					}
					fmt.Fprintf(w, "%d\t%s\t%s\n", m.Version, m.Name, at)
				}
				return w.Flush()
			})
		},
	}
	db.add(cmd)
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
				fmt.Fprintf(env.out, "the record is right: %d migrations are pending; apply them with: muster migrate up\n", len(state.Pending()))
				return nil
			})
		},
	}
	db.add(cmd)
	return cmd
}
