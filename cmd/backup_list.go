package cmd

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) backupListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the backups that the server keeps of itself, the newest first",
		Long: `List the backups that the running server keeps of itself in backup-dir, the
newest first: those that it makes by schedule, and those that somebody asked it for.
What 'husk backup' wrote elsewhere is not among them.

STATE is what the server could see of the file: whole, encrypted, damaged or
unreadable. That it can be restored a restore tells, into another folder.

It asks the server: where none runs it ends with 6, and with 3 where the server
keeps none.`,
		Example: `  husk backup list
  husk backup list --json`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.use(cmd.Context(), false, func(s *session) error { return a.backupList(cmd.Context(), s) })
		},
	}
}

func (a *app) backupList(ctx context.Context, s *session) error {
	if s.offline {
		return &failure{code: exitBusy, what: "no server runs on " + s.data + ", and only a running server knows where it keeps its backups",
			next: "ask it when it runs; until then look into its backup-dir, which 'husk config show' tells"}
	}
	kept, err := s.Backups(ctx)
	if err != nil {
		return err
	}
	if !kept.Kept {
		return &failure{code: exitNotFound, what: "the server keeps no backups of itself", next: "give it a backup-dir, or make one with 'husk backup --output FILE'"}
	}
	if more := kept.Total - len(kept.Files); more > 0 {
		a.warn("these are the newest %d of %d", len(kept.Files), kept.Total)
	}
	if a.settings.JSON {
		return a.printJSON(kept.Files)
	}
	rows := [][]string{}
	for _, f := range kept.Files {
		rows = append(rows, a.backupRow(f))
	}
	return a.table([]column{{name: "NAME"}, {name: "MADE", least: dateWide, rank: 3}, {name: "SIZE"}, {name: "BY", rank: 2}, {name: "STATE"},
		{name: "USERS", rank: 4}, {name: "TOKENS", rank: 5}, {name: "VERSION", least: 7, rank: 6}}, rows)
}

func (a *app) backupRow(f api.BackupFile) []string {
	by, users, tokens := "schedule", "-", "-"
	if f.Asked {
		by = "request"
	}
	if f.Manifest == "ok" {
		users, tokens = strconv.FormatInt(f.Users, 10), strconv.FormatInt(f.Tokens, 10)
	}
	return []string{f.Name, a.timeText(f.Made), byteText(f.Bytes), by, backupState(f.Manifest), users, tokens, orDash(f.Version)}
}

// backupState is what the server could see of a backup, in words.
func backupState(manifest string) string {
	switch manifest {
	case "ok":
		return "whole"
	case "sealed":
		return "encrypted"
	case "bad":
		return "damaged"
	}
	return "unreadable"
}
