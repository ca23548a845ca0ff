package cmd

import "github.com/spf13/cobra"

func (a *app) userResetFactorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reset-second-factor EMAIL",
		Short: "Take away a user's second factor, for who lost it",
		Long: `Take away a user's second factor, for who lost it: the secret of their codes, their
passkeys and their recovery codes. Their sessions end, and they sign in with the
password alone, until they set up another one; where a role requires it, they can do
nothing before that. They are told at the next sign-in.

Make sure who asks: whoever has the password gets in from then on. API tokens stay.`,
		Example: `  husk user reset-second-factor ann@example.com`,
		Args:    one("the EMAIL or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm("Take away the second factor of " + printable(args[0]) + "? Whoever has the password gets in, and their sessions end."); err != nil {
				return err
			}
			return a.use(cmd.Context(), false, func(s *session) error {
				out, err := s.ResetSecondFactor(cmd.Context(), args[0])
				if err != nil {
					return absentUser(err, args[0])
				}
				return a.done(out, "The second factor of %s is gone; their sessions have ended. They sign in with the password alone until they set up another one.", args[0])
			})
		},
	}
	a.yesFlag(cmd.Flags())
	return cmd
}
