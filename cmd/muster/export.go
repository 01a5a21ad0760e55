package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
		Use: "export [FOLDER]", Short: "Write what the database has as configuration files",
		Long: `Export writes sources, identity rules, destinations, audiences and traits as they are now
as a file on standard output, or, given a folder, as files: sources.yaml, identity.yaml,
destinations.yaml, and one for each audience and trait, audiences/KEY.yaml and
traits/KEY.yaml. Muster apply takes them back without a change. Files that are there
already are written anew.

Secrets are not stored, so they are not written. The write key of a source is left out, which
keeps the one that it has. The secrets of a destination are written as the variables of the
environment that have them. Where one stood in a file in clear all are left out, and that
is said: a destination without a token keeps its secrets. In another database, sources
need a key (muster source rotate) and such a destination its secrets.`,
		Example: `  muster export > definitions.yaml
  muster export definitions/`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				definitions, err := app.Definitions(cmd.Context(), s)
				if err != nil {
					return err
				}
				kept, err := s.Kept(cmd.Context())
				if err != nil {
					return err
				}
				file, err := config.ExportKept(kept)
				if err != nil {
					return err
				}
				if len(args) == 0 {
					of := config.Export(definitions)
					file.Audiences, file.Traits = of.Audiences, of.Traits
					text, err := file.Text()
					if err == nil {
						_, err = unshown(env.out).Write(text)
					}
					if err != nil {
						return err
					}
				} else {
					if err := exportFolder(args[0], file, definitions); err != nil {
						return err
					}
					fmt.Fprintf(env.err, "%d definitions written to %s, with sources, identity rules and destinations\n", len(definitions), args[0])
				}
				if len(file.Keeping) > 0 {
					fmt.Fprintf(env.err, "Without their secrets, which stood in a file in clear: %s. Applied here they keep them; elsewhere give them as ${NAME}.\n",
						strings.Join(file.Keeping, ", "))
				}
				return nil
			})
		},
	}
	db.add(cmd)
	return cmd
}

// exportFolder writes each part and each definition to a file of its own.
func exportFolder(folder string, file *config.ExportFile, definitions []engine.Definition) error {
	parts := map[string]*config.ExportFile{}
	if len(file.Sources) > 0 {
		parts["sources.yaml"] = &config.ExportFile{Sources: file.Sources}
	}
	if file.Identity != nil {
		parts["identity.yaml"] = &config.ExportFile{Identity: file.Identity}
	}
	if len(file.Destinations) > 0 {
		parts["destinations.yaml"] = &config.ExportFile{Destinations: file.Destinations}
	}
	for _, def := range definitions {
		kind := "traits"
		if def.Kind == query.Audience {
			kind = "audiences"
		}
		parts[filepath.Join(kind, def.Key+".yaml")] = config.Export([]engine.Definition{def})
	}
	for name, part := range parts {
		text, err := part.Text()
		if err != nil {
			return err
		}
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
