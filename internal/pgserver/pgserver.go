// Package pgserver finds a PostgreSQL to work with, or starts one of its own.
//
// A private cluster needs nothing but PostgreSQL's programs on the machine. It
// lives in one folder, listens on a Unix socket inside it, belongs to exactly one
// process at a time, and ends with that process, however the process ends.
//
// The package knows nothing of what is kept in the database.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The oldest major version that is accepted, and the newest one that is tested.
const (
	OldestMajor = 14
	NewestMajor = 18
)

// Options says where PostgreSQL is to be found. The zero value starts the private
// cluster of the current user.
type Options struct {
	// DSN names a server that runs already. Nothing is started then, and all
	// fields but Log are ignored.
	DSN string

	// Dir is the folder of the private cluster, made if it is missing. Empty means
	// DefaultDir, or with Throwaway a temporary folder that goes away with the server.
	Dir string

	// Bin is the folder that holds initdb and postgres. Empty means
	// $MUSTER_PG_BIN, and without that a search of the usual places.
	Bin string

	// Database is created if it is missing. Empty means "muster".
	Database string

	// SearchPath, if set, becomes part of the DSN: schema names, separated by commas.
	SearchPath string

	// Port, if not 0, is also served on 127.0.0.1, for programs that cannot use a
	// Unix socket. They log in as muster with the password in PasswordFile.
	Port int

	// Attach uses the cluster in Dir even if another live process runs it,
	// instead of failing. The server then ends with that other process.
	Attach bool

	// Throwaway trades durability for speed (no fsync): for tests and demos only.
	Throwaway bool

	// InMemory puts the temporary folder of a throwaway on a RAM disk if there is
	// one with a gigabyte to spare: several times faster where files are slow to make.
	InMemory bool

	// Settings are more PostgreSQL settings, by name. They win over the package's own.
	Settings map[string]string

	// Log receives what is worth telling while starting; nil discards it.
	Log *slog.Logger
}

// Server is a PostgreSQL that answers.
type Server struct {
	dsn     string
	bin     string // folder of the programs, "" when the server is not a private one
	version string // as the server tells it, such as "15.18"
	dir     string
	own     *postmaster // nil when the server was only found
	release func()      // gives the cluster's folder back; nil when own is nil
	stop    sync.Once
	stopErr error
}

// NotFoundError says that no PostgreSQL was given and none can be started here.
type NotFoundError struct {
	// Looked lists each place that was tried, with what was wrong with it.
	Looked []string
}

func (e *NotFoundError) Error() string {
	var b strings.Builder
	b.WriteString("no PostgreSQL found")
	for _, l := range e.Looked {
		b.WriteString("\n  looked at " + l)
	}
	fmt.Fprintf(&b, `
three ways out:
  1. name a running server, version %d or newer: DATABASE_URL=postgres://user@host:5432/database
  2. install PostgreSQL's programs: "apt-get install postgresql" (Debian, Ubuntu), "brew install postgresql@17" (macOS)
  3. if they are installed elsewhere, name their folder: MUSTER_PG_BIN=/path/to/bin`, OldestMajor)
	return b.String()
}

// InUseError says that another live process runs the private cluster.
type InUseError struct {
	Dir string
	PID int // 0 if the other process has not written it yet
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("the PostgreSQL cluster in %s is in use by %s: stop that process, or choose another folder", e.Dir, who)
}

// Start finds or starts PostgreSQL and returns when it answers. The context
// bounds the start only. The error is a *NotFoundError if there is no PostgreSQL
// on this machine, an *InUseError if another process runs the cluster in Dir.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Database == "" {
		o.Database = "muster"
	}
	if o.DSN != "" {
		return find(ctx, o.DSN)
	}
	s, err := startPrivate(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start a private PostgreSQL: %w", err)
	}
	return s, nil
}

// find checks that the server of a given DSN answers and is new enough.
func find(ctx context.Context, dsn string) (*Server, error) {
	version, err := serverVersion(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("connect to the given PostgreSQL: %w", err)
	}
	if major := majorOf(version); major < OldestMajor {
		return nil, fmt.Errorf("the given PostgreSQL is version %s, but %d or newer is needed", version, OldestMajor)
	}
	return &Server{dsn: dsn, version: version}, nil
}

// DSN is the connection string, for pgx and for libpq. It may hold a password if
// the DSN in the options did.
func (s *Server) DSN() string { return s.dsn }

// Version is the server's version, such as "15.18".
func (s *Server) Version() string { return s.version }

// Private tells whether the server is a private cluster rather than a given one.
func (s *Server) Private() bool { return s.dir != "" }

// Dir is the folder of the private cluster, "" for a given server.
func (s *Server) Dir() string { return s.dir }

// PasswordFile is the file with the password for the loopback port, which exists
// if Options.Port was given.
func (s *Server) PasswordFile() string { return passwordFile(s.dir) }

func passwordFile(dir string) string { return filepath.Join(dir, "password") }

// Bin is the folder of the private cluster's programs, "" for a given server.
func (s *Server) Bin() string { return s.bin }

// Psql is a command line that opens the database in psql. It holds no password.
func (s *Server) Psql() string {
	return PsqlCommand(s.dsn)
}

// PsqlCommand is a shell command that opens the DSN's database in psql, without
// the password: psql asks for that itself, or finds it in ~/.pgpass.
func PsqlCommand(dsn string) string {
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "psql"
	}
	u := socketDSN(c.Host, int(c.Port), c.User, c.Database, "")
	if options := c.RuntimeParams["options"]; options != "" {
		u += "&options=" + queryEscape(options)
	}
	return "psql " + shellQuote(u)
}

// Done is closed when the private server has ended, on purpose or not. For a
// server that was only found it is nil and so blocks forever.
func (s *Server) Done() <-chan struct{} {
	if s.own == nil {
		return nil
	}
	return s.own.done
}

// Linger lets a private server outlive this process by d, for looking at what it
// left behind; after that it is stopped, and removed if it is a throwaway.
func (s *Server) Linger(d time.Duration) error {
	if s.own == nil {
		return errors.New("only a server that this process started can linger")
	}
	return s.own.linger(d)
}

// Stop ends a private server that this process started: sessions are closed, all
// is written, a throwaway's folder is removed. Other servers are left alone. It
// may be called more than once.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		if s.own != nil {
			s.stopErr = s.own.stop()
			s.release()
		}
	})
	return s.stopErr
}
