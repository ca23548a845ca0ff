package cmd

import (
	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "List and rotate the keys that sign sessions",
		RunE:  group,
	}
	cmd.AddCommand(a.keyListCommand(), a.keyRotateCommand())
	return cmd
}

func (a *app) keyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the signing keys, without their secrets",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.use(ctx, false, func(s *session) error {
				header := []column{{name: "ID"}, {name: "SIGNS"}, {name: "CREATED", least: dateWide, rank: 2}, {name: "RETIRED", least: dateWide, rank: 1}, {name: "ENDS", least: dateWide}}
				return printAll(a, api.All(ctx, api.ListOptions{}, s.SearchKeys), header, func(k api.Key) []string {
					return []string{k.ID, yesNo(k.Signing), a.timeText(k.Created), a.optionalTimeText(k.Retired), a.optionalTimeText(k.Ends)}
				})
			})
		},
	}
}

func (a *app) keyRotateCommand() *cobra.Command {
	var in api.RotateKey
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new signing key, which signs from now on",
		Long: `Make a new signing key, which signs from now on, without a restart. The one before
it verifies until the last session that it signed has expired. With --now it
verifies nothing any more: every session ends, everybody signs in again. API
tokens are not signed and stay.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Now {
				if err := a.confirm("End every session now?"); err != nil {
					return err
				}
			}
			return a.use(cmd.Context(), false, func(s *session) error {
				out, err := s.RotateKey(cmd.Context(), in)
				if err != nil {
					return err
				}
				return a.done(out, "Key %s signs from now on.", out.ID)
			})
		},
	}
	cmd.Flags().BoolVar(&in.Now, "now", false, "end what the keys before it have signed")
	a.yesFlag(cmd.Flags())
	return cmd
}
