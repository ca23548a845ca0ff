package cmd

import (
	"context"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/web/api"
)

type passwdOptions struct {
	email string
	stdin bool
}

func (a *app) passwdCommand() *cobra.Command {
	var o passwdOptions
	cmd := &cobra.Command{
		Use:   "passwd [EMAIL]",
		Short: "Set a password: the single user's, or that of EMAIL",
		Long: `Set a password: the single user's, or that of EMAIL. All sessions of that user
end, and the device cookies by which Husk knows the user's browsers; API tokens
stay ('husk token revoke' ends them).

The password is asked for twice on a terminal, or read from one line of stdin.
It is never an argument: other users of the machine could see it.`,
		Example: `  husk passwd
  husk passwd ann@example.com
  head -c 24 /dev/urandom | base64 | tee first-password | husk passwd --password-stdin`,
		Args: atMostOne("the EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.email = args[0]
			}
			return a.passwd(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.stdin, "password-stdin", false, "read the password from one line of stdin")
	return cmd
}

func (a *app) passwd(ctx context.Context, o passwdOptions) error {
	if a.settings.Server != "" && o.email == "" {
		return &failure{code: exitDenied, what: "one's own password can't be changed with an API token: that needs a session",
			next: "run 'husk passwd' on the machine where husk runs, or change it after a sign-in"}
	}
	pass, err := a.newPassword(o.stdin)
	if err != nil {
		return err
	}
	who := o.email
	if who == "" {
		who = db.SingleUser
	}
	return a.use(ctx, true, func(s *session) error {
		out, err := s.UpdateUser(ctx, who, api.UserUpdate{Password: &pass})
		if err != nil {
			return absentUser(err, who)
		}
		said := "The password of %s is set; its sessions have ended. API tokens stay: 'husk token revoke' ends them."
		if out.KeptOut != "" {
			said += "\nNobody signs in with it yet: " + keptOutText(out.KeptOut) + "."
		}
		return a.done(out.Result, said, who)
	})
}
