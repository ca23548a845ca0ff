package cmd

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Make, show, change, import and delete users",
		RunE:  group,
	}
	cmd.AddCommand(
		a.userCreateCommand(), a.userListCommand(), a.userShowCommand(), a.userUpdateCommand(),
		a.userSwitchCommand("disable", true), a.userSwitchCommand("enable", false), a.userUnlockCommand(),
		a.userResetFactorCommand(), a.userDeleteCommand(), a.userImportCommand(),
	)
	return cmd
}

type userCreateOptions struct {
	email      string
	name       string
	roles      []string
	stdin      bool
	generate   bool
	noPassword bool
	ifMissing  bool
}

func (a *app) userCreateCommand() *cobra.Command {
	var o userCreateOptions
	cmd := &cobra.Command{
		Use:     "create EMAIL",
		Aliases: []string{"add"},
		Short:   "Make a user",
		Long: `Make a user. On a terminal the password is asked for; --generate makes one,
prints it, and has it changed at the first sign-in. Without a terminal that is
what happens unless the password is piped in.

A user with --no-password can't sign in and may own API tokens: a robot.

With --json it prints the user; one that --if-missing found there has the result
"noop" instead of "created", and no password.`,
		Example: `  husk user create ann@example.com --role admin
  husk user create ci@example.com --no-password --if-missing`,
		Args: one("the EMAIL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.email = args[0]
			return a.userCreate(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "the name (default: the email's local part)")
	f.StringArrayVar(&o.roles, "role", nil, "a role; may be repeated (default: user)")
	f.BoolVar(&o.stdin, "password-stdin", false, "read the password from one line of stdin")
	f.BoolVar(&o.generate, "generate", false, "make a password, print it, and have it changed at the first sign-in")
	f.BoolVar(&o.noPassword, "no-password", false, "the user can't sign in and may own API tokens")
	f.BoolVar(&o.ifMissing, "if-missing", false, "a user with that email is left as it is")
	cmd.MarkFlagsMutuallyExclusive("password-stdin", "generate", "no-password")
	return cmd
}

func (a *app) userCreate(ctx context.Context, o userCreateOptions) error {
	in := api.NewUser{Email: o.email, Name: o.name, Roles: o.roles, NoPassword: o.noPassword}
	_, asks := a.terminal()
	if o.stdin || (asks && !o.generate && !o.noPassword) {
		var err error
		if in.Password, err = a.newPassword(o.stdin); err != nil {
			return err
		}
	}
	return a.use(ctx, true, func(s *session) error {
		out, err := s.CreateUser(ctx, in)
		if o.ifMissing && conflicts(err, "email_taken") {
			return a.unchanged(ctx, s, o.email)
		}
		if err != nil {
			return err
		}
		return a.deliverUser(ctx, s, out)
	})
}

// deliverUser tells of a new user. One whose password could not be shown is
// deleted again: nobody could sign in as them.
func (a *app) deliverUser(ctx context.Context, s *session, out api.UserCreated) error {
	err := a.showUser(ctx, out)
	if err == nil || out.Password == "" {
		return err
	}
	ctx, done := lastWord(ctx)
	defer done()
	what := printable(out.Email) + " was made, and the password"
	if _, undone := s.DeleteUser(ctx, out.User.ID); undone != nil && !gone(undone) {
		return notGivenOut(err, what, "", "set another: husk passwd "+printable(out.Email))
	}
	return notGivenOut(err, what, "; the user is deleted again", "try again")
}

func (a *app) showUser(ctx context.Context, out api.UserCreated) error {
	if a.settings.JSON {
		return a.giveOutJSON(out)
	}
	a.say("%s is made.", printable(out.Email))
	if out.Password == "" {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err // nobody waits for it any more
	}
	a.say("The password below is shown this once, and has to be changed at the first sign-in.")
	return a.giveOut(out.Password + "\n")
}

// unchanged reports a user who was there already.
func (a *app) unchanged(ctx context.Context, s *session, email string) error {
	a.say("%s is there already; nothing was changed.", printable(email))
	if !a.settings.JSON {
		return nil
	}
	found, err := s.GetUser(ctx, email)
	if err != nil {
		return err
	}
	return a.printJSON(api.UserCreated{Result: api.Result{ID: found.ID, Result: "noop"}, User: found.Source})
}

// conflicts tells whether the server refused because of what is there.
func conflicts(err error, code string) bool {
	var answer *api.Error
	return errors.As(err, &answer) && answer.Status == http.StatusConflict && answer.Detail.Code == code
}

func (a *app) userListCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List users, the newest first",
		Example: `  husk user list
  husk user list --role admin
  husk user list --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("role") && role == "" {
				return usage("--role is empty", "name a role: see 'husk role list'")
			}
			return a.userList(cmd.Context(), role)
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "only those who have this role")
	return cmd
}

func (a *app) userList(ctx context.Context, role string) error {
	list := api.ListOptions{Filter: map[string]string{"role": role}}
	return a.use(ctx, false, func(s *session) error {
		header := []column{{name: "EMAIL", least: 16}, {name: "NAME", least: 8, rank: 5}, {name: "ROLES", least: 8, rank: 1}, {name: "STATE"},
			{name: "SECOND FACTOR", rank: 3}, {name: "CREATED", least: dateWide, rank: 6}, {name: "LAST LOGIN", least: dateWide, rank: 2}, {name: "ID", least: 9, rank: 4}}
		err := printAll(a, having(role, api.All(ctx, list, s.SearchUsers)), header, func(u api.User) []string {
			return []string{orDash(u.Email), u.Name, listText(u.Roles), userState(u), listText(u.SecondFactor), a.timeText(u.Created), a.optionalTimeText(u.LastLogin), u.ID}
		})
		if role == "" {
			return err
		}
		return absent(err, "role", role)
	})
}

// having are those who have a role. It looks, too, where the server has looked: one
// that does not know the filter lists all, and who counts its administrators by it
// would count everybody.
func having(role string, hits iter.Seq2[api.Hit[api.User], error]) iter.Seq2[api.Hit[api.User], error] {
	if role == "" {
		return hits
	}
	return func(yield func(api.Hit[api.User], error) bool) {
		for hit, err := range hits {
			has := slices.Contains(hit.Source.Roles, role)
			if (err != nil || has) && !yield(hit, err) {
				return
			}
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func userState(u api.User) string {
	switch {
	case u.Disabled:
		return "disabled"
	case u.Throttled != nil:
		return "throttled"
	}
	return "enabled"
}

func (a *app) userShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show EMAIL",
		Short: "Show a user",
		Args:  one("the EMAIL or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				out, err := s.GetUser(cmd.Context(), args[0])
				if err != nil {
					return absentUser(err, args[0])
				}
				u := out.Source
				if a.settings.JSON {
					return a.printJSON(u)
				}
				return a.pairs("email", orDash(u.Email), "name", u.Name, "id", u.ID, "roles", listText(u.Roles),
					"state", userState(u), "second factor", listText(u.SecondFactor), "created", a.timeText(u.Created), "updated", a.timeText(u.Updated), "last login", a.optionalTimeText(u.LastLogin), "throttled until", a.optionalTimeText(u.Throttled))
			})
		},
	}
}

func (a *app) userDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete EMAIL",
		Aliases: []string{"remove", "rm"},
		Short:   "Delete a user, with all sessions and tokens",
		Args:    one("the EMAIL or id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirm("Delete " + printable(args[0]) + "? Their sessions and API tokens end with them."); err != nil {
				return err
			}
			return a.use(cmd.Context(), false, func(s *session) error {
				out, err := s.DeleteUser(cmd.Context(), args[0])
				if err != nil {
					return absentUser(err, args[0])
				}
				return a.done(out, "%s is deleted.", args[0])
			})
		},
	}
	a.yesFlag(cmd.Flags())
	return cmd
}

// done reports a change of one thing.
func (a *app) done(out api.Result, format, what string) error {
	if a.settings.JSON {
		return a.printJSON(out)
	}
	a.say(format, printable(what))
	return nil
}
