// Package crash_test kills muster serve, and its database, at random moments under load,
// and checks that what was answered 200 is stored, exactly once and with all that follows
// from it.
package crash_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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
	t.Run("muster", func(t *testing.T) { killUnderLoad(t, program, *kills, nil) })
	t.Run("muster and PostgreSQL", func(t *testing.T) {
		killUnderLoad(t, program, (*kills+2)/3, killPostgres)
	})
}

// killUnderLoad kills muster n times, each time after first, and checks what is left.
func killUnderLoad(t *testing.T, program string, n int, first func(t *testing.T, dir string)) {
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
		before := clients.stored()
		time.Sleep(time.Duration(50+r.IntN(1_000)) * time.Millisecond)
		if first != nil {
			first(t, dir)
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		if err := muster.Kill(); err != nil && first == nil { // without its database muster ends by itself
			t.Fatal(err)
		}
		if clients.stored() == before {
			t.Log("killed before anything was answered")
		}
		if err := muster.Start(t.Context()); err != nil {
			t.Fatal(err)
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

// killPostgres kills the private PostgreSQL of a folder.
func killPostgres(t *testing.T, dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "pg", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 1 {
		t.Fatalf("postmaster.pid begins with %q", line)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
