//go:build unix

package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// DefaultDir is the folder of the private cluster of the current user. Root's is
// under /var/lib, because the user that runs PostgreSQL for root cannot enter /root.
func DefaultDir() (string, error) {
	const name = "muster/postgres"
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name), nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library/Application Support", name), nil
	}
	return filepath.Join(home, ".local/share", name), nil
}

// startPrivate runs the private cluster that the options describe.
func startPrivate(ctx context.Context, o Options) (_ *Server, err error) {
	c, err := locate(o)
	if err != nil {
		return nil, err
	}
	release, err := takeLock(c.dir)
	if inUse, ok := errors.AsType[*InUseError](err); ok && o.Attach {
		return attach(ctx, c, o, inUse)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			release()
			if c.temporary {
				err = errors.Join(err, os.RemoveAll(c.dir))
			}
		}
	}()

	major, err := c.madeBy()
	if err != nil {
		return nil, err
	}
	if c.bin, err = findBinaries(ctx, o.Bin, major, c.account); err != nil {
		return nil, err
	}
	p, err := c.start(ctx, o, major == 0)
	if err != nil {
		return nil, err
	}
	s := c.server(o)
	s.own, s.release = p, release
	if err := c.finish(ctx, o); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	o.Log.Info("started a private PostgreSQL", "version", s.version, "dir", c.dir, "psql", s.Psql())
	return s, nil
}

// locate settles where the cluster is and who runs it, and makes its folders.
func locate(o Options) (cluster, error) {
	c := cluster{port: defaultPort}
	if o.Port != 0 {
		c.port, c.loopback = o.Port, true
	}
	var err error
	switch {
	case o.Dir != "":
		c.dir, err = filepath.Abs(o.Dir)
	case o.Throwaway:
		c.temporary = true
		c.dir, err = temporaryDir(o.InMemory)
	default:
		c.dir, err = DefaultDir()
	}
	if err != nil {
		return c, err
	}
	if c.account, err = serverAccount(c.dir); err != nil {
		return c, err
	}
	if err := prepareDir(c.dir, c.account); err != nil {
		return c, err
	}
	c.socketDir, err = pickSocketDir(c.dir, c.account)
	return c, err
}

// temporaryDir makes a folder for a throwaway cluster. The account that is to run
// the server must be able to enter it, which /tmp always allows.
func temporaryDir(inMemory bool) (string, error) {
	bases := []string{os.TempDir(), "/tmp"}
	if ram := ramDisk(); inMemory && ram != "" {
		bases = slices.Insert(bases, 0, ram)
	}
	faults := errors.New("no temporary folder is open to the user that is to run PostgreSQL")
	for _, base := range bases {
		dir, err := temporaryIn(base)
		if err == nil {
			return dir, nil
		}
		faults = errors.Join(faults, err)
	}
	return "", faults
}

func temporaryIn(base string) (string, error) {
	a, err := serverAccount(base)
	if err != nil {
		return "", err
	}
	closed, err := a.closedParent(filepath.Join(base, "muster"))
	if err != nil {
		return "", err
	}
	if closed != "" {
		return "", fmt.Errorf("%s is closed to user %s", closed, a.name)
	}
	return os.MkdirTemp(base, "muster-pg-")
}

// start brings the server up: on a new data folder, or on the one a predecessor
// left, perhaps by being killed.
func (c cluster) start(ctx context.Context, o Options, fresh bool) (*postmaster, error) {
	if fresh {
		if err := c.create(ctx, o.Throwaway, o.Log); err != nil {
			return nil, err
		}
	} else if err := c.recover(ctx, o.Log); err != nil {
		return nil, err
	}
	if err := c.configure(ctx, o); err != nil {
		return nil, err
	}
	for {
		p, err := launch(ctx, c)
		if err == nil {
			return p, nil
		}
		failed, ok := errors.AsType[*startError](err)
		switch {
		case ok && failed.busy():
			if pause(ctx, 200*time.Millisecond) != nil {
				return nil, err
			}
		case ok && fresh && o.Throwaway:
			// The cached copy may be torn: make a new one, once.
			fresh = false
			c.dropCache()
			if err := c.remake(ctx, o); err != nil {
				return nil, errors.Join(failed, err)
			}
		default:
			return nil, err
		}
	}
}

// remake starts the cluster's folder over. A temporary one went with the failed server.
func (c cluster) remake(ctx context.Context, o Options) error {
	if err := os.RemoveAll(c.data()); err != nil {
		return err
	}
	if err := prepareDir(c.dir, c.account); err != nil {
		return err
	}
	if err := c.create(ctx, true, o.Log); err != nil {
		return err
	}
	return c.configure(ctx, o)
}

// attach waits for the cluster that another process runs. If that process ends
// meanwhile, attaching has failed.
func attach(ctx context.Context, c cluster, o Options, inUse *InUseError) (*Server, error) {
	for {
		if f, ok := readPidFile(c.data()); ok && f.ready && alive(f.pid) {
			c.port, c.socketDir = f.port, f.socketDir
			s := c.server(o)
			version, err := serverVersion(ctx, s.dsn)
			if err != nil {
				return nil, fmt.Errorf("attach to the cluster in %s: %w", c.dir, err)
			}
			s.version = version
			return s, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, fmt.Errorf("%w (it does not answer: %w)", inUse, err)
		}
		if release, err := takeLock(c.dir); err == nil {
			release()
			return nil, fmt.Errorf("process %d ended while this one was attaching to its cluster in %s: try again", inUse.PID, c.dir)
		}
	}
}

// server describes the running cluster to its user.
func (c cluster) server(o Options) *Server {
	return &Server{
		dsn:     c.dsn(o.Database, o.SearchPath),
		bin:     c.bin.dir,
		version: c.bin.version,
		dir:     c.dir,
	}
}

func (c cluster) dsn(database, searchPath string) string {
	return socketDSN(c.socketDir, c.port, superuser, database, searchPath)
}

// finish makes the database, and the password if there is a port to guard.
func (c cluster) finish(ctx context.Context, o Options) error {
	maintenance := c.dsn("postgres", "")
	if err := ensureDatabase(ctx, maintenance, o.Database); err != nil {
		return err
	}
	if !c.loopback {
		return nil
	}
	password, err := c.password()
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, maintenance)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// The password is base32, so it needs no quoting, which ALTER ROLE has no parameters for.
	_, err = conn.Exec(ctx, `ALTER ROLE `+superuser+` PASSWORD '`+password+`'`)
	return err
}

// ensureDatabase creates the database unless it exists, connecting through the
// maintenance database of the same server. Two processes may race for it.
func ensureDatabase(ctx context.Context, maintenanceDSN, name string) error {
	conn, err := pgx.Connect(ctx, maintenanceDSN)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %q: %w", name, err)
	}
	return nil
}

// password reads the loopback port's password, making one up the first time.
func (c cluster) password() (string, error) {
	path := passwordFile(c.dir)
	text, err := os.ReadFile(path)
	if err == nil {
		return string(text), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	password := rand.Text()
	return password, os.WriteFile(path, []byte(password), 0o600)
}
