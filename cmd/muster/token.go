package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"muster/store"
)

func newToken(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Say who may use the admin API and the Profile API",
		Long: `A token lets a program use the APIs of muster serve: one with the scope read may look at
everything, one with the scope write may also change it. It is stored as a hash and shown
once, when it is made. A running muster serve notices a change within a second.`,
	}
	group(cmd, newTokenCreate(env), newTokenList(env), newTokenDelete(env))
	return cmd
}

func newTokenCreate(env *environment) *cobra.Command {
	var db databaseFlags
	var output, scope string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a token, and show it",
		Example: `  muster token create dashboard
  TOKEN=$(muster token create deploy --scope write)`,
		Args: exactly(1, "the name of one token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s := store.Scope(scope); s != store.ScopeRead && s != store.ScopeWrite {
				return usageError{fmt.Errorf("--scope %s: use read or write", scope)}
			}
			return db.withStore(cmd, env, func(s *store.Store) error {
				token, err := s.CreateToken(cmd.Context(), args[0], store.Scope(scope), env.now())
				if err != nil {
					return err
				}
				if output == "json" {
					return env.printJSON(struct {
						Name  string `json:"name"`
						Scope string `json:"scope"`
						Token string `json:"token"`
					}{args[0], scope, token.Reveal()})
				}
				fmt.Fprintf(env.err, "The token %s follows. It cannot be shown again.\n", args[0])
				_, err = fmt.Fprintln(env.out, token.Reveal())
				return err
			})
		},
	}
	db.add(cmd)
	cmd.Flags().StringVar(&scope, "scope", string(store.ScopeRead), "what it may do: `read`, or write, which may read too")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func newTokenList(env *environment) *cobra.Command {
	var db databaseFlags
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens by name, without the secrets", Args: exactly(0, "nothing"),
		Example: "  muster token list -o csv",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				tokens, err := s.Tokens(cmd.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, t := range tokens {
					rows = append(rows, []string{t.Name, string(t.Scope), instantText(t.CreatedAt), instantOr(t.LastUsedAt, "-")})
				}
				return env.printTable(output, []string{"NAME", "SCOPE", "CREATED AT", "LAST USED AT"}, rows, orEmpty(tokens))
			})
		},
	}
	db.add(cmd)
	outputFlag(cmd, &output, "table", "json", "csv")
	return cmd
}

func newTokenDelete(env *environment) *cobra.Command {
	var db databaseFlags
	cmd := &cobra.Command{
		Use: "delete NAME...", Short: "End tokens",
		Example: `  muster token delete dashboard`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name the tokens; muster token list shows all")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return db.withStore(cmd, env, func(s *store.Store) error {
				for _, name := range args {
					if err := s.DeleteToken(cmd.Context(), name); err != nil {
						return err
					}
					fmt.Fprintf(env.out, "the token %s is at its end\n", name)
				}
				return nil
			})
		},
	}
	db.add(cmd)
	return cmd
}
