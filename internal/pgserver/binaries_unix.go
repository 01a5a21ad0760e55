//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// binaries are the programs of one PostgreSQL installation.
type binaries struct {
	dir     string
	version string // "15.18"
	full    string // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
}

func (b binaries) path(program string) string { return filepath.Join(b.dir, program) }

// installations are the patterns of folders in which PostgreSQL's programs lie when they are not on PATH.
var installations = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // Red Hat, from postgresql.org
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql*/bin",                  // Homebrew, Apple silicon
	"/usr/local/opt/postgresql*/bin",                     // Homebrew, Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",     // Homebrew, Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/opt/local/lib/postgresql*/bin",                     // MacPorts
	"/usr/local/pgsql/bin",                               // built from source
}

// candidates lists folders that may hold PostgreSQL's programs, best first.
func candidates(ctx context.Context, bin string) []string {
	if bin == "" {
		bin = os.Getenv("MUSTER_PG_BIN")
	}
	if bin != "" {
		return []string{bin} // what was named is meant: nothing else will do
	}
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, pattern := range installations {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.SortFunc(found, func(a, b string) int { return numberIn(b) - numberIn(a) })
		dirs = append(dirs, found...)
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(d string) bool {
		again := seen[d]
		seen[d] = true
		return again
	})
}

// numberIn reads the first number in a path: the major version by which folders are named.
func numberIn(path string) int {
	i := strings.IndexAny(path, "0123456789")
	if i < 0 {
		return 0
	}
	return majorOf(path[i:])
}

// findBinaries returns the first usable installation. With a major version other
// than 0 only that one will do, because a cluster can be run by no other.
func findBinaries(ctx context.Context, bin string, major int, a account) (binaries, error) {
	var looked []string
	dirs := candidates(ctx, bin)
	for _, dir := range dirs {
		b, err := probe(ctx, dir, a)
		if err == nil && major != 0 && majorOf(b.version) != major {
			err = fmt.Errorf("version %s, but the cluster was made by version %d", b.version, major)
		}
		if err == nil {
			return b, nil
		}
		looked = append(looked, fmt.Sprintf("%s: %v", dir, err))
	}
	if len(dirs) == 0 {
		looked = append(looked, "pg_config, PATH and the usual folders: nothing there")
	}
	return binaries{}, &NotFoundError{Looked: looked}
}

// probe runs the programs once, as the account that is to use them.
func probe(ctx context.Context, dir string, a account) (binaries, error) {
	b := binaries{dir: dir}
	if _, err := os.Stat(b.path("initdb")); err != nil {
		return b, errors.New("no initdb there")
	}
	out, err := a.command(ctx, "/", b.path("postgres"), "--version").Output()
	if errors.Is(err, os.ErrPermission) && a.other {
		return b, fmt.Errorf("closed to user %s, who would run it", a.name)
	}
	if err != nil {
		return b, err
	}
	b.full = strings.TrimSpace(string(out))
	_, rest, _ := strings.Cut(b.full, "(PostgreSQL) ")
	b.version, _, _ = strings.Cut(rest, " ")
	if major := majorOf(b.version); major < OldestMajor {
		return b, fmt.Errorf("version %q, but %d or newer is needed", b.version, OldestMajor)
	}
	return b, nil
}

// command prepares a program to run as the account, in the folder, free of the
// PG* variables and the locale of whoever started muster.
func (a account) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = a.attributes()
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}
