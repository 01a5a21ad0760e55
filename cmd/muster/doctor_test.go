package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
)

// examined runs muster doctor on a database, and returns its exit code and what it found.
func examined(t *testing.T, dsn, config string, now time.Time, args ...string) (code int, found []symptom, errs string) {
	t.Helper()
	var out, err bytes.Buffer
	env := &environment{in: strings.NewReader(""), out: &out, err: &err, now: func() time.Time { return now }, lookup: func(name string) (string, bool) { return dsn, name == "DATABASE_URL" && dsn != "" }}
	code = run(t.Context(), env, append([]string{"doctor", "-o", "json", "--config", writeFile(t, "muster.yaml", config)}, args...))
	if e := json.Unmarshal(out.Bytes(), &found); e != nil {
		t.Fatalf("%v: %s%s", e, out.String(), err.String())
	}
	return code, found, err.String()
}

// The doctor finds each trouble by its name, says what to do, and finds nothing where there
// is none.
func TestDoctor(t *testing.T) {
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}}})
	config := `
sources: [{name: web, write_key: k}]
destinations: [{name: mixpanel, settings: {token: ` + testToken + `, base_url: "` + fake.URL() + `"}}]
audiences:
  - {name: Buyers, query: event('Bought').count() >= 1}
  - {name: Of late, query: event('Bought').within(1 day).count() >= 1}
`
	for _, c := range []struct {
		name, trouble  string // a statement
		config         string
		later          time.Duration
		args           []string
		severity       severity
		subject, text  string
		remedy         string
		without, empty bool
	}{
		{name: "nothing"},
		{name: "online", args: []string{"--online"}},
		{name: "a wrong token", args: []string{"--online"}, config: strings.Replace(config, testToken, "n0-such", 1), severity: problem, subject: "destination mixpanel", text: "project token", remedy: "muster destination check mixpanel"},
		{name: "a mistake in the file", config: "listen: 8080\ndatabase: '%'", severity: problem, subject: "configuration", text: "muster.yaml:1: listen", remedy: "docs/configuration.md"},
		{name: "a refused definition", config: config + "  - {name: Odd, query: cuont()}\n", severity: problem, subject: "configuration", text: "odd is refused", remedy: "muster query check"},
		{name: "a deleted key", trouble: `UPDATE computations SET status = 'deleted', deleted_at = now() WHERE key = 'buyers'`, severity: problem, subject: "definitions", text: "buyers is refused", remedy: "muster plan"},
		{name: "a file that is ahead", trouble: `UPDATE computations SET key = 'formerly' WHERE key = 'buyers'`, severity: remark, subject: "definitions", text: "not computed yet: buyers", remedy: "muster apply"},
		{name: "an open address", config: "listen: 0.0.0.0:8080\n" + config, severity: remark, subject: "configuration", text: "/metrics can be read", remedy: "proxy"},
		{name: "no database", without: true, severity: problem, subject: "database", remedy: "DATABASE_URL"},
		{name: "no schema", empty: true, severity: warning, subject: "schema", text: "migrations pending", remedy: "muster migrate up"},
		{name: "a halted destination", trouble: `UPDATE destinations SET halted_reason = 'the token is wrong'`, severity: problem, subject: "destination mixpanel", text: "the token is wrong", remedy: "muster delivery resume mixpanel"},
		{name: "a paused destination", trouble: `UPDATE destinations SET paused = true`, severity: warning, subject: "destination mixpanel", text: "paused", remedy: "muster delivery resume mixpanel"},
		{name: "a failing lane", trouble: `UPDATE queue_positions SET attempt = 4, last_reason = 'no route' WHERE lane = 3`, severity: warning, subject: "destination mixpanel", text: "1 of its lanes fail: no route"},
		{
			name: "dead letters", trouble: `INSERT INTO dead_letters (destination_id, lane, seq, kind, code, reason, connection_id, bucket, profile_id, form, ids, value, told, at, reason_told, attempts, died_at)
			SELECT destination_id, 0, 1, 'rejected', 'c', 'r', 1, 0, 1, 'identify', 'user:u', 'true', 1, '2026-01-01', 'entered', 1, '2026-01-01' FROM destinations`,
			severity: warning, subject: "destination mixpanel", text: "1 dead letter with the kind rejected", remedy: "muster delivery dead-letters --destination mixpanel --kind rejected",
		},
		{
			name: "dead letters of suppressed people", trouble: `INSERT INTO dead_letters (destination_id, lane, seq, kind, code, reason, connection_id, bucket, profile_id, form, ids, value, told, at, reason_told, attempts, died_at)
			SELECT destination_id, 0, 1, 'rejected', 'suppressed', 'r', 1, 0, 1, 'identify', 'user:u', 'true', 1, '2026-01-01', 'entered', 1, '2026-01-01' FROM destinations`,
			severity: remark, subject: "destination mixpanel", text: "1 message of people who are suppressed",
		},
		{name: "a stale lane", trouble: `UPDATE queue_positions SET owner = 'dead', lease_until = '2026-01-01' WHERE lane = 3`, severity: warning, subject: "leases", text: "left by a process that died"},
		{name: "a stale slot", trouble: `INSERT INTO slots (schedule, slot, status, owner, lease_until, attempt, missed, started_at) VALUES ('0 * * * *', '2026-01-01', 'running', 'dead', '2026-01-01', 1, 0, '2026-01-01')`, severity: warning, subject: "leases", text: "begun by a process that died"},
		{name: "a failing slot", trouble: `INSERT INTO slots (schedule, slot, status, owner, lease_until, attempt, missed, started_at, error) VALUES ('0 * * * *', '2099-01-01', 'failed', 'x', '2026-01-01', 5, 0, '2026-01-01', 'out of disk')`, severity: problem, subject: "computations", text: "has failed 5 times: out of disk"},
		{name: "a late computation", later: 3 * time.Hour, severity: problem, subject: "computations", text: "of_late is", remedy: "muster serve"},
		{name: "a clock that is wrong", later: 3 * time.Minute, severity: problem, subject: "clock", text: "differs from the database's", remedy: "NTP"},
		{name: "a timeout", trouble: `ALTER ROLE CURRENT_USER IN DATABASE %s SET statement_timeout = '5s'`, severity: warning, subject: "setting statement_timeout", text: "it is 5s", remedy: "= 0"},
		{name: "isolation", trouble: `ALTER DATABASE %s SET default_transaction_isolation = 'serializable'`, severity: warning, subject: "setting default_transaction_isolation", text: "serializable"},
		{name: "no writes", trouble: `ALTER DATABASE %s SET default_transaction_read_only = on`, severity: problem, subject: "database", text: "takes no writes"},
		{name: "a whole log", config: config + "  - {name: Funnel, query: \"event('Bought').where(event('Seen').count() >= 1).count() >= 1\"}\nretention: {events: 30 days}\n", severity: warning, subject: "retention", text: "funnel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config == "" {
				c.config = config
			}
			dsn := pgtest.DSN(t)
			switch {
			case c.without:
				dsn = "postgres://127.0.0.1:1/nothing?connect_timeout=2"
			case c.empty:
				dsn = pgtest.Empty(t)
			case !strings.Contains(c.config, "8080\ndatabase"):
				served(t, dsn, c.config)
			}
			if c.trouble != "" {
				pool := database(t, dsn)
				if _, err := pool.Exec(t.Context(), strings.ReplaceAll(c.trouble, "%s", one[string](t, pool, `SELECT quote_ident(current_database())`))); err != nil {
					t.Fatal(err)
				}
			}
			code, found, errs := examined(t, dsn, c.config, time.Now().Add(c.later), c.args...)
			problems, seen := 0, false
			for _, s := range found {
				if s.Severity == problem {
					problems++
				}
				seen = seen || s.Severity == c.severity && s.Subject == c.subject && strings.Contains(s.Text, c.text) && strings.Contains(s.Remedy, c.remedy)
				if (s.Severity == problem || s.Severity == warning) && (c.severity == "" || c.severity == remark && s.Subject == c.subject) {
					// The databases of tests trade safety for speed.
					if s.Subject != "setting fsync" && s.Subject != "setting full_page_writes" && s.Subject != "setting synchronous_commit" && s.Subject != "setting autovacuum" {
						t.Errorf("it finds %+v", s)
					}
				}
			}
			if c.severity != "" && !seen {
				t.Errorf("not found among %+v", found)
			}
			if want := map[bool]int{true: exitFailed, false: exitOK}[problems > 0]; code != want {
				t.Errorf("exit code %d with %d problems: %s", code, problems, errs)
			}
			if text := strings.Join([]string{errs}, ""); strings.Contains(text, testToken) {
				t.Error("it shows a secret")
			}
		})
	}
}

// A destination that nobody may tell is no sign that no muster serve runs.
func TestDoctorMissesNoProcessWhereNoneMayDeliver(t *testing.T) {
	config := "destinations: [{name: mixpanel, settings: {token: " + testToken + "}}]\n"
	dsn := pgtest.DSN(t)
	served(t, dsn, config)
	missed := func() bool {
		_, found, _ := examined(t, dsn, config, time.Now())
		return slices.ContainsFunc(found, func(s symptom) bool { return s.Subject == "processes" })
	}
	if !missed() {
		t.Error("nothing serves, and the doctor does not say so")
	}
	if _, err := database(t, dsn).Exec(t.Context(), `UPDATE destinations SET paused = true`); err != nil {
		t.Fatal(err)
	}
	if missed() {
		t.Error("the doctor takes a pause for the absence of muster serve")
	}
}

// served serves a configuration until all is computed that it defines.
func served(t *testing.T, dsn, config string) {
	t.Helper()
	r := background(t, map[string]string{"DATABASE_URL": dsn}, "serve", "--config", writeFile(t, "muster.yaml", config), "--listen", "127.0.0.1:0")
	r.serving(t)
	pool := database(t, dsn)
	eventually(t, "all is computed", func() bool {
		return one[int](t, pool, `SELECT count(*) FROM inspect.computations WHERE status <> 'live'`) == 0
	})
	if code := r.wait(t); code != exitOK {
		t.Fatalf("serve ended with %d", code)
	}
}
