//go:build unix

package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFile is what a running server writes about itself in postmaster.pid.
type pidFile struct {
	pid       int
	port      int
	socketDir string
	ready     bool // it answers
}

// readPidFile reads postmaster.pid in a data folder; ok is false when there is
// none, or a half written one.
func readPidFile(data string) (p pidFile, ok bool) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return p, false
	}
	// pid, data folder, start time, port, socket folder, listen address, shared memory, status
	lines := strings.Split(string(text), "\n")
	if p.pid, err = strconv.Atoi(strings.TrimSpace(lines[0])); err != nil {
		return p, false
	}
	if len(lines) >= 8 {
		p.port, _ = strconv.Atoi(strings.TrimSpace(lines[3])) // 0 while starting
		p.socketDir = lines[4]
		p.ready = strings.TrimSpace(lines[7]) == "ready"
	}
	return p, true
}

// alive tells whether a process exists, a stranger's too.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// runsCluster tells whether the process is a server of the data folder, rather
// than some program that was given the number of a dead one (common in containers).
func runsCluster(ctx context.Context, pid int, data string) bool {
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil { // no /proc, as on macOS
		args, err = exec.CommandContext(ctx, "ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
		if err != nil {
			return false
		}
	}
	return bytes.Contains(args, []byte("postgres")) && bytes.Contains(args, []byte(data))
}

// recover clears what a killed process left behind, with the socket's lock file: its
// number may be another program's by now, or that of a dead server whose death nobody
// has noticed, and PostgreSQL would refuse to start. The folder is this cluster's own,
// whose lock the caller holds, and no server of it is left.
func (c cluster) recover(ctx context.Context, log *slog.Logger) error {
	if err := recoverCluster(ctx, c.data(), log); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(c.socketDir, fmt.Sprintf(".s.PGSQL.%d.lock", c.port)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clear what a killed server left behind: %w", err)
	}
	return nil
}

// recoverCluster clears what a killed process left behind. The caller holds the
// cluster's lock, so a server that still runs has lost its owner: it is stopped
// in order, which loses nothing. A dead server's pid file is left to PostgreSQL,
// which reads in it whether orphaned backends still use the files.
func recoverCluster(ctx context.Context, data string, log *slog.Logger) error {
	p, ok := readPidFile(data)
	if !ok || !alive(p.pid) {
		return nil
	}
	if !runsCluster(ctx, p.pid, data) {
		return disownPid(data)
	}
	log.Info("stopping the PostgreSQL that a killed process left running", "pid", p.pid)
	if err := syscall.Kill(p.pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the server %d, left running by a killed process: %w", p.pid, err)
	}
	for alive(p.pid) && runsCluster(ctx, p.pid, data) {
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("the server %d, left running by a killed process, does not stop: %w", p.pid, err)
		}
	}
	return nil
}

// disownPid replaces the pid in postmaster.pid, which now belongs to an unrelated
// program, by one that cannot exist. PostgreSQL would refuse to start otherwise. The
// file is not deleted, because its shared memory key is what keeps a new server
// off the files while backends of the old one live.
func disownPid(data string) error {
	path := filepath.Join(data, "postmaster.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	const impossible = "2147483647\n"
	// Opened, not renamed into place: the file keeps its owner.
	return os.WriteFile(path, append([]byte(impossible), rest...), 0o600)
}

// pause waits, or returns the context's error if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
