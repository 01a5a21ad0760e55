package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/store"
)

func newApply(env *environment) *cobra.Command {
	var db databaseFlags
	var f countFlags
	var output string
	var yes, empty bool
	cmd := &cobra.Command{
		Use: "apply [FILE|FOLDER]", Short: "Make what is computed the same as a configuration",
		Long: `Apply shows the plan (see muster plan), asks, and does it: it creates and edits audiences
and traits, and deletes those that the file or folder does not hold. A running muster serve
notices within seconds and computes what is new; an edited definition goes on as it was
until then. The last values of what is deleted stay as plain traits, and destinations are
told of it what its destination_cleanup says: nothing, unless you want it.

Sources, identity rules and destinations are applied in the same way, as far as the file
has them, and as muster serve does with its own configuration when it starts. The write key of a
source that has left the file works no more, but no source is ever deleted, and those
that were made by muster source are left alone. Secrets are not stored: muster serve finds
those that are written as ${NAME} in its own environment.

A second time it changes nothing. If one definition is refused, nothing is done.`,
		Example: `  muster apply
  muster apply definitions/
  muster apply definitions/ --yes -o json`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withConfiguredStore(cmd, env, func(s *store.Store) error {
				path := db.desiredPath(args)
				p, err := makePlan(cmd, env, s, path, &f, empty)
				if err != nil {
					return err
				}
				if p.empties() && !empty {
					return fmt.Errorf("%s holds no audience and no trait: to delete all that are computed, add --delete-all", path)
				}
				return p.apply(cmd, env, s, yes, output)
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	f.add(cmd)
	cmd.Flags().BoolVar(&f.none, "no-count", false, "do not count who would enter and leave")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&empty, "delete-all", false, "go on even if nothing is defined, and delete everything")
	return cmd
}

// apply shows a plan, asks, and does it.
func (p *planned) apply(cmd *cobra.Command, env *environment, s *store.Store, yes bool, output string) error {
	if output == "text" {
		p.print(env.out)
	}
	switch {
	case len(p.Refused()) > 0:
		if output == "json" {
			if err := env.printJSON(p.json(false)); err != nil {
				return err
			}
		}
		fmt.Fprintf(env.err, "muster: %v\n", app.ErrRefused)
		return failure{exitFailed}
	case p.Changes() && !yes:
		if err := env.agree(); err != nil {
			return err
		}
	}
	if p.Changes() || p.rewrites {
		if _, err := s.Configure(cmd.Context(), p.stored, env.now()); err != nil {
			return err
		}
	}
	if p.Changes() {
		if err := app.Apply(cmd.Context(), s, p.desired, p.Plan, env.now()); err != nil {
			return err
		}
	}
	if output == "json" {
		return env.printJSON(p.json(p.Changes()))
	}
	if p.Changes() {
		fmt.Fprintln(env.out, "Done. A running muster serve takes it up within seconds; muster run list shows how far it is with what it computes.")
	}
	return nil
}

// agree asks a person whether to go on. Where there is nobody to ask it is a usage error.
func (env *environment) agree() error {
	if in, ok := env.in.(*os.File); !ok || !terminal(in) {
		return usageError{errors.New("nobody can be asked: repeat it with --yes")}
	}
	fmt.Fprint(env.err, "Type yes to go on: ")
	answer, err := bufio.NewReader(env.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}
