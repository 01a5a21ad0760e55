// Package sdk_test holds muster to what Segment's own libraries expect. They run as they
// are published, told nothing but another host: for Node.js, for browsers in a headless
// Chromium, and for Go. run.sh installs them and runs the tests.
package sdk_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"muster/tests/served"
)

// enabled is the variable that says that the libraries are installed.
const enabled = "MUSTER_SDK_TESTS"

func TestLibraries(t *testing.T) {
	bin, program := build(t)
	for _, library := range []struct {
		name  string
		hasty int // how many calls, one after the other, are too many requests; 0: it does not heed Retry-After
		start func(t *testing.T, host string) driver
	}{
		{"node", 60, func(t *testing.T, host string) driver {
			return startProcess(t, ".", "node", "drivers/node.mjs", host, writeKey)
		}},
		{"go", 0, func(t *testing.T, host string) driver {
			return startProcess(t, ".", buildGoDriver(t, bin), host, writeKey)
		}},
		{"browser", 6, func(t *testing.T, host string) driver {
			return startBrowser(t, "chromium", host, nil)
		}},
		{"browser, batching", 0, func(t *testing.T, host string) driver {
			return startBrowser(t, "chromium", host, url.Values{"batching": {"1"}})
		}},
	} {
		t.Run(library.name, func(t *testing.T) {
			t.Parallel()
			s := startSystem(t, program)
			d := library.start(t, s.gate.URL)
			testLibrary(t, s, d)
			if library.hasty > 0 {
				t.Run("429 for a while", func(t *testing.T) { testLimited(t, s, d, library.hasty) })
			}
			for _, v := range s.fake.Violations() {
				t.Errorf("Mixpanel's rules were broken: %v", v)
			}
		})
	}
}

// build makes muster, in a directory that is gone after the test. It skips the test where the
// libraries are not installed.
func build(t *testing.T) (dir, program string) {
	t.Helper()
	if os.Getenv(enabled) == "" {
		t.Skip("tests/sdk/run.sh installs Segment's libraries and runs this test")
	}
	dir, err := served.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if program, err = served.Build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir, program
}

func buildGoDriver(t *testing.T, dir string) string {
	t.Helper()
	program := filepath.Join(dir, "sdkdriver")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Dir = "drivers/go"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the driver of the Go library: %v\n%s", err, out)
	}
	return program
}

// testLibrary puts one library through everything, on one muster.
func testLibrary(t *testing.T, s *system, d driver) {
	t.Run("six calls", func(t *testing.T) { testCalls(t, s, d) })
	t.Run("a flush of 1,000 events", func(t *testing.T) {
		b := burst{user: "flush", count: 1_000}
		b.send(t, s, d, nil)
	})
	t.Run("503 for a while", func(t *testing.T) { testRefused(t, s, d) })
	t.Run("lost answers", func(t *testing.T) { testLostAnswers(t, s, d) })
	t.Run("a restart", func(t *testing.T) { testRestart(t, s, d, "restart", s.muster.Terminate) })
	t.Run("kill -9", func(t *testing.T) { testRestart(t, s, d, "killed", s.muster.Kill) })
}
