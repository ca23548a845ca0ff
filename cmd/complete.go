package cmd

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"husk/db"
	"husk/web/api"
	"husk/web/probe"
)

// Completion asks Husk as any other command does: offline, by socket, or
// remote. A shell waits for the answer while somebody types, so it gets what
// comes within completionPatience, and nothing else: no word on stderr, no
// store where there is none, no upgrade of an older one, nothing from stdin.
const (
	completionPatience = 150 * time.Millisecond
	completionMost     = 100 // candidates; who has more types another letter
)

// candidates are what may stand at a place, given how it begins.
type candidates func(a *app, ctx context.Context, begins string) []cobra.Completion

// argumentsOf tells what the arguments of a command are. What is not here takes
// files, or nothing.
var argumentsOf = map[string]candidates{
	"husk passwd":                   users,
	"husk user show":                users,
	"husk user update":              users,
	"husk user enable":              users,
	"husk user disable":             users,
	"husk user unlock":              users,
	"husk user delete":              users,
	"husk user reset-second-factor": users,
	"husk role show":                roles,
	"husk role set":                 roles,
	"husk role delete":              roles,
	"husk token show":               tokens,
	"husk token update":             tokens,
	"husk token rotate":             tokens,
	"husk token revoke":             tokens,
	"husk session show":             sessions,
	"husk session revoke":           sessions,
	"husk proxy probe":              words(),
	"husk proxy config":             words(proxyKinds...),
}

// valuesOfFlag tells what the values of a flag are, whichever command has it.
// A flag with another value than a file, and no list, offers nothing.
var valuesOfFlag = map[string]candidates{
	"user":       users,
	"owner":      users,
	"actor":      users,
	"target":     targets,
	"action":     words(db.Actions()...),
	"result":     words(auditResults...),
	"role":       roles,
	"permission": permissions,
	"method":     words("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
	"proxy":      words(probe.Proxies...),
	"filter":     words(tokenFilters...),
	"log-level":  words("debug", "info", "warn", "error"),
	"log-format": words("text", "json", "auto"),
}

// Flags whose value is a file, or a folder.
var (
	fileFlags = []string{"output", "token-file", "config", "server-ca", "tls-cert", "tls-key", "notify-command", "recipients-file", "identity-file", "htpasswd", "ndjson", "cert", "key", "verify"}
	dirFlags  = []string{"data", "backup-dir"}
)

// addCompletion puts the candidates of the tables above on all commands.
func (a *app) addCompletion(root *cobra.Command) {
	for _, cmd := range everyCommand(root) {
		if c := argumentsOf[cmd.CommandPath()]; c != nil {
			cmd.ValidArgsFunction = a.completeArguments(c)
		}
		each := func(f *pflag.Flag) { a.completeFlag(cmd, f) }
		cmd.LocalNonPersistentFlags().VisitAll(each)
		cmd.PersistentFlags().VisitAll(each)
	}
}

func everyCommand(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		all = append(all, everyCommand(child)...)
	}
	return all
}

func (a *app) completeFlag(cmd *cobra.Command, f *pflag.Flag) {
	list := valuesOfFlag[f.Name]
	switch {
	case slices.Contains(fileFlags, f.Name):
		return // which is what a shell offers by itself
	case slices.Contains(dirFlags, f.Name):
		_ = cmd.MarkFlagDirname(f.Name) // fails for an unknown flag alone
		return
	case list == nil:
		list = words()
	}
	_ = cmd.RegisterFlagCompletionFunc(f.Name, func(cmd *cobra.Command, _ []string, begins string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.candidatesFor(cmd, list, begins), cobra.ShellCompDirectiveNoFileComp
	})
}

// completeArguments offers what was not given yet to a command that takes more
// arguments.
func (a *app) completeArguments(list candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begins string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if cmd.Args != nil && cmd.Args(cmd, append(slices.Clip(args), "another")) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all := slices.DeleteFunc(a.candidatesFor(cmd, list, begins), func(c cobra.Completion) bool {
			word, _, _ := strings.Cut(c, "\t")
			return slices.Contains(args, word)
		})
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// candidatesFor asks for candidates, quietly.
func (a *app) candidatesFor(cmd *cobra.Command, list candidates, begins string) []cobra.Completion {
	a.stderr, a.completing = io.Discard, true
	if a.configure(cmd, a.resolve) != nil || !a.mayAsk() {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	var all []cobra.Completion
	for _, c := range list(a, ctx, begins) {
		if len(all) < completionMost && strings.HasPrefix(c, begins) {
			all = append(all, c)
		}
	}
	return all
}

// mayAsk tells whether asking takes nothing from the command that is yet to
// come, and shows its token to nobody: what would be read once is for the
// command, and in the open nobody would be warned.
func (a *app) mayAsk() bool {
	file := a.settings.TokenFile
	if a.settings.Server == "" || file == "" {
		return true
	}
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && !inTheOpen(a.settings.Server)
}

func words(all ...string) candidates {
	return func(*app, context.Context, string) []cobra.Completion { return all }
}

// inTime connects, makes candidates of what the server lists, and disconnects.
// What does not come in time is left out.
func inTime(a *app, ctx context.Context, list func(*session) []cobra.Completion) []cobra.Completion {
	s, err := a.connect(ctx, false)
	if err != nil {
		return nil
	}
	defer s.end()
	return list(s)
}

// described is a candidate with what a shell shows beside it.
func described(word, about string) cobra.Completion {
	if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' }) {
		return ""
	}
	return cobra.CompletionWithDesc(word, printable(about))
}

// search returns the page of a list that has what begins so. Names are found by
// the beginnings of their words; ids and what else is no word, on the first
// page.
func search[T any](list func(api.ListOptions) (api.Search[T], error), begins string) (all []T) {
	found, err := list(api.ListOptions{Size: completionMost, Query: begins})
	if err == nil && len(found.Hits.Hits) == 0 && begins != "" {
		found, err = list(api.ListOptions{Size: completionMost})
	}
	if err != nil {
		return nil
	}
	for _, hit := range found.Hits.Hits {
		all = append(all, hit.Source)
	}
	return all
}

// asked are the candidates of lists that are asked on one connection.
func asked(lists ...func(s *session, ctx context.Context, begins string) []cobra.Completion) candidates {
	return func(a *app, ctx context.Context, begins string) []cobra.Completion {
		return inTime(a, ctx, func(s *session) (all []cobra.Completion) {
			for _, list := range lists {
				all = append(all, list(s, ctx, begins)...)
			}
			return all
		})
	}
}

var (
	users    = asked(findUsers)
	roles    = asked(findRoles)
	tokens   = asked(findTokens)
	sessions = asked(findSessions)
	targets  = asked(findUsers, findRoles, findTokens) // what an entry of the audit log may be about
)

func findUsers(s *session, ctx context.Context, begins string) (all []cobra.Completion) {
	found := search(func(o api.ListOptions) (api.Search[api.User], error) { return s.SearchUsers(ctx, o) }, begins)
	for _, u := range found {
		all = append(all, described(cmp.Or(u.Email, u.ID), u.Name))
	}
	return all
}

func findRoles(s *session, ctx context.Context, begins string) (all []cobra.Completion) {
	found := search(func(o api.ListOptions) (api.Search[api.Role], error) { return s.SearchRoles(ctx, o) }, begins)
	for _, r := range found {
		all = append(all, described(r.Name, r.Description))
	}
	return all
}

// permissions are those that the server knows, with an operator's own, else
// Husk's.
func permissions(a *app, ctx context.Context, _ string) []cobra.Completion {
	all := inTime(a, ctx, func(s *session) (all []cobra.Completion) {
		known, _ := s.Permissions(ctx) // none, with an error
		for _, p := range known {
			all = append(all, p.ID)
		}
		return all
	})
	if len(all) == 0 {
		all = db.BuiltinPermissions()
	}
	return append(all, described(db.PermAll, "everything"))
}

// findTokens are names where one token alone has them, and ids for who began one.
func findTokens(s *session, ctx context.Context, begins string) (all []cobra.Completion) {
	found := search(func(o api.ListOptions) (api.Search[api.Token], error) { return s.SearchTokens(ctx, o) }, begins)
	times := map[string]int{}
	for _, t := range found {
		times[t.Name]++
	}
	for _, t := range found {
		if times[t.Name] == 1 {
			all = append(all, described(t.Name, t.ID))
		}
		if begins != "" || times[t.Name] > 1 {
			all = append(all, described(t.ID, t.Name))
		}
	}
	return all
}

func findSessions(s *session, ctx context.Context, begins string) (all []cobra.Completion) {
	found := search(func(o api.ListOptions) (api.Search[api.Session], error) { return s.SearchSessions(ctx, o) }, begins)
	for _, r := range found {
		all = append(all, described(r.ID, r.UserName+" from "+r.IP))
	}
	return all
}
