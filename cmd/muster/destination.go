package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/config"
	"muster/mixpanel"
)

// checkTimeout bounds what a check waits for Mixpanel.
const checkTimeout = time.Minute

func newDestination(env *environment) *cobra.Command {
	cmd := &cobra.Command{Use: "destination", Short: "Look at the destinations of the configuration"}
	group(cmd, newDestinationCheck(env))
	return cmd
}

func newDestinationCheck(env *environment) *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use: "check NAME", Short: "Prove a destination's credentials without leaving traces",
		Long: `Check asks Mixpanel whether it knows the credentials of a destination, with requests
that store nothing. What Mixpanel gives no way to prove is named, and so are the
mistakes about which Mixpanel is silent: a wrong region, an unknown token, a project
whose way of joining ids is another one, group keys that are not set up.

Exit code 1 means that something has failed.`,
		Example: `  muster destination check mixpanel --config muster.yaml
  muster destination check mixpanel --config definitions/`,
		Args: exactly(1, "the name of one destination"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := (&databaseFlags{config: path}).load(env)
			if err != nil {
				return err
			}
			settings, ok := c.MixpanelSettings()[args[0]]
			if !ok {
				return fmt.Errorf("there is no destination %q in %s; there is: %s", args[0], path, destinationNames(c))
			}
			d, err := mixpanel.NewDestination(settings, nil)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), checkTimeout)
			defer cancel()
			findings := d.Check(ctx)
			if err := showFindings(env, findings, output); err != nil {
				return err
			}
			if !mixpanel.Passed(findings) {
				return failure{exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", config.File, "configuration `file`, or folder of files")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func destinationNames(c *config.Config) string {
	if len(c.Destinations) == 0 {
		return "none"
	}
	names := make([]string, len(c.Destinations))
	for i, d := range c.Destinations {
		names[i] = d.Name
	}
	return strings.Join(names, ", ")
}

func showFindings(env *environment, findings []mixpanel.Finding, output string) error {
	if output == "json" {
		return env.printJSON(findings)
	}
	for _, f := range findings {
		fmt.Fprintf(env.out, "%-10s  %s: %s\n", f.Standing, f.Subject, f.Text)
	}
	return nil
}
