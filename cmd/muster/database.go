package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"muster/config"
	"muster/internal/pgserver"
	"muster/migrations"
	"muster/store"
)

// databaseFlags say which database a command works on.
type databaseFlags struct {
	config   string // path of muster.yaml
	database string // a PostgreSQL address
	data     string // folder of the private PostgreSQL
}

func (f *databaseFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", config.File, "configuration `file`; a missing muster.yaml counts as an empty one")
	cmd.Flags().StringVar(&f.database, "database", "", "PostgreSQL `address`; overrides the configuration and DATABASE_URL")
	cmd.Flags().StringVar(&f.data, "data", "", "`folder` of the private PostgreSQL that is used when no address is given")
}

// load reads the configuration.
func (f *databaseFlags) load(env *environment) (*config.Config, error) {
	c, err := config.Load(f.config, env.lookup)
	if errors.Is(err, os.ErrNotExist) && f.config == config.File {
		return config.Parse(config.File, nil, env.lookup)
	}
	return c, err
}

// loadForDatabase is load for a command that needs nothing of the configuration but where the
// database is: if that is said elsewhere, mistakes in the file are a mere warning.
func (f *databaseFlags) loadForDatabase(env *environment, log *slog.Logger) (*config.Config, error) {
	c, err := f.load(env)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return c, err
	}
	by := "--database"
	if f.database == "" {
		// The file goes before the environment, and must be seen not to name another database.
		if url, _ := env.lookup("DATABASE_URL"); url == "" || !config.NamesNoDatabase(f.config) {
			return nil, err
		}
		by = "DATABASE_URL"
	}
	log.Warn("the configuration has mistakes, and is not used: the database is named elsewhere", "by", by, "error", err)
	return config.Parse(config.File, nil, env.lookup)
}

// start finds the database, or starts the private one, with the schema up to date.
func (f *databaseFlags) start(ctx context.Context, env *environment, c *config.Config, log *slog.Logger) (*pgserver.Server, error) {
	return startDatabase(ctx, f.options(env, c, log), log)
}

// address is where the database is: a flag goes before the configuration, and that before
// DATABASE_URL. Empty: it is the private one.
func (f *databaseFlags) address(env *environment, c *config.Config) string {
	fromEnvironment, _ := env.lookup("DATABASE_URL")
	return cmp.Or(f.database, c.Database, fromEnvironment)
}

func (f *databaseFlags) options(env *environment, c *config.Config, log *slog.Logger) pgserver.Options {
	return pgserver.Options{
		DSN: f.address(env, c), Dir: f.data,
		SearchPath: migrations.Schema, Attach: true, Log: log,
	}
}

func startDatabase(ctx context.Context, o pgserver.Options, log *slog.Logger) (*pgserver.Server, error) {
	server, err := pgserver.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	if server.Private() && server.Done() == nil { // of its own it has told already
		log.Info("using the private PostgreSQL of another process", "dir", server.Dir(), "version", server.Version(), "psql", server.Psql())
	}
	applied, err := migrations.Up(ctx, server.DSN())
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	if len(applied) > 0 {
		log.Info("schema brought up to date", "migrations", len(applied))
	}
	return server, nil
}

// open is start with a store on the database. The function returned closes both.
func (f *databaseFlags) open(ctx context.Context, env *environment, c *config.Config, log *slog.Logger) (*store.Store, *pgserver.Server, func() error, error) {
	server, err := f.start(ctx, env, c, log)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := store.Open(ctx, server.DSN())
	if err != nil {
		return nil, nil, nil, errors.Join(err, server.Stop())
	}
	return s, server, func() error {
		s.Close()
		if err := server.Stop(); err != nil {
			return fmt.Errorf("stop the private PostgreSQL: %w", err)
		}
		return nil
	}, nil
}

// withStore opens the database for a command that needs nothing else.
func (f *databaseFlags) withStore(cmd *cobra.Command, env *environment, do func(*store.Store) error) error {
	log := env.logger(slog.LevelWarn)
	c, err := f.loadForDatabase(env, log)
	if err != nil {
		return err
	}
	return f.onStore(cmd, env, c, log, do)
}

// withConfiguredStore is withStore for a command whose configuration must be right.
func (f *databaseFlags) withConfiguredStore(cmd *cobra.Command, env *environment, do func(*store.Store) error) error {
	c, err := f.load(env)
	if err != nil {
		return err
	}
	return f.onStore(cmd, env, c, env.logger(slog.LevelWarn), do)
}

func (f *databaseFlags) onStore(cmd *cobra.Command, env *environment, c *config.Config, log *slog.Logger, do func(*store.Store) error) (err error) {
	s, _, closeDB, err := f.open(cmd.Context(), env, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDB()) }()
	return do(s)
}
