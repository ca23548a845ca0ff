package cmd

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// printHelp leads with examples: what a command is for, how it is called, and
// then the rest of what there is to know.
func printHelp(cmd *cobra.Command, _ []string) {
	w := &strings.Builder{}
	what, more, _ := strings.Cut(strings.TrimSpace(cmp.Or(cmd.Long, cmd.Short)), "\n\n")
	section(w, "", what)
	section(w, "Examples:", cmd.Example)
	section(w, "", more)
	section(w, "Usage:", usageLines(cmd))
	if len(cmd.Aliases) > 0 {
		section(w, "Aliases:", "  "+cmd.NameAndAliases())
	}
	section(w, "Available Commands:", commandLines(cmd))
	section(w, "Flags:", cmd.LocalFlags().FlagUsages())
	section(w, "Global Flags:", cmd.InheritedFlags().FlagUsages())
	if !strings.Contains(cmd.Long, "Exit codes:") {
		section(w, "", exitLine)
	}
	if cmd.HasAvailableSubCommands() {
		section(w, "", "'"+cmd.CommandPath()+" COMMAND --help' tells more of each.")
	}
	fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(w.String()))
}

const exitLine = "Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 exists or conflict, 5 denied,\n6 locked, unreachable or busy, 7 invalid or damaged, 8 attention, 130 interrupted; see 'husk --help'."

// section writes a part that is not empty, and an empty line behind it.
func section(w io.Writer, title, text string) {
	text = strings.TrimRight(text, " \n")
	switch {
	case text == "":
	case title == "":
		fmt.Fprintf(w, "%s\n\n", text)
	default:
		fmt.Fprintf(w, "%s\n%s\n\n", title, text)
	}
}

func usageLines(cmd *cobra.Command) string {
	group, own := "  "+cmd.CommandPath()+" COMMAND [flags]", "  "+cmd.UseLine()
	switch {
	case !cmd.HasAvailableSubCommands():
		return own
	case cmd.Use == cmd.Name():
		return group
	}
	return own + "\n" + group // it does something itself, too
}

func commandLines(cmd *cobra.Command) string {
	var lines strings.Builder
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			fmt.Fprintf(&lines, "  %-*s %s\n", c.NamePadding(), c.Name(), c.Short)
		}
	}
	return lines.String()
}

// examples are those of commands that have none where they are defined, by the
// path without the program's name.
var examples = map[string]string{
	"user":            "  husk user create ann@example.com --role admin\n  husk user list",
	"user show":       "  husk user show ann@example.com",
	"user disable":    "  husk user disable ann@example.com",
	"user enable":     "  husk user enable ann@example.com",
	"user unlock":     "  husk user unlock ann@example.com",
	"user delete":     "  husk user delete ann@example.com",
	"token":           "  husk token create --name backup --expires 90d\n  husk token list\n  husk token revoke backup",
	"token show":      "  husk token show backup\n  husk token show backup --json",
	"session":         "  husk session list --user ann@example.com\n  husk session revoke --user ann@example.com --all",
	"permission":      "  husk permission list",
	"permission list": "  husk permission list\n  husk permission list --json",
	"session list":    "  husk session list\n  husk session list --user ann@example.com",
	"role":            "  husk role list\n  husk role set reader --permission generic#security:user/read",
	"role list":       "  husk role list\n  husk role list --json",
	"role show":       "  husk role show admin",
	"role delete":     "  husk role delete reader",
	"rule":            "  husk rule list\n  husk rule test --url https://wiki.example.com/ --user ann@example.com",
	"rule list":       "  husk rule list\n  husk rule list --json",
	"key":             "  husk key list\n  husk key rotate",
	"key list":        "  husk key list",
	"key rotate":      "  husk key rotate\n  husk key rotate --now",
	"audit":           "  husk audit list --since 24h\n  husk audit verify",
	"audit head":      "  husk audit head | ssh elsewhere 'cat >> husk-heads'",
	"compact":         "  husk compact",
	"config":          "  husk config show\n  husk config check /etc/husk/husk.yaml",
	"proxy":           "  husk proxy probe https://grafana.example.com/",
	"completion":      "  source <(husk completion bash)",
}

// exemplify gives them to root's commands.
func exemplify(root *cobra.Command) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Example = cmp.Or(cmd.Example, examples[strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")])
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(root)
}
