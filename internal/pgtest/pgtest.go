// Package pgtest gives each test a migrated database of its own, for about 20 ms.
//
// The first call in a test process starts a throwaway PostgreSQL and migrates a
// template database; each test gets a clone of it. No TestMain is needed: the
// server ends with the process, however that ends (see pgserver).
//
// The database of a failed test is kept for 15 minutes after the run, and the command
// that opens it is printed. MUSTER_TEST_KEEP sets another duration; 0 keeps none,
// which is the default if CI=true.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/internal/pgserver"
	"muster/migrations"
)

// New returns a pool on a fresh migrated database, which both go away with the test.
// Without PostgreSQL the test is skipped, or fails if CI=true.
//
// A test that uses testing/synctest calls it before it enters the bubble.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return pool(t, DSN(t))
}

// DSN is New for code that connects by itself. The DSN's search path is muster.
func DSN(t testing.TB) string {
	t.Helper()
	s := server(t)
	template, err := s.template()
	if err != nil {
		t.Fatalf("make the template database: %v", err)
	}
	return s.create(t, template)
}

// Empty returns the DSN of a fresh database without any tables.
func Empty(t testing.TB) string {
	t.Helper()
	return server(t).create(t, "template0")
}

// Bin is the folder with the programs of the server that New uses, such as
// pg_dump, or "" if the server is not a local one.
func Bin(t testing.TB) string {
	t.Helper()
	return server(t).bin
}

func pool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// testServer is the PostgreSQL of this test process.
type testServer struct {
	dsn      string // of a database that nobody uses
	bin      string
	linger   func(time.Duration) error // lets the server outlive the process
	template func() (string, error)
	clones   atomic.Int64
}

// token tells this process's databases from those of others on a shared server.
var token = strings.ToLower(rand.Text()[:8])

// shared starts the server once.
var shared = sync.OnceValues(startServer)

// server returns the process's server, or ends the test if there is none.
func server(t testing.TB) *testServer {
	t.Helper()
	if time.Now().Year() < 2020 {
		t.Fatal("call pgtest before synctest.Test: a real server does not start on a bubble's clock")
	}
	s, err := shared()
	if err == nil {
		return s
	}
	if _, missing := errors.AsType[*pgserver.NotFoundError](err); missing && os.Getenv("CI") != "true" {
		t.Skipf("this test needs PostgreSQL: %v", err)
	}
	t.Fatalf("this test needs PostgreSQL: %v", err)
	return nil
}

func startServer() (*testServer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := provide(ctx)
	if err != nil {
		return nil, err
	}
	s.template = sync.OnceValues(s.makeTemplate)
	return s, nil
}

// provide finds a server: the one in $MUSTER_TEST_DATABASE_URL, a throwaway from
// local programs, or a container.
func provide(ctx context.Context) (*testServer, error) {
	if dsn := os.Getenv("MUSTER_TEST_DATABASE_URL"); dsn != "" {
		s, err := pgserver.Start(ctx, pgserver.Options{DSN: dsn})
		if err != nil {
			return nil, fmt.Errorf("MUSTER_TEST_DATABASE_URL: %w", err)
		}
		return &testServer{dsn: s.DSN()}, nil
	}
	s, err := pgserver.Start(ctx, pgserver.Options{
		Throwaway: true,
		InMemory:  true,
		Database:  "postgres",
		Settings:  map[string]string{"shared_buffers": "32MB", "autovacuum": "off"},
	})
	if err == nil {
		return &testServer{dsn: s.DSN(), bin: s.Bin(), linger: s.Linger}, nil
	}
	if _, missing := errors.AsType[*pgserver.NotFoundError](err); missing {
		if dsn, errDocker := container(ctx); errDocker == nil {
			return &testServer{dsn: dsn}, nil
		}
	}
	return nil, err
}

// makeTemplate migrates the database that is cloned for each test.
func (s *testServer) makeTemplate() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name := "muster_template_" + token
	if err := s.exec(ctx, `CREATE DATABASE `+name+` TEMPLATE template0`); err != nil {
		return "", err
	}
	_, err := migrations.Up(ctx, withDatabase(s.dsn, name))
	return name, err
}

// create clones a template for one test.
func (s *testServer) create(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("test_%s_%d_%s", token, s.clones.Add(1), identifier(t.Name()))
	name = name[:min(len(name), 63)] // PostgreSQL's limit
	if err := s.exec(t.Context(), `CREATE DATABASE `+name+` TEMPLATE `+template); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
	dsn := withDatabase(s.dsn, name)
	t.Cleanup(func() {
		if t.Failed() && s.keepDatabase(t, dsn) {
			return
		}
		if err := s.exec(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return dsn
}

// keepDatabase lets a failed test's database stay, where somebody may look at it.
func (s *testServer) keepDatabase(t testing.TB, dsn string) bool {
	d, err := keepFor()
	if err != nil {
		t.Error(err)
	}
	if d == 0 {
		return false
	}
	if s.linger == nil { // not ours to stop
		t.Logf("database kept: %s", pgserver.PsqlCommand(dsn))
		return true
	}
	if err := s.linger(d); err != nil {
		t.Errorf("keep the test's database: %v", err)
		return false
	}
	t.Logf("database kept for %s: %s", d, pgserver.PsqlCommand(dsn))
	return true
}

// keepFor is how long the server outlives a run with a failed test.
func keepFor() (time.Duration, error) {
	if text := os.Getenv("MUSTER_TEST_KEEP"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("MUSTER_TEST_KEEP: %w", err)
		}
		return d, nil
	}
	if os.Getenv("CI") == "true" {
		return 0, nil
	}
	return 15 * time.Minute, nil
}

// exec runs one statement outside of all tests' databases.
func (s *testServer) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// identifier makes a test's name one that needs no quotes in SQL.
func identifier(name string) string {
	return strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToLower(r)
		}
		return '_'
	}, name)
}
