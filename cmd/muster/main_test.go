package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
)

// TestMain lets this test binary be the program too: scripts and tests run it under
// the name muster.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"muster": func() { os.Exit(mainExit()) },
	})
}

// TestCommands plays testdata/script: what the commands print and how they end. Each
// script has a database of its own, named by DATABASE_URL, an empty one at EMPTY_DATABASE_URL, and an imitation of Mixpanel at
// MIXPANEL_URL, whose project has the token in MIXPANEL_TOKEN.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			t := env.T().(testing.TB)
			fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}}})
			env.Setenv("DATABASE_URL", pgtest.DSN(t))
			env.Setenv("EMPTY_DATABASE_URL", pgtest.Empty(t))
			env.Setenv("MIXPANEL_URL", fake.URL())
			env.Setenv("MIXPANEL_TOKEN", testToken)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// testToken is a project token that looks like none of Mixpanel's.
const testToken = "t0ken-of-the-tests"

// exits runs a command that must end with an exit code: exits CODE COMMAND ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
