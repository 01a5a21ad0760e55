package main

import (
	"context"
	"log/slog"

	"muster/config"
	"muster/engine"
	"muster/identity"
	"muster/store"
)

// changesOf is what a configuration says of sources, identity rules and destinations, and
// what that changes.
func changesOf(c *config.Config, kept *store.Kept) (stored store.Configuration, changes []config.Change, rewrites bool, err error) {
	if err = c.CheckSources(kept.Sources); err != nil {
		return stored, nil, false, err
	}
	if stored, err = c.Stored(kept); err != nil {
		return stored, nil, false, err
	}
	changes, rewrites, err = config.Changes(kept, stored)
	return stored, changes, rewrites, err
}

// configure does with the sources, identity rules and destinations of a program's own
// configuration what muster apply does with those of a file, and logs it.
func configure(ctx context.Context, env *environment, s *store.Store, c *config.Config, log *slog.Logger) error {
	kept, err := s.Kept(ctx)
	if err != nil {
		return err
	}
	stored, changes, rewrites, err := changesOf(c, kept)
	if err != nil || len(changes) == 0 && !rewrites {
		return err
	}
	if _, err := s.Configure(ctx, stored, env.now()); err != nil {
		return err
	}
	for _, change := range changes {
		level := slog.LevelInfo
		if change.Action == engine.ActionRemove {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "the configuration changes something", "action", change.Action, "part", change.Part, "name", change.Name,
			"fields", fieldNames(change.Fields))
	}
	return nil
}

func fieldNames(fields []config.FieldChange) []string {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.Field)
	}
	return names
}

// asApplied is a configuration with the identity rules and destinations that the database
// has. What is wrong with a destination is logged; it is left out.
func asApplied(ctx context.Context, env *environment, s *store.Store, c *config.Config, log *slog.Logger) (*config.Config, int64, error) {
	kept, err := s.Kept(ctx)
	if err != nil {
		return nil, 0, err
	}
	r, faults := c.Running(kept, env.lookup)
	for _, fault := range faults {
		log.Error("a destination is not as it was applied", "error", fault)
	}
	return r, kept.Revision, nil
}

// identityRules are those that the database has: all that is needed for work that tells
// destinations nothing itself.
func identityRules(ctx context.Context, s *store.Store) (identity.Settings, error) {
	kept, err := s.Kept(ctx)
	if err != nil {
		return identity.Settings{}, err
	}
	return config.KeptIdentity(kept)
}
