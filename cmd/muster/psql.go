package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"muster/config"
	"muster/internal/pgserver"
	"muster/migrations"
)

func newPsql(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "psql [flags] [psql's arguments]", Short: "Open the database in psql, to look and not to touch",
		Long: `Opens psql as the role muster_reader, in read-only transactions: it sees the views of the
schema inspect, and neither the tables behind them nor anything secret. All arguments
but the flags below go to psql.

This keeps you from mistakes. Who has the database's password can do all that its user
may: give colleagues a login of their own that is a member of muster_reader.`,
		Example: `  muster psql
  muster psql -c 'SELECT key, status, as_of FROM computations'
  muster psql --csv -f questions.sql`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			rest, help, err := db.take(args)
			if err != nil {
				return err
			}
			if help {
				return cmd.Help()
			}
			return psql(cmd, env, &db, rest)
		},
	}
	db.config = config.File
	cmd.Flags().StringVar(&db.config, "config", config.File, "configuration `file`; a missing muster.yaml counts as an empty one")
	cmd.Flags().StringVar(&db.database, "database", "", "PostgreSQL `address`; overrides the configuration and DATABASE_URL")
	cmd.Flags().StringVar(&db.data, "data", "", "`folder` of the private PostgreSQL that is used when no address is given")
	return cmd
}

// letReadersIn makes the role muster_reader complete, or says what keeps it from that: all
// else works without it.
func letReadersIn(ctx context.Context, dsn string, log *slog.Logger) {
	if err := migrations.GrantReader(ctx, dsn); err != nil {
		log.Warn("nobody can be let in to look only", "reason", err.Error())
	}
}

// take reads the flags that are not psql's, up to a lone --, and returns the other arguments.
func (f *databaseFlags) take(args []string) (rest []string, help bool, err error) {
	flags := map[string]*string{"--config": &f.config, "--database": &f.database, "--data": &f.data}
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		into := flags[name]
		switch {
		case args[i] == "--":
			return append(rest, args[i+1:]...), false, nil
		case args[i] == "--help" || args[i] == "-h" && len(args) == 1:
			return nil, true, nil
		case into == nil:
			rest = append(rest, args[i])
			continue
		case !joined:
			if i++; i == len(args) {
				return nil, false, usageError{fmt.Errorf("flag needs an argument: %s", name)}
			}
			value = args[i]
		}
		*into = value
	}
	return rest, false, nil
}

// psql runs the program until it ends, and ends as it did.
func psql(cmd *cobra.Command, env *environment, db *databaseFlags, args []string) (err error) {
	log := env.logger(slog.LevelWarn)
	c, err := db.loadForDatabase(env, log)
	if err != nil {
		return err
	}
	server, err := db.start(cmd.Context(), env, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := migrations.GrantReader(cmd.Context(), server.DSN()); err != nil {
		return err
	}
	program, err := findPsql(server)
	if err != nil {
		return err
	}
	settings, err := psqlEnvironment(server.DSN())
	if err != nil {
		return err
	}
	child := exec.Command(program, args...) //nolint:noctx // psql ends as its user says, see below
	child.Stdin, child.Stdout, child.Stderr = env.in, unshown(env.out), env.err
	child.Env = append(os.Environ(), settings...)
	// An interrupt is psql's: it cancels a query there, and must not end this program.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return fmt.Errorf("start psql: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM {
				_ = child.Process.Signal(s)
			}
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				return failure{max(exit.ExitCode(), exitFailed)}
			}
			return err
		}
	}
}

// findPsql finds the program: that of the private PostgreSQL, else the first of the PATH.
func findPsql(server *pgserver.Server) (string, error) {
	for _, folder := range []string{server.Bin(), os.Getenv("MUSTER_PG_BIN")} {
		if folder == "" {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(folder, "psql")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("psql")
	if err != nil {
		return "", errors.New(`psql is not installed: get it with "apt-get install postgresql-client" (Debian, Ubuntu) or "brew install libpq" (macOS), or name its folder with MUSTER_PG_BIN`)
	}
	return path, nil
}

// psqlEnvironment are the variables that take psql to a database as the reader. A password
// is in none of psql's arguments, where everybody on the machine could see it.
func psqlEnvironment(dsn string) ([]string, error) {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the database address: %w", err)
	}
	settings := []string{
		"PGHOST=" + c.Host, "PGPORT=" + strconv.Itoa(int(c.Port)), "PGUSER=" + c.User, "PGDATABASE=" + c.Database, "PGAPPNAME=muster psql",
		"PGOPTIONS=" + strings.TrimSpace(c.RuntimeParams["options"]+" -c role="+migrations.Reader+" -c default_transaction_read_only=on -c search_path=inspect"),
	}
	if c.Password != "" {
		settings = append(settings, "PGPASSWORD="+c.Password)
	}
	if u, err := url.Parse(dsn); err == nil {
		for _, name := range []string{"sslmode", "sslrootcert", "sslcert", "sslkey"} {
			if value := u.Query().Get(name); value != "" {
				settings = append(settings, "PG"+strings.ToUpper(name)+"="+value)
			}
		}
	}
	return settings, nil
}
