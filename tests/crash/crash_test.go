// Package crash_test kills muster serve, and its database, at random moments under load,
// and checks that what was answered 200 is stored, exactly once and with all that follows
// from it.
package crash_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/mixpanel/mixpaneltest"
	"muster/tests/served"
)

var (
	kills = flag.Int("kills", 10, "how often muster is killed")
	seed  = flag.Uint64("seed", 0, "of the random moments; 0: a new one, which is logged")
)

const writeKey = "key-of-the-crash-test"

// configuration has one computation that every call changes, so that each transaction
// writes an event, a state, a value and a message.
func configuration(mixpanel string) string {
	return fmt.Sprintf(`
sources:
  - {name: app, write_key: %s}
destinations:
  - {name: mixpanel, settings: {token: %s, base_url: %q}}
traits:
  - {name: Orders, key: orders, query: "event('Order Completed').count()"}
`, writeKey, mixpaneltest.DefaultToken, mixpanel)
}

func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for half a minute")
	}
	dir, err := served.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, err := served.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("muster", func(t *testing.T) {
		killUnderLoad(t, program, *kills, func(m *served.Server, _ string) error { return m.Kill() })
	})
	t.Run("its PostgreSQL", func(t *testing.T) { killUnderLoad(t, program, (*kills+2)/3, killPostgres) })
}

// killUnderLoad kills muster n times and checks what is left. kill returns when it is dead.
func killUnderLoad(t *testing.T, program string, n int, kill func(m *served.Server, dir string) error) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	r := rand.New(rand.NewPCG(*seed, 0))
	fake := mixpaneltest.Start(t, mixpaneltest.Options{})
	dir, err := served.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	muster, err := served.New(served.Options{Program: program, Dir: dir, Config: configuration(fake.URL()), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if err := muster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if muster.Running() {
			_ = muster.Kill() // only when the test has failed already
		}
	}()
	clients := startClients(muster.URL(), r)
	defer clients.stop()
	for range n {
		time.Sleep(time.Duration(50+r.IntN(1_000)) * time.Millisecond)
		if err := kill(muster, dir); err != nil {
			t.Fatal(err)
		}
		if err := muster.Start(t.Context()); err != nil {
			t.Fatalf("%v\nthe end of PostgreSQL's log:\n%s", err, postgresLog(dir))
		}
		clients.moveTo(muster.URL())
	}
	time.Sleep(200 * time.Millisecond)
	requests := clients.stop()
	check(t, muster.Database(), fake, requests)
	if err := muster.Terminate(); err != nil {
		t.Error(err)
	}
}

// killPostgres kills the private PostgreSQL of a folder and waits for muster, which
// cannot go on without it, to end by itself.
func killPostgres(m *served.Server, dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "pg", "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 1 {
		return fmt.Errorf("postmaster.pid begins with %q", line)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	if err := m.Wait(); err == nil {
		return errors.New("muster ended as if all were well")
	}
	return nil
}

// postgresLog is the end of what the private PostgreSQL of a folder says.
func postgresLog(dir string) string {
	files, err := filepath.Glob(filepath.Join(dir, "pg", "data", "log", "*.log"))
	if err != nil || len(files) == 0 {
		return "there is none"
	}
	slices.Sort(files) // their names are times
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
