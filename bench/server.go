package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/engine"
	"muster/identity"
	"muster/internal/pgserver"
	"muster/migrations"
	"muster/store"
)

// server is the PostgreSQL that is measured.
type server struct {
	*pgserver.Server
	folder string // removed in the end; empty for a given server
	made   int    // databases
}

// startServer uses the given server, or starts one with the settings that a user's
// private server has: durable, not a throwaway.
func startServer(ctx context.Context, dsn string) (*server, error) {
	if dsn != "" {
		s, err := pgserver.Start(ctx, pgserver.Options{DSN: dsn})
		if err != nil {
			return nil, err
		}
		return &server{Server: s}, nil
	}
	folder, err := os.MkdirTemp("", "muster-bench-")
	if err != nil {
		return nil, err
	}
	// Another account runs PostgreSQL for root, and it has to enter.
	if err := os.Chmod(folder, 0o755); err != nil {
		return nil, err
	}
	s, err := pgserver.Start(ctx, pgserver.Options{Dir: filepath.Join(folder, "pg")})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &server{Server: s, folder: folder}, nil
}

func (s *server) stop() error {
	err := s.Stop()
	if s.folder != "" {
		err = errors.Join(err, os.RemoveAll(s.folder))
	}
	return err
}

// exec runs one statement on the server's first database.
func (s *server) exec(ctx context.Context, sql string) error {
	c, err := pgx.Connect(ctx, s.DSN())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, sql)
	return err
}

// database is a migrated database of one measurement, with an engine on it.
type database struct {
	*store.Store
	server *server
	name   string
	dsn    string
	meter  *meter
	engine *engine.Engine
	source store.Source
	untold bool // definitions have no destination
}

// newDatabase makes a database and its schema; with a template, a copy of that one,
// which must be closed. The caller drops it.
func (s *server) newDatabase(ctx context.Context, template string) (*database, error) {
	s.made++
	d := &database{server: s, name: fmt.Sprintf("muster_bench_%d_%d", os.Getpid(), s.made)}
	sql := "CREATE DATABASE " + d.name
	if template != "" {
		sql += " TEMPLATE " + template
	}
	if err := s.exec(ctx, sql); err != nil {
		return nil, fmt.Errorf("make a database: %w", err)
	}
	var err error
	if d.dsn, err = withDatabase(s.DSN(), d.name); err != nil {
		return nil, err
	}
	if _, err := migrations.Up(ctx, d.dsn); err != nil {
		return nil, err
	}
	d.meter = &meter{}
	pool, err := open(ctx, d.dsn, d.meter)
	if err != nil {
		return nil, err
	}
	d.Store = store.New(pool)
	rules, err := identity.DefaultSettings().Compile()
	if err != nil {
		return nil, err
	}
	d.engine = engine.New(d.Store, rules)
	now := time.Now()
	if err := d.EnsureDestinations(ctx, map[string]string{destination: "mixpanel"}, now); err != nil {
		return nil, err
	}
	d.source, err = d.EnsureSource(ctx, "bench", now)
	return d, err
}

// open is a pool like that of store.Open, with a stopwatch.
func open(ctx context.Context, dsn string, m *meter) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.RuntimeParams["search_path"] = migrations.Schema
	config.ConnConfig.Tracer = m
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
		return nil
	}
	return pgxpool.NewWithConfig(ctx, config)
}

// drop closes the database and removes it.
func (d *database) drop(ctx context.Context) {
	d.Pool().Close()
	if err := d.server.exec(context.WithoutCancel(ctx), "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)"); err != nil {
		fmt.Fprintf(os.Stderr, "bench: the database %s is left behind: %v\n", d.name, err)
	}
}

// exec runs statements that take no parameters.
func (d *database) exec(ctx context.Context, sql string) error {
	_, err := d.Pool().Exec(ctx, sql)
	return err
}

// settle writes back what the loading left dirty and plans with what is there, so that
// the measurement that follows does not pay for what came before it.
func (d *database) settle(ctx context.Context) error {
	if err := d.exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return err
	}
	return d.checkpoint(ctx)
}

// checkpoint writes dirty pages back. A given server may not let us; then it is left out.
func (d *database) checkpoint(ctx context.Context) error {
	if !d.server.Private() {
		return nil
	}
	return d.exec(ctx, "CHECKPOINT")
}

// withDatabase is the address of another database on the same server.
func withDatabase(dsn, name string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name, nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the database address cannot be read") // it may hold a password
	}
	u.Path = "/" + name
	q := u.Query()
	q.Del("dbname")
	u.RawQuery = q.Encode()
	return u.String(), nil
}
