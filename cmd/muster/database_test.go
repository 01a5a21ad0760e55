package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/pgtest"
)

// A command that needs nothing of a configuration but where the database is warns of mistakes
// in it, if that is said elsewhere; others refuse it.
func TestFaultyConfiguration(t *testing.T) {
	dsn := pgtest.DSN(t)
	const broken, faulty, elsewhere, unset = "audiences: [", "listen: 8080\nemit: x\n", "listen: 8080\ndatabase: postgres://127.0.0.1:1/another\n", "sources: [{name: web, write_key: \"${NOT_SET}\"}]\n"
	list := []string{"audience", "list"}
	for _, c := range []struct {
		name, text    string
		args          []string
		database, url bool // --database, and DATABASE_URL
		code          int
	}{
		{"a mistake", faulty, list, true, false, exitOK},
		{"the environment", faulty, list, false, true, exitOK},
		{"not YAML", broken, list, true, false, exitOK},
		{"a variable that is not set", unset, list, false, true, exitOK},
		{"migrate", faulty, []string{"migrate", "status"}, true, false, exitOK},
		{"nobody names a database", faulty, list, false, false, exitFailed},
		{"the file may name another", broken, list, false, true, exitFailed},
		{"the file names another", elsewhere, list, false, true, exitFailed},
		{"the file names another, and so does the flag", elsewhere, list, true, true, exitOK},
		{"plan", faulty, []string{"plan"}, true, false, exitFailed},
		{"apply", faulty, []string{"apply", "--yes"}, true, false, exitFailed},
		{"verify", faulty, []string{"verify"}, true, false, exitFailed},
		{"import", faulty, []string{"import", "-"}, true, false, exitFailed},
		{"serve", faulty, []string{"serve"}, true, false, exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			env := &environment{
				in: strings.NewReader(""), out: &out, err: &errs, now: time.Now,
				lookup: func(name string) (string, bool) {
					if name == "DATABASE_URL" && c.url {
						return dsn, true
					}
					return "", false
				},
			}
			args := append(slices.Clip(c.args), "--config", writeFile(t, "muster.yaml", c.text))
			if c.database {
				args = append(args, "--database", dsn)
			}
			if code := run(t.Context(), env, args); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			warns := strings.Contains(errs.String(), "the configuration has mistakes, and is not used")
			if !strings.Contains(errs.String(), "muster.yaml:") || warns != (c.code == exitOK) {
				t.Errorf("it says %s", errs.String())
			}
		})
	}
}
