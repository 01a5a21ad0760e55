//go:build unix

package main

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/demo"
	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
)

const killConfig = `
destinations:
  - name: mixpanel
    settings:
      token: ${MIXPANEL_TOKEN}
      base_url: ${MIXPANEL_URL}
      max_events_per_request: 100
      max_profiles_per_request: 50
audiences:
  - name: Buyers
    query: event('Order Completed').count() >= 1
  - name: Big spenders
    query: event('Order Completed').sum(property('revenue')) >= 5000
  - name: Refunders
    query: event('Order Refunded').count() >= 1
    connections:
      - {destination: mixpanel, emit: track}
traits:
  - name: Lifetime value
    query: event('Order Completed').sum(property('revenue'))
`

// program is the real program, run as processes of its own on one private PostgreSQL.
type program struct {
	path, config, data string
	fake               *mixpaneltest.Server
}

func buildProgram(t *testing.T) *program {
	t.Helper()
	p := &program{
		path: filepath.Join(t.TempDir(), "muster"), config: writeFile(t, "muster.yaml", killConfig),
		fake: mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}}}),
	}
	if text, err := exec.Command("go", "build", "-o", p.path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	dir, err := os.MkdirTemp("", "muster-kill-") //nolint:usetesting // t.TempDir is closed to the user that runs PostgreSQL for root
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.data = filepath.Join(dir, "pg")
	return p
}

// process is one run of the program.
type process struct {
	*exec.Cmd
	out, err output
	ended    chan struct{}
	result   error
}

func (p *program) start(t *testing.T, args ...string) *process {
	t.Helper()
	run := &process{Cmd: exec.Command(p.path, append(args, "--config", p.config, "--data", p.data)...), ended: make(chan struct{})}
	run.Env = append(os.Environ(), "DATABASE_URL=", "MIXPANEL_TOKEN="+testToken, "MIXPANEL_URL="+p.fake.URL())
	run.Stdout, run.Stderr = &run.out, &run.err
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		run.result = run.Wait()
		close(run.ended)
	}()
	t.Cleanup(func() {
		_ = run.Process.Kill()
		<-run.ended
		if t.Failed() {
			t.Logf("muster %v: %v\n%s%s", args, run.result, run.out.String(), run.err.String())
		}
	})
	return run
}

// serve starts muster serve and waits until it serves.
func (p *program) serve(t *testing.T) *process {
	t.Helper()
	run := p.start(t, "serve", "--listen", "127.0.0.1:0")
	eventually(t, "muster serve serves", func() bool {
		select {
		case <-run.ended:
			t.Fatalf("muster serve ended: %v", run.result)
		default:
		}
		return run.err.attribute("serving", "listen") != ""
	})
	return run
}

// TestKill kills everything at once, with no chance to say goodbye, while a real shop's log is
// being imported and told. Started again, with the import run again, nothing is lost
// and nothing told twice.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	pgtest.DSN(t) // skips the test where there is no PostgreSQL
	p := buildProgram(t)
	log := writeFile(t, "log.ndjson.gz", string(demo.Log))

	server := p.serve(t)
	importing := p.start(t, "import", log)
	// At a random moment, counted in profiles that Mixpanel has heard of.
	moment := 1 + rand.IntN(1500)
	eventually(t, "Mixpanel hears of profiles", func() bool { return p.fake.ProfileCount(testToken) >= moment })
	for _, victim := range []*process{server, importing} {
		if err := victim.Process.Kill(); err != nil {
			t.Fatalf("kill at %d profiles: %v", moment, err)
		}
	}
	for _, victim := range []*process{server, importing} {
		<-victim.ended
		if victim.result == nil {
			t.Fatalf("at %d profiles a victim had ended by itself", moment)
		}
	}
	t.Logf("killed when Mixpanel had heard of %d profiles", p.fake.ProfileCount(testToken))

	server = p.serve(t)
	again := p.start(t, "import", log, "-o", "json")
	<-again.ended
	if again.result != nil {
		t.Fatalf("the second import: %v", again.result)
	}
	var summary struct {
		Lines     int64 `json:"lines"`
		Accepted  int64 `json:"accepted"`
		Duplicate int64 `json:"duplicate"`
	}
	if err := json.Unmarshal([]byte(again.out.String()), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Lines != 30288 || summary.Accepted+summary.Duplicate != summary.Lines || summary.Duplicate == 0 || summary.Accepted == 0 {
		t.Errorf("the second import says %+v", summary)
	}

	match := psqlAddress.FindStringSubmatch(server.err.attribute("started a private PostgreSQL", "psql"))
	if match == nil {
		t.Fatal("muster serve does not say where its PostgreSQL is")
	}
	pool := database(t, match[1])
	if n := one[int](t, pool, `SELECT count(*) FROM muster.events`); n != 25900 {
		t.Errorf("%d events are stored, want 25900", n)
	}
	eventually(t, "all is told", func() bool { return one[int](t, pool, waiting) == 0 })
	if n := compare(t, pool, p.fake); n < 8000 {
		t.Errorf("only %d values were compared", n)
	}
	raw, deduped := p.fake.EventCount(testToken, mixpaneltest.Raw), p.fake.EventCount(testToken, mixpaneltest.Deduped)
	t.Logf("%d events arrived twice and count once", raw-deduped)
	pool.Close()

	if err := server.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-server.ended:
		if server.result != nil {
			t.Errorf("muster serve ended with %v", server.result)
		}
	case <-time.After(30 * time.Second):
		t.Error("muster serve does not stop")
	}
}
