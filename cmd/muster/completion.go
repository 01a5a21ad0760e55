package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"muster/store"
)

// completionTimeout bounds for how long a shell waits for what the database knows.
const completionTimeout = 2 * time.Second

// lister reads what an argument may be.
type lister func(*store.Store, context.Context) ([]string, error)

// listed is what may stand for a word in the usage of a command; nil: it is not known, as with
// the names of things that are to be made.
func listed(cmd *cobra.Command, word string) lister {
	group := cmd.Parent().Name()
	switch word {
	case "KEY":
		kind := ""
		if group == string(audiences.Purpose) || group == string(traits.Purpose) {
			kind = group
		}
		return func(s *store.Store, ctx context.Context) ([]string, error) { return s.Keys(ctx, kind) }
	case "SOURCE":
		return (*store.Store).SourceNames
	case "DESTINATION":
		return (*store.Store).DestinationNames
	case "NAME":
		switch {
		case cmd.Name() == "create":
		case group == "source":
			return (*store.Store).SourceNames
		case group == "destination":
			return (*store.Store).DestinationNames
		case group == "token":
			return (*store.Store).TokenNames
		}
	}
	return nil
}

// completeArguments lets shells complete the arguments of all commands below one, and the flags
// that name what the database has.
func completeArguments(env *environment, parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		completeArguments(env, cmd)
		words := strings.Fields(cmd.Use)[1:]
		if cmd.HasSubCommands() || cmd.ValidArgsFunction != nil || cmd.DisableFlagParsing {
			continue
		}
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
			if len(words) == 0 || len(args) >= len(words) && !strings.Contains(words[len(words)-1], "...") {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			word := strings.Trim(words[min(len(args), len(words)-1)], "[].")
			is := func(what string) bool { return slices.Contains(strings.Split(word, "|"), what) }
			switch {
			case is("FILE") && (cmd.Name() == "plan" || cmd.Name() == "apply" || cmd.Name() == "test"):
				return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
			case is("FILE"):
				return nil, cobra.ShellCompDirectiveDefault
			case is("FOLDER"):
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return env.complete(cmd, listed(cmd, word), start, args), cobra.ShellCompDirectiveNoFileComp
		}
		for flag, list := range map[string]lister{"source": (*store.Store).SourceNames, "destination": (*store.Store).DestinationNames} {
			if cmd.Flags().Lookup(flag) == nil {
				continue
			}
			_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
				return env.complete(cmd, list, start, nil), cobra.ShellCompDirectiveNoFileComp
			}) // fails only where the flag is not, or has one already
		}
	}
}

// complete asks the database that the command would work on for what begins like this, without
// what is named already. Where none answers in time, or only a private one could be started, it is nothing.
func (env *environment) complete(cmd *cobra.Command, list lister, start string, named []string) []string {
	if list == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	var db databaseFlags
	db.config, _ = cmd.Flags().GetString("config") // what a command has no flag for is empty
	db.database, _ = cmd.Flags().GetString("database")
	c, err := db.loadForDatabase(env, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil
	}
	address := db.address(env, c)
	if address == "" {
		return nil
	}
	s, err := store.Open(ctx, address)
	if err != nil {
		return nil
	}
	defer s.Close()
	names, err := list(s, ctx)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, start) || slices.Contains(named, name) })
}
