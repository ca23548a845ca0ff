package cmd

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"husk/db"
	"husk/web/api"
)

type passwdOptions struct {
	email    string
	stdin    bool
	generate bool
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
It is never an argument: other users of the machine could see it. --generate
makes one, prints it, and has it changed at the next sign-in; with --json it
stands in the answer as "password".

With --server, without --token-file and on a terminal, it is one's own password that
is changed: it asks for the present one, for the code of the second factor where
there is one, and for the new password twice. It signs in with these, and out again.
With a token it ends with 5: an API token can change no password.`,
		Example: `  husk passwd
  husk passwd ann@example.com
  husk passwd ann@example.com --generate
  husk passwd ann@example.com --server https://id.example.com
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
	cmd.Flags().BoolVar(&o.generate, "generate", false, "make a password, print it, and have it changed at the next sign-in")
	cmd.MarkFlagsMutuallyExclusive("password-stdin", "generate")
	return cmd
}

func (a *app) passwd(ctx context.Context, o passwdOptions) error {
	if a.changesOwn(o) {
		return a.passwdOwn(ctx, o.email)
	}
	if a.settings.Server != "" && o.email == "" {
		return &failure{code: exitDenied, what: "one's own password can't be changed with an API token: that needs a session",
			next: "run 'husk passwd' on the machine where husk runs, or on a terminal without --token-file: it signs in with the old password"}
	}
	in := api.UserUpdate{GeneratePassword: o.generate}
	if !o.generate {
		pass, err := a.newPassword(o.stdin)
		if err != nil {
			return err
		}
		in.Password = &pass
	}
	who := cmp.Or(o.email, db.SingleUser)
	return a.use(ctx, true, func(s *session) error {
		out, err := s.UpdateUser(ctx, who, in)
		if err != nil {
			return absentUser(err, who)
		}
		said := "The password of " + printable(who) + " is set; its sessions have ended. API tokens stay: 'husk token revoke' ends them."
		if out.KeptOut != "" {
			said += "\nNobody signs in with it yet: " + keptOutText(out.KeptOut) + "."
		}
		switch {
		case o.generate:
			return a.deliverPassword(ctx, out, who, said)
		case a.settings.JSON:
			return a.printJSON(out)
		}
		a.say("%s", said)
		return nil
	})
}

// deliverPassword hands over a password that was generated. One that could not be shown
// can't be taken back: the one before it is gone.
func (a *app) deliverPassword(ctx context.Context, out api.UserUpdated, who, said string) error {
	if out.Password == "" {
		return &failure{code: exitFailure, what: "the server made no password: it is of an older husk that does not know --generate",
			next: "nothing was changed; set one with --password-stdin, or install this version there"}
	}
	err := a.showPassword(ctx, out, said)
	if err == nil {
		return nil
	}
	next := "make another: husk passwd --generate"
	if who != db.SingleUser {
		next = "make another: husk passwd " + printable(who) + " --generate"
	}
	return notGivenOut(err, "the password of "+printable(who)+" was replaced, and the new one", "", next)
}

func (a *app) showPassword(ctx context.Context, out api.UserUpdated, said string) error {
	if err := ctx.Err(); err != nil {
		return err // nobody waits for it any more
	}
	if a.settings.JSON {
		return a.giveOutJSON(out)
	}
	a.say("%s", said)
	a.say("The password below is shown this once, and has to be changed at the next sign-in.")
	return a.giveOut(out.Password + "\n")
}
