//go:build unix

package pgserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// cluster is a private cluster's place on disk and how it is to be run.
//
//	dir/            closed to all but the server's account (and root)
//	dir/lock        held by the process that runs the cluster
//	dir/data/       PostgreSQL's own data folder
//	dir/start.log   what the server said while it started
//	dir/password    for the loopback port, if there is one
//	dir/.s.PGSQL.*  the Unix socket, unless the path would be too long for one
type cluster struct {
	dir       string
	temporary bool // the folder goes away with the server
	account   account
	bin       binaries
	socketDir string
	port      int  // names the socket
	loopback  bool // the port is also open on 127.0.0.1
}

// superuser owns a private cluster; the socket's folder, closed to other users, is what guards it.
const superuser = "muster"

// defaultPort names the socket of a cluster without a loopback port.
const defaultPort = 5432

func (c cluster) data() string     { return filepath.Join(c.dir, "data") }
func (c cluster) startLog() string { return filepath.Join(c.dir, "start.log") }

func (c cluster) listen() string {
	if c.loopback {
		return "127.0.0.1"
	}
	return ""
}

// prepareDir makes the cluster's folder, passable for the account all the way down to it.
func prepareDir(dir string, a account) error {
	if closed, err := a.closedParent(dir); err != nil {
		return err
	} else if closed != "" {
		return fmt.Errorf("user %s, who runs PostgreSQL because root may not, cannot enter %s on the way to %s: "+
			"choose a data folder elsewhere (such as /var/lib/muster), allow it (chmod o+x %s), or run as a normal user",
			a.name, closed, dir, closed)
	}
	err := makeParents(filepath.Dir(dir))
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil || errors.Is(err, os.ErrExist) {
		// Closed: whoever reaches the socket may do everything in the database.
		err = errors.Join(a.own(dir), os.Chmod(dir, 0o700))
	}
	if err != nil {
		return fmt.Errorf("make its folder ready: %w; choose another one (--data), or give a database (--database, DATABASE_URL)", err)
	}
	return nil
}

// makeParents makes missing folders that everybody may pass, whatever the umask.
func makeParents(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeParents(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, os.ErrExist) { // another process was quicker
			return nil
		}
		return err
	}
	return os.Chmod(dir, 0o755)
}

// longestSocketDir leaves room for "/.s.PGSQL.65535" in the 104 bytes that macOS,
// the strictest system, has for a socket's path.
const longestSocketDir = 104 - 1 - len("/.s.PGSQL.65535")

// pickSocketDir returns the cluster's folder, or a short one of the same cluster's
// own under /tmp if the socket's path would be too long.
func pickSocketDir(dir string, a account) (string, error) {
	if len(dir) <= longestSocketDir {
		return dir, nil
	}
	sum := sha256.Sum256([]byte(dir))
	short := "/tmp/muster-" + hex.EncodeToString(sum[:8])
	if err := os.Mkdir(short, 0o700); err == nil {
		return short, a.own(short)
	} else if !errors.Is(err, os.ErrExist) {
		return "", err
	}
	// Anybody can make folders in /tmp: take only one that is ours and closed.
	st, err := os.Lstat(short)
	if err != nil {
		return "", err
	}
	if owner := st.Sys().(*syscall.Stat_t); !st.IsDir() || owner.Uid != a.uid || st.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s, the folder for the socket of %s, exists but is not a closed folder of ours: remove it", short, dir)
	}
	return short, nil
}

// madeBy returns the major version that made the data folder, 0 if there is none yet.
func (c cluster) madeBy() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return majorOf(strings.TrimSpace(string(text))), nil
}

// create fills the data folder of a new cluster. It appears complete or not at
// all, so that a killed initdb leaves nothing that looks like a cluster.
func (c cluster) create(ctx context.Context, throwaway bool, log *slog.Logger) error {
	unfinished := c.data() + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if throwaway {
		if cached, err := c.cachedData(); err == nil && copyTree(cached, unfinished, c.account) == nil {
			return os.Rename(unfinished, c.data())
		}
		// No cache, or a broken one: it only saves time.
		if err := os.RemoveAll(unfinished); err != nil {
			return err
		}
	}
	log.Info("creating a PostgreSQL cluster", "dir", c.dir, "version", c.bin.version)
	if err := c.initdb(ctx, unfinished, throwaway); err != nil {
		return err
	}
	if throwaway {
		if err := c.cacheData(unfinished); err != nil {
			log.Debug("the new cluster was not cached", "error", err)
		}
	}
	return os.Rename(unfinished, c.data())
}

// initdb makes a data folder. The locale C sorts text by its bytes, as Go does.
func (c cluster) initdb(ctx context.Context, data string, throwaway bool) error {
	args := []string{
		"-D", data, "--username=" + superuser, "--encoding=UTF8", "--locale=C",
		"--auth-local=trust",        // the socket's folder is closed to others
		"--auth-host=scram-sha-256", // a port is not
	}
	if throwaway {
		args = append(args, "--no-sync")
	}
	out, err := c.account.command(ctx, c.dir, c.bin.path("initdb"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	conf, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString("\ninclude = 'muster.conf'\n")
	return errors.Join(err, conf.Close())
}

// configure chooses the settings for the start to come. The first change of a page after a
// checkpoint puts the whole page into the log, and a slot changes pages everywhere: where
// PostgreSQL can compress them with lz4 (not before version 15, and only if it was built
// with it), it does.
func (c cluster) configure(ctx context.Context, o Options) error {
	s := settings(o, memoryMB())
	if _, chosen := s["wal_compression"]; o.Throwaway || chosen {
		return c.write(s)
	}
	s["wal_compression"] = "lz4"
	if err := c.write(s); err != nil {
		return err
	}
	if c.account.command(ctx, c.dir, c.bin.path("postgres"), "-D", c.data(), "-C", "wal_compression").Run() == nil {
		return nil
	}
	delete(s, "wal_compression")
	return c.write(s)
}

// write puts settings where the server reads them when it starts.
func (c cluster) write(s map[string]string) error {
	path := filepath.Join(c.data(), "muster.conf")
	return errors.Join(os.WriteFile(path, settingsFile(s), 0o600), c.account.own(path))
}
