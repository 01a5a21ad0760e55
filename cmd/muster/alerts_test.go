package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
)

// The alerts that the manual offers speak of metrics, labels and values of labels that a
// serving Muster shows.
func TestAlertsSpeakOfMetricsThatExist(t *testing.T) {
	t.Parallel() // it waits for a full minute
	text, err := os.ReadFile("../../docs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	config := serveConfig + "  - name: Of late\n    query: event('Order Completed').within(1 day).count() >= 1\n    schedule: '@every 1m'\n"
	_, url := serveAs(t, config)
	send(url+"/v1/track", writeKey, order("kim", "m0", 1))
	send(url+"/v1/track", "wrong", order("kim", "m1", 1))
	var page string
	eventually(t, "a slot has run", func() bool {
		_, page = get(t, url+"/metrics")
		return strings.Contains(page, "muster_slot_seconds_count")
	})
	metric := regexp.MustCompile(`\b(muster_[a-z_]+)(?:\{([a-z]+)(!?=)"([^"]*)"\})?`)
	checked := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			for _, m := range metric.FindAllStringSubmatch(r.Expr, -1) {
				checked++
				want := m[1] + `(\{[^}]*\})? `
				switch {
				case m[4] == "unavailable": // it was not, in this test
					want = m[1] + `\{code=`
				case m[2] != "":
					want = m[1] + `\{[^}]*` + m[2] + `="` + m[4] + `"`
				}
				if !regexp.MustCompile(`(?m)^` + want).MatchString(page) {
					t.Errorf("%s: there is no %s", r.Alert, m[0])
				}
			}
			for _, by := range regexp.MustCompile(`by \(([^)]*)\) \((?:rate\()?(muster_[a-z_]+)`).FindAllStringSubmatch(r.Expr, -1) {
				for label := range strings.SplitSeq(by[1], ", ") {
					if label != "instance" && !regexp.MustCompile(`(?m)^`+by[2]+`\{[^}]*`+label+`="`).MatchString(page) {
						t.Errorf("%s: %s has no label %s", r.Alert, by[2], label)
					}
				}
			}
		}
	}
	if checked < 12 {
		t.Errorf("only %d metrics were looked for", checked)
	}
	// What the manual lists is there, too, but for what is seen only while a backfill runs.
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`(muster_[a-z_]+)(?:\\{[a-z,]+\\})?`").FindAllStringSubmatch(string(manual), -1) {
		if m[1] != "muster_backfill_profiles" && m[1] != "muster_messages_total" && m[1] != "muster_reader" && !strings.Contains(page, "\n"+m[1]) {
			t.Errorf("the manual lists %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (muster_\w+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(string(manual), "`"+m[1]) {
			t.Errorf("the manual does not say what %s is", m[1])
		}
	}
}

// serveAs serves a configuration on a database of the test's own.
func serveAs(t *testing.T, config string) (*running, string) {
	t.Helper()
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}}})
	r := background(t, map[string]string{
		"DATABASE_URL": pgtest.DSN(t), "WRITE_KEY": writeKey, "MIXPANEL_TOKEN": testToken, "MIXPANEL_URL": fake.URL(),
	}, "serve", "--config", writeFile(t, "muster.yaml", config), "--listen", "127.0.0.1:0")
	return r, r.serving(t)
}

// Readiness tells the truth about a database that takes no writes.
func TestReadinessOfADatabaseThatTakesNoWrites(t *testing.T) {
	_, url, dsn, _ := startServe(t)
	pool := database(t, dsn)
	name := one[string](t, pool, `SELECT current_database()`)
	for _, statement := range []string{
		`ALTER DATABASE "` + name + `" SET default_transaction_read_only = on`,
		// Sessions that are open keep their settings.
		`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	} {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "readiness tells it", func() bool {
		status, text := get(t, url+"/readyz")
		return status == 503 && strings.Contains(text, "takes no writes")
	})
	if status, _ := get(t, url+"/healthz"); status != 200 {
		t.Errorf("health answers %d: the program is well", status)
	}
}
