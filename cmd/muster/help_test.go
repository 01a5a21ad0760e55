package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command explains itself, and every flag says what it is for.
func TestHelpOfEveryCommand(t *testing.T) {
	seen := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		seen++
		name := cmd.CommandPath()
		t.Run(name, func(t *testing.T) {
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("its one line is %q", cmd.Short)
			}
			for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
				if len(line) > 101 {
					t.Errorf("a line of its help is longer than 100 characters: %s", line)
				}
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" {
					t.Errorf("nothing says what --%s is for", f.Name)
				}
			})
			var out, errs bytes.Buffer
			env := &environment{in: strings.NewReader(""), out: &out, err: &errs, lookup: func(string) (string, bool) { return "", false }, now: time.Now}
			if code := run(t.Context(), env, append(strings.Fields(name)[1:], "--help")); code != exitOK || errs.Len() > 0 {
				t.Fatalf("exit code %d: %s", code, errs.String())
			}
			if !strings.Contains(out.String(), "Usage:\n  "+name) {
				t.Errorf("no usage in its help:\n%s", out.String())
			}
		})
	}
	visit(newRoot(&environment{}))
	if seen < 15 {
		t.Errorf("only %d commands were found", seen)
	}
}
