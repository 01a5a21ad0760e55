//go:build unix

package pgserver

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// owner is a process of its own that runs a server, for killing.
type owner struct {
	cmd *exec.Cmd
	ownerReport
}

// ownerReport is what that process tells about itself.
type ownerReport struct {
	DSN, Dir           string
	Postgres, Watchdog int // process ids
}

// runOwner starts this test binary again as the owner of a server.
func runOwner(t *testing.T, o Options) owner {
	t.Helper()
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestActAsOwner$", "-test.v")
	cmd.Env = append(os.Environ(), "MUSTER_TEST_OWNER="+string(options))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "owner: "); ok {
			o := owner{cmd: cmd}
			if err := json.Unmarshal([]byte(text), &o.ownerReport); err != nil {
				t.Fatal(err)
			}
			return o
		}
		if strings.Contains(lines.Text(), "SKIP") {
			t.Skip("no PostgreSQL")
		}
	}
	t.Fatal("the owner process did not start a server")
	return owner{}
}

// TestActAsOwner is no test: it is the other process of runOwner.
func TestActAsOwner(t *testing.T) {
	options := os.Getenv("MUSTER_TEST_OWNER")
	if options == "" {
		t.Skip("only for the tests that kill a process")
	}
	var o Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	report, err := json.Marshal(ownerReport{s.DSN(), s.Dir(), s.own.cmd.Process.Pid, s.own.watchdog.Process.Pid})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("owner: %s\n", report)
	time.Sleep(time.Minute) // to be killed
}

func (o owner) kill(t *testing.T) {
	t.Helper()
	if err := o.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = o.cmd.Wait() // "signal: killed"
}

// eventually fails the test unless the condition comes true soon.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not after 20 s: %s", what)
}

func ended(pid int, dir string) func() bool {
	return func() bool { return !alive(pid) || !runsCluster(context.Background(), pid, dir) }
}

func TestServerEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	o := runOwner(t, Options{Throwaway: true, InMemory: true})
	ask(t, o.DSN, `SELECT 'it answers'`)
	o.kill(t)
	eventually(t, "the server ends", ended(o.Postgres, o.Dir))
	eventually(t, "its folder is removed", func() bool {
		_, err := os.Stat(o.Dir)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestKilledOwnerIsSucceeded(t *testing.T) {
	t.Parallel()
	o := runOwner(t, Options{Dir: newDir(t)})
	run(t, o.DSN, `CREATE TABLE kept AS SELECT 'yes' AS answer`)
	_, err := Start(t.Context(), Options{Dir: o.Dir})
	if inUse, ok := errors.AsType[*InUseError](err); !ok || inUse.PID != o.cmd.Process.Pid {
		t.Fatalf("while the owner lives: %v", err)
	}
	o.kill(t)
	if got := ask(t, start(t, Options{Dir: o.Dir}).DSN(), `SELECT answer FROM kept`); got != "yes" {
		t.Errorf("after the owner was killed: %q", got)
	}
}

// The watchdog dies as well, so the server outlives its owner, with a session busy.
func TestOrphanedServerIsStoppedInOrder(t *testing.T) {
	t.Parallel()
	o := runOwner(t, Options{Dir: newDir(t), Throwaway: true})
	run(t, o.DSN, `CREATE TABLE kept AS SELECT 'yes' AS answer`)
	if err := syscall.Kill(o.Watchdog, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	o.kill(t)
	if got := ask(t, o.DSN, `SELECT answer FROM kept`); got != "yes" {
		t.Fatalf("the orphan does not answer: %q", got)
	}
	busy := connect(t, o.DSN)
	go busy.Exec(t.Context(), `SELECT pg_sleep(60)`)

	s := start(t, Options{Dir: o.Dir})
	if got := ask(t, s.DSN(), `SELECT answer FROM kept`); got != "yes" {
		t.Errorf("after the orphan was stopped: %q", got)
	}
	if s.own.cmd.Process.Pid == o.Postgres || !ended(o.Postgres, o.Dir)() {
		t.Errorf("the orphan %d runs on", o.Postgres)
	}
}

// Owner, watchdog and server are killed at once: the pid file is stale.
func TestStalePidFile(t *testing.T) {
	for name, usurp := range map[string]func(t *testing.T, dir string){
		"of a dead process": func(*testing.T, string) {},
		// In a container a restart hands out the same few numbers again.
		"of another program": func(t *testing.T, dir string) {
			a, err := serverAccount(dir)
			if err != nil {
				t.Fatal(err)
			}
			stranger := a.command(context.Background(), "/", "sleep", "60")
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stranger.Process.Kill(); stranger.Wait() })
			path := filepath.Join(dir, "data", "postmaster.pid")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(text), "\n")
			if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n%s", stranger.Process.Pid, rest), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := runOwner(t, Options{Dir: newDir(t)})
			run(t, o.DSN, `CREATE TABLE kept AS SELECT 'yes' AS answer`)
			for _, pid := range []int{o.Watchdog, o.Postgres} {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			o.kill(t)
			eventually(t, "the server is dead", func() bool { return !alive(o.Postgres) })
			usurp(t, o.Dir)
			if got := ask(t, start(t, Options{Dir: o.Dir}).DSN(), `SELECT answer FROM kept`); got != "yes" {
				t.Errorf("after the crash: %q", got)
			}
		})
	}
}

func TestLingeringServerEndsAfterItsTime(t *testing.T) {
	t.Parallel()
	o := runOwner(t, Options{Throwaway: true, InMemory: true})
	if err := os.WriteFile(filepath.Join(o.Dir, "linger"), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.kill(t)
	time.Sleep(300 * time.Millisecond) // long enough for a watchdog that does not wait
	ask(t, o.DSN, `SELECT 'it answers'`)
	eventually(t, "the server ends", ended(o.Postgres, o.Dir))
}

func TestDoneTellsOfADeadServer(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Throwaway: true, InMemory: true})
	if err := s.own.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Error("Done is open although the server is dead")
	}
}
