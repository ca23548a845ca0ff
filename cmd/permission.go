package cmd

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"husk/db"
)

func (a *app) permissionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "permission",
		Short: "List what a role or a token can be given",
		RunE:  group,
	}
	cmd.AddCommand(a.permissionListCommand())
	return cmd
}

func (a *app) permissionListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the permissions and what they allow, by category and resource",
		Long: `List the permissions and what they allow, by category and resource: those of Husk
itself, and those that a role names for the applications behind it. A permission
is written category#resource/action; * is all of them.`,
		Example: `  husk permission list
  husk permission list --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error { return a.permissionList(cmd.Context(), s) })
		},
	}
}

func (a *app) permissionList(ctx context.Context, s *session) error {
	all, err := s.Permissions(ctx)
	if err != nil {
		return err
	}
	if a.settings.JSON {
		return a.printJSON(all)
	}
	rows := [][]string{}
	for _, p := range all {
		rows = append(rows, []string{p.ID, cmp.Or(p.Description, "for an application: a role names it")})
	}
	return a.table([]column{{name: "PERMISSION"}, {name: "ALLOWS TO", least: 12}}, rows)
}

// printGrants prints permissions by what they are for, a line for each category
// and resource with its actions.
func (a *app) printGrants(keys []string) error {
	rows := [][]string{}
	for _, key := range slices.Sorted(slices.Values(keys)) {
		category, resource, action := db.SplitPermission(key)
		if n := len(rows); n > 0 && rows[n-1][0] == category && rows[n-1][1] == resource {
			rows[n-1][2] += " " + action
			continue
		}
		rows = append(rows, []string{category, resource, action})
	}
	return a.table([]column{{name: "CATEGORY"}, {name: "RESOURCE"}, {name: "ACTIONS"}}, rows)
}
