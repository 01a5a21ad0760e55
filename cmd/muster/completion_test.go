package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/pgtest"
)

// suggested are the words that a shell is offered, and what it is told to do with them.
func suggested(t *testing.T, variables map[string]string, args ...string) (words []string, errs string) {
	t.Helper()
	var out, err bytes.Buffer
	env := &environment{
		in: strings.NewReader(""), out: &out, err: &err, now: time.Now,
		lookup: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
	}
	if code := run(t.Context(), env, append([]string{"__complete"}, args...)); code != exitOK {
		t.Fatalf("completing %q ends with %d: %s", args, code, err.String())
	}
	return strings.Fields(out.String()), err.String()
}

// Keys and names are completed from the database that the command would work on.
func TestCompletion(t *testing.T) {
	dsn := pgtest.DSN(t)
	path := writeFile(t, "muster.yaml", `
sources: [{name: web, write_key: k}]
destinations: [{name: mixpanel, settings: {token: t}}, {name: second, settings: {token: u}}]
audiences:
  - {name: Buyers, query: event('Bought').count() >= 1}
  - {name: Browsers, query: event('Seen').count() >= 1}
traits: [{name: Spent, query: event('Bought').count()}]
`)
	env := map[string]string{"DATABASE_URL": dsn}
	commandIn(t, env, "apply", path, "--yes")
	commandIn(t, env, "source", "create", "app")
	commandIn(t, env, "token", "create", "dashboard")
	const noFiles, onlyKinds, files, folders = ":4", ":8", ":0", ":16"
	for _, c := range []struct {
		args string
		want string
	}{
		{"audience show ,", "browsers buyers " + noFiles},
		{"audience show bu", "buyers " + noFiles},
		{"audience show buyers ,", noFiles},
		{"audience list ,", noFiles},
		{"trait members ,", "spent " + noFiles},
		{"trait delete --config " + path + " ,", "spent " + noFiles},
		{"explain ,", "browsers buyers spent " + noFiles},
		{"explain buyers ,", noFiles},
		{"history s", "spent " + noFiles},
		{"verify buyers ,", "browsers spent " + noFiles},
		{"source rotate ,", "app web " + noFiles},
		{"source create ,", noFiles},
		{"debug ,", "app web " + noFiles},
		{"import --source ,", "app web " + noFiles},
		{"import ,", files},
		{"delivery pause ,", "mixpanel second " + noFiles},
		{"delivery dead-letters --destination s", "second " + noFiles},
		{"destination check ,", "mixpanel second " + noFiles},
		{"token delete ,", "dashboard " + noFiles},
		{"plan ,", "yaml yml " + onlyKinds},
		{"plan a.yaml ,", noFiles},
		{"test a.yaml ,", "yaml yml " + onlyKinds},
		{"export ,", folders},
		{"audience show --database " + dsn + "_not_there ,", noFiles},
	} {
		args := strings.Fields(c.args)
		if args[len(args)-1] == "," {
			args[len(args)-1] = "" // what is to be completed is empty
		}
		got, _ := suggested(t, env, args...)
		if diff := cmp.Diff(strings.Fields(c.want), got); diff != "" {
			t.Errorf("muster %s (-want +got):\n%s", c.args, diff)
		}
	}
}

// Where no database answers, a shell waits two seconds at most, and is told nothing; a private
// one is not started, and no folder made for it.
func TestCompletionWithoutADatabase(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	home := t.TempDir() + "/none"
	for name, variables := range map[string]map[string]string{
		"none is named":    {},
		"nobody is there":  {"DATABASE_URL": "postgres://127.0.0.1:1/nothing"},
		"it never answers": {"DATABASE_URL": "postgres://" + listener.Addr().String() + "/silent"},
		"no address":       {"DATABASE_URL": "not an address"},
	} {
		began := time.Now()
		got, errs := suggested(t, variables, "audience", "show", "--data", home, "")
		if diff := cmp.Diff([]string{":4"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("%s: it takes %s", name, took)
		}
		if strings.Contains(errs, "PostgreSQL") || strings.Contains(errs, "level") {
			t.Errorf("%s: %s", name, errs)
		}
	}
	if _, err := os.Stat(home); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made in the folder of the private PostgreSQL: %v", err)
	}
}
