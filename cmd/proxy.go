package cmd

import "github.com/spf13/cobra"

func (a *app) proxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Attack what is deployed, as a stranger would",
		Long: `Husk protects an application behind a proxy that asks it about each request, or
as the proxy itself. 'husk proxy probe' attacks what was made of that.`,
		RunE: group,
	}
	cmd.AddCommand(a.proxyProbeCommand())
	return cmd
}
