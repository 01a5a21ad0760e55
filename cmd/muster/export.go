package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"muster/app"
	"muster/config"
	"muster/engine"
	"muster/query"
	"muster/store"
)

func newExport(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "export [FOLDER]", Short: "Write what is computed as configuration files",
		Long: `Export writes the audiences and traits that are computed now as a file on standard output,
or, given a folder, as a file for each: audiences/KEY.yaml and traits/KEY.yaml, which muster
apply takes back without a change. Files that are there already are written anew. Settings
of destinations, write keys and identity rules are not in the database, so they are not
written.`,
		Example: `  muster export > definitions.yaml
  muster export definitions/`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				definitions, err := app.Definitions(cmd.Context(), s)
				if err != nil {
					return err
				}
				if len(args) == 0 {
					text, err := config.Export(definitions)
					if err == nil {
						_, err = unshown(env.out).Write(text)
					}
					return err
				}
				for _, def := range definitions {
					if err := exportTo(args[0], def); err != nil {
						return err
					}
				}
				fmt.Fprintf(env.err, "%d definitions written to %s\n", len(definitions), args[0])
				return nil
			})
		},
	}
	db.add(cmd)
	return cmd
}

// exportTo writes a definition to its file in a folder.
func exportTo(folder string, def engine.Definition) error {
	kind := "traits"
	if def.Kind == query.Audience {
		kind = "audiences"
	}
	text, err := config.Export([]engine.Definition{def})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, kind), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, kind, def.Key+".yaml"), text, 0o644)
}
