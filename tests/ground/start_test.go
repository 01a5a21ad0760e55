package ground_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/pgtest"
	"muster/tests/served"
)

// empty is an empty configuration.
func empty(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "muster.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A migration that is killed in the middle is done by the next one that tries, or says what to
// run, which works.
func TestMigrationInterrupted(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	env := []string{"DATABASE_URL=" + dsn}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	config, program := empty(t), served.Program(t)
	killed, repaired := 0, 0
	for range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+r.IntN(250))*time.Millisecond)
		cmd := exec.CommandContext(ctx, program, "migrate", "up", "--config", config)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		cut := ctx.Err() != nil
		cancel()
		switch {
		case cut:
			killed++
		case err != nil:
			if !strings.Contains(string(out), "muster migrate repair") {
				t.Fatalf("migrate up says %s", out)
			}
			repaired++
			if code, text := runMuster(t, env, "migrate", "repair", "--config", config); code != 0 {
				t.Fatalf("migrate repair ends with %d and says %s", code, text)
			}
		}
		if code, text := runMuster(t, env, "migrate", "status", "--config", config); code != 0 || !strings.Contains(text, "catalog") {
			t.Fatalf("migrate status ends with %d and says %s", code, text)
		}
	}
	t.Logf("killed %d times, repaired %d times", killed, repaired)
	if killed == 0 {
		t.Error("nothing was interrupted")
	}
	if code, text := runMuster(t, env, "migrate", "repair", "--config", config); code != 0 {
		t.Fatalf("migrate repair ends with %d and says %s", code, text)
	}
	w := newWorld(t, options{database: dsn})
	c := startTraffic(w.muster.URL())
	c.must(t, 10)
	w.check(c)
	if code, text := w.command(nil, "migrate", "status"); code != 0 || strings.Contains(text, "pending") {
		t.Errorf("migrate status ends with %d and says %s", code, text)
	}
}

// A configuration with a mistake keeps muster from starting, says where it is, and changes
// nothing; a process that runs does not read it.
func TestConfigurationBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	c := startTraffic(w.muster.URL())
	c.must(t, 10)
	path := filepath.Join(w.dir, "muster.yaml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for broken, says := range map[string]string{
		string(good) + "audiences: {{\n":                                  "muster.yaml:8",
		string(good) + "audience: []\n":                                   `muster.yaml:8:1: unknown field "audience"`,
		strings.Replace(string(good), "app", "", 1):                       "muster.yaml:3: sources[0].name",
		string(good[:len(good)-40]):                                       "muster.yaml:7",
		strings.Replace(string(good), writeKey, `"${NOT_SET_AT_ALL}"`, 1): "NOT_SET_AT_ALL",
	} {
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		code, text := w.command(nil, "serve", "--listen", "127.0.0.1:0")
		if code != 1 || !strings.Contains(text, says) || strings.Contains(text, writeKey) {
			t.Errorf("with\n%s\nserve ends with %d and says %s; want %q", broken, code, text, says)
		}
	}
	c.must(t, 10)
	w.awaitReady(http.StatusOK, "ready")
	if err := w.muster.Terminate(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	c.moveTo(w.muster.URL())
	c.must(t, 10)
	w.check(c)
}

// Mixpanel's name is not known to the network. Calls are taken all the same, muster says what is
// wrong, and tells Mixpanel everything once it is found.
func TestNameDoesNotResolve(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{env: []string{"HTTPS_PROXY=", "https_proxy="}})
	if err := w.muster.Terminate(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, "muster.yaml")
	if err := os.WriteFile(path, []byte(configuration("https://mixpanel.invalid")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	c := startTraffic(w.muster.URL())
	c.must(t, 20)
	w.awaitReady(http.StatusOK, "ready")
	eventually(t, 20*time.Second, "what is wrong is told", func() bool {
		code, text := w.command(nil, "delivery", "lag")
		return code == 0 && strings.Contains(text, "mixpanel.invalid") && strings.Contains(text, "no such host")
	})
	if code, text := w.command(nil, "doctor"); !strings.Contains(text, "no such host") {
		t.Errorf("doctor ends with %d and says %s", code, text)
	}
	if _, text := w.get("/metrics"); !strings.Contains(text, `muster_queue_failing_lanes{destination="mixpanel"} `) || strings.Contains(text, `muster_queue_failing_lanes{destination="mixpanel"} 0`) {
		t.Error("the metrics do not say that lanes fail")
	}
	if err := w.muster.Terminate(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(configuration(w.fake.URL())), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	c.moveTo(w.muster.URL())
	c.must(t, 10)
	w.check(c)
	conn := w.connect()
	each(t, conn, `SELECT kind, count(*) FROM muster.dead_letters GROUP BY kind`, func(kind string, n int) {
		t.Errorf("%d messages are dead letters: %s", n, kind)
	})
}
