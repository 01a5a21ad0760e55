//go:build unix

package pgserver

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// newDir makes a folder that the server's account can enter: t.TempDir is closed
// to it when the tests run as root.
func newDir(t *testing.T) string {
	t.Helper()
	base := "/tmp"
	if ram := ramDisk(); ram != "" {
		base = ram
	}
	dir, err := os.MkdirTemp(base, "muster-pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "pg")
}

// start runs a server until the test ends. A throwaway starts from the cached initdb,
// which is much faster; but when it is killed it may lose what it was last told.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	skipWithoutPostgres(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func skipWithoutPostgres(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*NotFoundError](err); ok && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func run(t *testing.T, dsn, sql string) {
	t.Helper()
	if _, err := connect(t, dsn).Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func ask(t *testing.T, dsn, sql string) string {
	t.Helper()
	var answer string
	if err := connect(t, dsn).QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func TestDurableClusterKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, Options{Dir: dir, SearchPath: "muster, inspect"})
	run(t, s.DSN(), `CREATE SCHEMA muster; CREATE TABLE muster.kept AS SELECT 'yes' AS answer`)
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"listen_addresses": "", "max_connections": "100", "search_path": "muster,inspect",
		"server_encoding": "UTF8", "TimeZone": "UTC",
	} {
		if got := ask(t, s.DSN(), `SHOW `+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	// lz4 where this PostgreSQL knows it: then it takes the word.
	compression := "off"
	if ask(t, s.DSN(), `SELECT ('lz4' = ANY(enumvals))::text FROM pg_settings WHERE name = 'wal_compression'`) == "true" {
		compression = "lz4"
	}
	if got := ask(t, s.DSN(), `SHOW wal_compression`); got != compression {
		t.Errorf("wal_compression = %q, want %q", got, compression)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stopped server left its pid file: %v", err)
	}
	s = start(t, Options{Dir: dir, SearchPath: "muster", Settings: map[string]string{"work_mem": "7MB", "wal_compression": "off"}})
	if got := ask(t, s.DSN(), `SELECT answer FROM kept`); got != "yes" {
		t.Errorf("after a restart: %q", got)
	}
	if got := ask(t, s.DSN(), `SHOW work_mem`); got != "7MB" {
		t.Errorf("own setting: work_mem = %q", got)
	}
	if got := ask(t, s.DSN(), `SHOW wal_compression`); got != "off" {
		t.Errorf("own setting: wal_compression = %q", got)
	}
}

func TestThrowawayIsFastAndGone(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Throwaway: true, InMemory: true, Database: `odd "name"`})
	if got := ask(t, s.DSN(), `SHOW fsync`); got != "off" {
		t.Errorf("fsync = %q", got)
	}
	if got := ask(t, s.DSN(), `SELECT current_database()`); got != `odd "name"` {
		t.Errorf("database = %q", got)
	}
	if err := errors.Join(s.Stop(), s.Stop()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", s.Dir(), err)
	}
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Stop")
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	first := start(t, Options{Dir: dir, Throwaway: true})
	_, err := Start(t.Context(), Options{Dir: dir})
	inUse, ok := errors.AsType[*InUseError](err)
	if !ok || inUse.PID != os.Getpid() || inUse.Dir != dir {
		t.Fatalf("second start: %v", err)
	}
	run(t, first.DSN(), `CREATE TABLE shared AS SELECT 'seen' AS answer`)

	second := start(t, Options{Dir: dir, Attach: true})
	if got := ask(t, second.DSN(), `SELECT answer FROM shared`); got != "seen" {
		t.Errorf("attached: %q", got)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, first.DSN(), `SELECT answer FROM shared`); got != "seen" {
		t.Errorf("stopping the attached server stopped the other one's: %q", got)
	}
}

func TestLongPathHasAShortSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(newDir(t), strings.Repeat("deep/", 20), "pg")
	s := start(t, Options{Dir: dir, Throwaway: true, InMemory: true})
	if got := ask(t, s.DSN(), `SELECT 'here'`); got != "here" {
		t.Error(got)
	}
	t.Cleanup(func() { os.RemoveAll(s.own.socketDir) })
	if len(s.own.socketDir) > longestSocketDir {
		t.Errorf("socket in %s", s.own.socketDir)
	}
}

func TestLoopbackPortWantsAPassword(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()

	s := start(t, Options{Dir: newDir(t), Throwaway: true, InMemory: true, Port: port})
	ask(t, s.DSN(), `SELECT 'by socket'`)
	c, err := pgx.ParseConfig("postgres://muster@127.0.0.1/muster?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	c.Port = uint16(port)
	if conn, err := pgx.ConnectConfig(t.Context(), c); err == nil {
		conn.Close(t.Context())
		t.Error("the port lets people in without a password")
	}
	password, err := os.ReadFile(s.PasswordFile())
	if err != nil {
		t.Fatal(err)
	}
	c.Password = string(password)
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
}

func TestNoPostgresNamesTheWaysOut(t *testing.T) {
	empty := newDir(t)
	_, err := Start(t.Context(), Options{Throwaway: true, InMemory: true, Bin: empty})
	if _, ok := errors.AsType[*NotFoundError](err); !ok {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{empty, "no initdb", "DATABASE_URL", "install PostgreSQL", "MUSTER_PG_BIN"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message does not name %q:\n%v", want, err)
		}
	}
}

func TestClusterOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, Options{Dir: dir, Throwaway: true, InMemory: true})
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "made by version 99") {
		t.Errorf("%v", err)
	}
}

func TestUnfinishedInitdbIsNoCluster(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	half := filepath.Join(dir, "data.unfinished")
	if err := os.MkdirAll(filepath.Join(half, "base"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask(t, start(t, Options{Dir: dir, Throwaway: true, InMemory: true}).DSN(), `SELECT 'started'`)
}

// ownCache gives the test a cache of its own, for it makes others forget theirs. Such a
// test cannot be parallel to others.
func ownCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
}

func TestTornCacheIsReplaced(t *testing.T) {
	ownCache(t)
	first := start(t, Options{Throwaway: true, InMemory: true})
	cached, err := first.own.cachedData()
	if err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(cached, "global", "pg_control")
	if err := os.Truncate(control, 0); err != nil {
		t.Fatal(err)
	}
	ask(t, start(t, Options{Throwaway: true, InMemory: true}).DSN(), `SELECT 'started'`)
	if st, err := os.Stat(control); err != nil || st.Size() == 0 {
		t.Errorf("the cache was not repaired: %v, %v", st, err)
	}
}

func TestFailedStartShowsTheServersWords(t *testing.T) {
	ownCache(t)
	s, err := Start(t.Context(), Options{Dir: newDir(t), Throwaway: true, InMemory: true, Settings: map[string]string{"work_mem": "banana"}})
	skipWithoutPostgres(t, err)
	if err == nil {
		t.Cleanup(func() { s.Stop() })
		t.Fatal("started with a setting that PostgreSQL refuses")
	}
	if !strings.Contains(err.Error(), "banana") {
		t.Errorf("%v", err)
	}
}

func TestClosedParentIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
	closed := filepath.Dir(newDir(t))
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: filepath.Join(closed, "a", "pg")})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+closed+" ") {
		t.Errorf("%v", err)
	}
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if err := start(t, Options{Dir: dir, Throwaway: true, InMemory: true}).Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(15*time.Millisecond, cancel)
	for ctx.Err() == nil {
		if s, err := Start(ctx, Options{Dir: dir, Throwaway: true, InMemory: true}); err == nil {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}
	}
	if p, ok := readPidFile(filepath.Join(dir, "data")); ok && alive(p.pid) {
		t.Errorf("server %d runs on", p.pid)
	}
	start(t, Options{Dir: dir, Throwaway: true, InMemory: true})
}
