//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// postmaster is a server process of ours.
type postmaster struct {
	cluster
	cmd      *exec.Cmd
	exit     error         // how it ended; valid once done is closed
	done     chan struct{} // closed when it has ended
	watchdog *exec.Cmd
	leash    io.Closer // the watchdog's standard input, open as long as this process lives
}

// watchdogScript ends the server when this process is gone. Signals and
// Pdeathsig cannot promise that: nobody can send one after kill -9, and Pdeathsig
// follows a thread and exists on Linux only. A pipe can: whatever ends this process
// closes its end, and the read returns.
//
// $1 the server's pid, $2 its data folder, $3 seconds to linger are in this file,
// $4 the folder to remove in the end, or "".
const watchdogScript = `
read -r _
[ ! -f "$3" ] || sleep "$(cat "$3")"
pid_file=$2/postmaster.pid
if [ "$(head -n 1 "$pid_file" 2>/dev/null)" = "$1" ]; then
	kill -INT "$1" 2>/dev/null
	tries=0
	while [ -f "$pid_file" ] && kill -0 "$1" 2>/dev/null && [ $tries -lt 600 ]; do
		tries=$((tries + 1))
		sleep 0.1
	done
fi
[ -z "$4" ] || rm -rf "$4" 2>/dev/null
`

// launch starts the server and its watchdog, and returns when the server answers.
func launch(ctx context.Context, c cluster) (*postmaster, error) {
	logFile, err := os.OpenFile(c.startLog(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()

	// The command must not end with the context, which is only that of the start.
	background := context.WithoutCancel(ctx)
	p := &postmaster{cluster: c, done: make(chan struct{})}
	p.cmd = c.account.command(background, c.dir, c.bin.path("postgres"),
		"-D", c.data(), "-k", c.socketDir, "-p", strconv.Itoa(c.port), "-h", c.listen())
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.exit = p.cmd.Wait()
		close(p.done)
	}()
	if err := p.watch(background); err != nil {
		return nil, errors.Join(fmt.Errorf("start the watchdog: %w", err), p.stop())
	}
	if err := p.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// watch puts the watchdog beside the server.
func (p *postmaster) watch(ctx context.Context) error {
	remove := ""
	if p.temporary {
		remove = p.dir
	}
	w := p.account.command(ctx, "/", "/bin/sh", "-c", watchdogScript, "muster-watchdog",
		strconv.Itoa(p.cmd.Process.Pid), p.data(), p.lingerFile(), remove)
	leash, err := w.StdinPipe()
	if err != nil {
		return err
	}
	if err := w.Start(); err != nil {
		return err
	}
	p.watchdog, p.leash = w, leash
	return nil
}

// awaitReady returns when the server says in its pid file that it answers. After a
// crash that may take as long as replaying the log does.
func (p *postmaster) awaitReady(ctx context.Context) error {
	wait := 5 * time.Millisecond
	for {
		if f, ok := readPidFile(p.data()); ok && f.pid == p.cmd.Process.Pid && f.ready {
			return nil
		}
		select {
		case <-p.done:
			return &startError{exit: p.exit, log: p.startLogTail()}
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL in %s did not answer: %w\n%s", p.dir, ctx.Err(), p.startLogTail())
		case <-time.After(wait):
			wait = min(wait*5/4, 100*time.Millisecond)
		}
	}
}

// startError says why the server ended instead of answering.
type startError struct {
	exit error
	log  string
}

func (e *startError) Error() string {
	return fmt.Sprintf("PostgreSQL did not start (%v):\n%s", e.exit, e.log)
}

// busy tells whether backends of a killed server still use the files; they end by
// themselves as soon as they notice that it is gone.
func (e *startError) busy() bool {
	return strings.Contains(e.log, "pre-existing shared memory block")
}

// startLogTail returns the last lines of the server's own words.
func (p *postmaster) startLogTail() string {
	text, _ := os.ReadFile(p.startLog()) // an unreadable log must not hide the fault itself
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-8):], "\n  ")
}

// How long a server may take to write everything down and end. One that is slower
// is ended the hard way, which loses nothing, but makes the next start replay its log.
const stopPatience = time.Minute

// stop ends the server: fast shutdown, which cuts sessions off and writes a checkpoint.
func (p *postmaster) stop() error {
	if err := os.Remove(p.lingerFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err := p.signal(syscall.SIGINT)
	select {
	case <-p.done:
	case <-time.After(stopPatience):
		err = errors.Join(err, fmt.Errorf("PostgreSQL in %s was ended the hard way: it had not stopped after %s", p.dir, stopPatience),
			p.signal(syscall.SIGQUIT))
		<-p.done
	}
	if p.watchdog != nil {
		p.leash.Close()
		err = errors.Join(err, p.watchdog.Wait())
	}
	if p.temporary {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	return err
}

func (p *postmaster) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// linger leaves the watchdog word to wait before it stops the server.
func (p *postmaster) linger(d time.Duration) error {
	seconds := strconv.Itoa(int(d.Seconds()))
	if err := os.WriteFile(p.lingerFile(), []byte(seconds), 0o600); err != nil {
		return err
	}
	return p.account.own(p.lingerFile())
}

func (p *postmaster) lingerFile() string { return filepath.Join(p.dir, "linger") }
