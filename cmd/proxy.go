package cmd

import "github.com/spf13/cobra"

// proxyCommand groups what is for the proxy that stands between browsers and an
// application. Neither needs a store.
func (a *app) proxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Put Husk before an application, behind a proxy of one's own",
		RunE:  group,
	}
	cmd.AddCommand(a.proxyConfigCommand())
	return cmd
}
