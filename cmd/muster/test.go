package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/spf13/cobra"

	"muster/internal/pgserver"
	"muster/lab"
	"muster/scenario"
)

func newTest(env *environment) *cobra.Command {
	var pattern, data string
	var verbose bool
	var parallel int
	cmd := &cobra.Command{
		Use: "test FILE...", Short: "Play scenarios: unit tests for audiences and traits",
		Long: `Test plays scenarios: what is defined, which calls come at which instants, who must then
be a member, and what must have been told. Each runs on the real engine with a fresh
database, an imitation of Mixpanel, and a controlled clock; nothing leaves this machine.
The last line counts what passed and failed; exit code 1 means that something failed.
The format is described in docs/testing.md.`,
		Example: `  muster test audiences_test.yaml
  muster test tests/*.yaml --run 'lapsed|refund' -v`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("muster test takes at least one scenario file")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o := scenario.Options{Parallel: parallel, Now: env.now}
			if pattern != "" {
				expr, err := regexp.Compile(pattern)
				if err != nil {
					return usageError{fmt.Errorf("--run: %w", err)}
				}
				o.Select = expr
			}
			return runScenarios(cmd.Context(), env, args, o, verbose, data)
		},
	}
	cmd.Flags().StringVar(&pattern, "run", "", "only scenarios whose id or name matches this `regexp`")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show what was sent at each step")
	cmd.Flags().IntVar(&parallel, "parallel", 0, "how many scenarios are played at a time; 0: twice the processors")
	cmd.Flags().StringVar(&data, "database", "", "PostgreSQL `address` (a URL) of a server where databases may be created; default: a private one in a temporary folder")
	return cmd
}

func runScenarios(ctx context.Context, env *environment, files []string, o scenario.Options, verbose bool, dsn string) (err error) {
	server, err := pgserver.Start(ctx, pgserver.Options{DSN: dsn, Throwaway: true, InMemory: true, Log: env.logger(slog.LevelWarn)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	l, err := lab.New(ctx, server.DSN())
	if err != nil {
		return err
	}
	o.Open = l.Open
	report, err := scenario.Run(ctx, files, o)
	if err != nil {
		return err
	}
	if err := report.Write(env.out, verbose); err != nil {
		return err
	}
	if _, failed := report.Count(); failed > 0 {
		return failure{exitFailed}
	}
	return nil
}
