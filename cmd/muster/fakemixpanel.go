package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"muster/mixpanel/mixpaneltest"
)

func newFakeMixpanel(env *environment) *cobra.Command {
	var listen, token, idMerge string
	var keep int
	cmd := &cobra.Command{
		Use: "fake-mixpanel", Short: "Play Mixpanel on this machine, to try Muster without a project",
		Long: `Fake-mixpanel answers as Mixpanel's ingestion API does, validates as strictly, and
keeps profiles and events in memory. Set a destination's base_url to its address.
GET / lists the pages by which one looks inside.`,
		Example: `  muster fake-mixpanel
  curl 'http://127.0.0.1:8099/_fake/profile?token=demo&distinct_id=kim'`,
		Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := mixpaneltest.Options{
				Projects:   []mixpaneltest.Project{{Token: token, IDMerge: mixpaneltest.IDMerge(idMerge)}},
				KeepEvents: keep,
			}
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			s := mixpaneltest.NewServer(o)
			url, err := s.Start(listen)
			if err != nil {
				return err
			}
			fmt.Fprintf(env.out, "playing Mixpanel at %s (token %s); stop with Ctrl-C\n", url, token)
			<-cmd.Context().Done()
			err = s.Close()
			if v := s.Violations(); len(v) > 0 {
				fmt.Fprintf(env.err, "%d violations of Mixpanel's rules, the first: %v\n", len(v), v[0])
				return errors.Join(err, failure{exitFailed})
			}
			return err
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8099", "`address`")
	cmd.Flags().StringVar(&token, "token", "demo", "project token that is accepted")
	cmd.Flags().StringVar(&idMerge, "id-merge", "legacy", "how the project joins ids: legacy, original or simplified")
	cmd.Flags().IntVar(&keep, "keep-events", 1_000_000, "how many events are kept, the newest; 0 keeps all")
	return cmd
}
