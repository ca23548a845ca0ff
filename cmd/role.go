package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) roleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "role",
		Short: "List, show, set and delete roles",
		RunE:  group,
	}
	cmd.AddCommand(a.roleListCommand(), a.roleShowCommand(), a.roleSetCommand(), a.roleDeleteCommand())
	return cmd
}

func (a *app) roleListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List roles and what they grant",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.use(ctx, false, func(s *session) error {
				list := api.ListOptions{Sort: "name:asc"}
				return printAll(a, api.All(ctx, list, s.SearchRoles), []column{{name: "NAME", least: 20}, {name: "BUILT IN", rank: 3}, {name: "SECOND FACTOR", rank: 1}, {name: "GRANTS", least: 12}, {name: "DESCRIPTION", least: 12, rank: 2}}, func(r api.Role) []string {
					return []string{r.Name, builtinText(r), policyText(r), listText(slices.Sorted(slices.Values(r.Grants.Permissions))), orDash(r.Description)}
				})
			})
		},
	}
}

func builtinText(r api.Role) string {
	if r.Builtin {
		return "yes"
	}
	return "no"
}

// policyText says what sessions of who holds a role have to prove.
func policyText(r api.Role) string {
	if r.RequireSecondFactor {
		return "required"
	}
	return "-"
}

func (a *app) roleShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a role",
		Args:  one("the NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				out, err := s.GetRole(cmd.Context(), args[0])
				if err != nil {
					return absent(err, "role", args[0])
				}
				r := out.Source
				if a.settings.JSON {
					return a.printJSON(r)
				}
				return a.printRole(r, everything(cmd.Context(), s, r))
			})
		},
	}
}

// printRole prints a role, and what it grants by what that is for; all is what
// one that grants everything does, where that is known.
func (a *app) printRole(r api.Role, all []string) error {
	grants, keys := "nothing", r.Grants.Permissions
	switch n := len(keys); {
	case slices.Contains(keys, "*"):
		grants, keys = "everything (*)", all
	case n > 0:
		grants = counted(n, "permission")
	}
	err := a.pairs("name", r.Name, "description", orDash(r.Description), "built in", builtinText(r),
		"second factor", policyText(r), "created", a.timeText(r.Created), "grants", grants)
	if err != nil || len(keys) == 0 {
		return err
	}
	fmt.Fprintln(a.stdout)
	return a.printGrants(keys)
}

// counted is a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// everything returns the permissions that there are, for a role that grants
// them all and to one who may know them.
func everything(ctx context.Context, s *session, r api.Role) (keys []string) {
	if !slices.Contains(r.Grants.Permissions, "*") {
		return nil
	}
	all, err := s.Permissions(ctx)
	if err != nil {
		return nil
	}
	for _, p := range all {
		keys = append(keys, p.ID)
	}
	return keys
}

type roleSetOptions struct {
	name        string
	permissions []string
	none        bool
	description string
	factor      bool
}

func (a *app) roleSetCommand() *cobra.Command {
	var o roleSetOptions
	cmd := &cobra.Command{
		Use:   "set NAME --permission KEY... | --no-permissions | --require-second-factor",
		Short: "Make a role, or replace what it grants and requires",
		Long: `Make a role, or replace what it grants: the permissions given are all that it has
afterwards. It is effective at the next request of everybody who has it. No two
names differ in upper and lower case alone.

--require-second-factor has sessions of everybody who has the role do nothing but
set up a second factor while they have none; --require-second-factor=false takes
that back. Alone it changes a role that is there, and leaves what it grants. It is
the one thing that can be changed of a built-in role. API tokens are not asked.

A permission is category#resource/action. 'husk permission list' tells those of
Husk itself; those for the applications behind it are any other that a role names.
generic# and coco# are for Husk's own: what is none of them there, or only like
one, is refused.`,
		Example: `  husk role set reader --permission generic#security:user/search --permission generic#security:user/read
  husk role set wiki-editor --permission wiki#page/edit --description "may edit the wiki"
  husk role set wiki-editor --no-permissions
  husk role set admin --require-second-factor`,
		Args: one("the NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			o.permissions = withoutEmpty(o.permissions)
			switch some := len(o.permissions) > 0; {
			case some && o.none:
				return usage("--permission and --no-permissions exclude each other", "name what the role grants, or that it grants nothing")
			case !some && !o.none && (!cmd.Flags().Changed("require-second-factor") || cmd.Flags().Changed("permission")):
				return usage("husk role set needs --permission", "name what the role grants; --no-permissions for nothing")
			}
			return a.roleSet(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.permissions, "permission", nil, "a permission that the role grants; may be repeated")
	f.BoolVar(&o.none, "no-permissions", false, "the role grants nothing, and nothing any more")
	f.BoolVar(&o.factor, "require-second-factor", false, "sessions of who has the role need a second factor")
	f.StringVar(&o.description, "description", "", "what the role is for")
	return cmd
}

func (a *app) roleSet(cmd *cobra.Command, o roleSetOptions) error {
	ctx := cmd.Context()
	in := api.RoleChange{NoPermissions: o.none}
	if len(o.permissions) > 0 {
		in.Grants = &api.Grants{Permissions: o.permissions}
	}
	if cmd.Flags().Changed("require-second-factor") {
		in.RequireSecondFactor = &o.factor
	}
	if cmd.Flags().Changed("description") {
		in.Description = &o.description
	}
	return a.use(ctx, false, func(s *session) error {
		out, err := setRole(ctx, s, o.name, in)
		if err != nil {
			return err
		}
		return a.done(out, "Role %s is set.", o.name)
	})
}

// setRole changes the role, or makes it where it is not there. One of which nobody says
// what it grants is mistyped.
func setRole(ctx context.Context, s *session, name string, in api.RoleChange) (api.Result, error) {
	out, err := s.UpdateRole(ctx, name, in)
	if !gone(err) || in.Grants == nil && !in.NoPermissions {
		return out, absent(err, "role", name)
	}
	in.Name = name
	return s.CreateRole(ctx, in)
}

func (a *app) roleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "delete NAME",
		Aliases: []string{"remove", "rm"},
		Short:   "Delete a role that nobody has",
		Args:    one("the NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.use(cmd.Context(), false, func(s *session) error {
				out, err := s.DeleteRole(cmd.Context(), args[0])
				if err != nil {
					return absent(err, "role", args[0])
				}
				return a.done(out, "Role %s is deleted.", args[0])
			})
		},
	}
}

// gone is what a look-up answers for a thing that is not there.
func gone(err error) bool { return isStatus(err, http.StatusNotFound) }

// absent says which thing it is that is not there, where err says no more
// than that something is not.
func absent(err error, what, name string) error {
	var answer *api.Error
	if !errors.As(err, &answer) || answer.Detail.Code != "not_found" || name == "" {
		return err // also a 404 of what is no husk
	}
	return &failure{code: exitNotFound, err: err, what: "there is no " + what + " " + printable(name), next: "see 'husk " + what + " list'"}
}

func absentUser(err error, who string) error { return absent(err, "user", who) }

// isStatus tells whether the server refused with that status.
func isStatus(err error, status int) bool {
	var answer *api.Error
	return errors.As(err, &answer) && answer.Status == status
}
