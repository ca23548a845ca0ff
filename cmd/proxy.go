package cmd

import "github.com/spf13/cobra"

// proxyCommand groups what is for the proxy that stands between browsers and an
// application. None of it needs a store.
func (a *app) proxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Set up the proxy before an application, and attack what was made of it",
		Long: `A proxy that stands before an application can ask Husk about each request: who
is not signed in is led to the sign-in, and who may not is refused, without a line
in the application. 'husk proxy config' prints its configuration; 'husk proxy probe'
attacks a deployment, as a stranger would.`,
		Example: `  husk proxy config nginx --app wiki.example.com=http://127.0.0.1:8080 >/etc/nginx/nginx.conf
  husk proxy probe https://wiki.example.com`,
		RunE: group,
	}
	cmd.AddCommand(a.proxyConfigCommand(), a.proxyProbeCommand())
	return cmd
}
