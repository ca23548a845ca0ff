package cmd

import (
	"github.com/spf13/cobra"

	"husk/web/api"
)

type userUpdateOptions struct {
	name  string
	email string
	roles []string
}

func (a *app) userUpdateCommand() *cobra.Command {
	var o userUpdateOptions
	cmd := &cobra.Command{
		Use:   "update EMAIL",
		Short: "Change name, email or roles of a user",
		Long: `Change name, email or roles of a user. What a flag names is replaced, the rest
stays; --role names all roles that the user has afterwards. It is effective at
the next request of any session or token of that user. A new password is for
'husk passwd EMAIL', which makes one with --generate.`,
		Example: `  husk user update ann@example.com --role user --role reader
  husk user update ann@example.com --email ann@example.org`,
		Args: one("the EMAIL or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var in api.UserUpdate
			f := cmd.Flags()
			if f.Changed("name") {
				in.Name = &o.name
			}
			if f.Changed("email") {
				in.Email = &o.email
			}
			if f.Changed("role") {
				in.Roles = ptr(withoutEmpty(o.roles))
			}
			if in == (api.UserUpdate{}) {
				return usage("nothing to change was given", "see 'husk user update --help'")
			}
			return a.userChange(cmd, args[0], in, func(string) string { return "%s is changed." })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "the new name ('' for the email's local part)")
	f.StringVar(&o.email, "email", "", "the new email")
	f.StringArrayVar(&o.roles, "role", nil, "a role; may be repeated; '' for none")
	return cmd
}

// userChange changes a user; said says what that brought about, given what
// keeps them out yet.
func (a *app) userChange(cmd *cobra.Command, who string, in api.UserUpdate, said func(keptOut string) string) error {
	return a.use(cmd.Context(), false, func(s *session) error {
		out, err := s.UpdateUser(cmd.Context(), who, in)
		if err != nil {
			return absentUser(err, who)
		}
		return a.done(out.Result, said(keptOutText(out.KeptOut)), who)
	})
}

// keptOutText says what keeps a user out, and what ends that.
func keptOutText(why string) string {
	switch why {
	case "":
		return ""
	case "disabled":
		return "they are disabled: 'husk user enable' lets them in"
	case "no_password":
		return "they have no password: 'husk passwd' sets one"
	case "throttled":
		return "after wrong passwords they wait: 'husk user unlock' ends that"
	}
	return "something keeps them out yet: see 'husk user show'" // a newer server's
}

func enabledText(keptOut string) string {
	if keptOut != "" {
		return "%s is enabled; " + keptOut + "."
	}
	return "%s may sign in again."
}

func unlockedText(keptOut string) string {
	if keptOut != "" {
		return "%s waits no more; " + keptOut + "."
	}
	return "%s may try again at once. An address that too many wrong passwords came from still waits."
}

func (a *app) userSwitchCommand(verb string, disabled bool) *cobra.Command {
	short, said := "Let a user sign in again", enabledText
	if disabled {
		short = "Keep a user out: sessions end, tokens are refused, from the next request on"
		said = func(string) string { return "%s is disabled: sessions have ended, API tokens are refused." }
	}
	return &cobra.Command{
		Use:   verb + " EMAIL",
		Short: short,
		Args:  one("the EMAIL or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.userChange(cmd, args[0], api.UserUpdate{Disabled: &disabled}, said)
		},
	}
}

func (a *app) userUnlockCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unlock EMAIL",
		Short: "Let a user who is throttled after wrong passwords try again at once",
		Long: `Let a user who is throttled after wrong passwords try again at once. The wait of
an address from which too many came, for whatever accounts, goes on: it ends by
itself within the hour, and when the server is started anew.

The user's device cookies end, too, by which Husk knows a browser from which
somebody signed in before: one of them may have been where the wrong passwords
came from. The next sign-in sets a new one.`,
		Args: one("the EMAIL or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				out, err := s.UnlockUser(cmd.Context(), args[0])
				if err != nil {
					return absentUser(err, args[0])
				}
				return a.done(out, unlockedText(keptOutText(out.KeptOut)), args[0])
			})
		},
	}
}
