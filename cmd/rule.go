package cmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"husk/web/api"
)

func (a *app) ruleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rule",
		Short: "List the access rules of the gate, and try them",
		Long: `List the access rules of the gate, and try them. They stand under gate in the
configuration file; what these commands show are the rules of the running
server, and where none runs those of the file that the command itself was given
by --config or HUSK_CONFIG.`,
		RunE: group,
	}
	cmd.AddCommand(a.ruleListCommand(), a.ruleTestCommand())
	return cmd
}

func (a *app) ruleListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the rules, in the order in which they are asked",
		Long: `List the rules, in the order in which they are asked: the first that fits a
request decides, and what none fits is refused. It warns of permissions that no
role grants, and of roles that there are not.`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.useRules(cmd.Context(), func(s *session) error { return a.ruleList(cmd.Context(), s) })
		},
	}
}

// useRules is use for what shows the rules: where no server has them, those of the
// file have to be right.
func (a *app) useRules(ctx context.Context, f func(*session) error) error {
	return a.use(ctx, false, func(s *session) error {
		if _, faults := a.gateRules(); s.offline && len(faults) > 0 {
			return a.refuse(faults)
		}
		return f(s)
	})
}

func (a *app) ruleList(ctx context.Context, s *session) error {
	rules, err := s.Rules(ctx)
	if err != nil {
		return err
	}
	a.warnOfRules(rules)
	if a.settings.JSON {
		return a.printJSON(rules)
	}
	rows := [][]string{}
	for _, r := range rules {
		rows = append(rows, []string{strconv.Itoa(r.Number), lineText(r.Line), r.Host, orDash(r.Path), listText(r.Methods), listText(r.From), strings.Join(r.Require, ","), moreText(r), orDash(r.Upstream)})
	}
	return a.table([]column{{name: "RULE"}, {name: "LINE", rank: 3}, {name: "HOST", least: 12}, {name: "PATH", least: 8}, {name: "METHODS", least: 8, rank: 1},
		{name: "FROM", least: 12, rank: 1}, {name: "REQUIRE", least: 12}, {name: "MORE", rank: 2}, {name: "UPSTREAM", least: 12, rank: 2}}, rows)
}

// warnOfRules tells of each word that nobody can meet, once.
func (a *app) warnOfRules(rules []api.Rule) {
	var told []string
	for _, r := range rules {
		for _, word := range r.Ungranted {
			if !slices.Contains(told, word) {
				told = append(told, word)
				a.warn("rule %d requires %s, and no role is or grants that", r.Number, printable(word))
			}
		}
	}
}

func lineText(line int) string {
	if line == 0 {
		return "-"
	}
	return strconv.Itoa(line)
}

func moreText(r api.Rule) string {
	var more []string
	if r.SecondFactor {
		more = append(more, "second factor")
	}
	if r.Preflight {
		more = append(more, "preflight")
	}
	return listText(more)
}

type ruleTestOptions struct{ url, method, user, from string }

func (a *app) ruleTestCommand() *cobra.Command {
	var o ruleTestOptions
	cmd := &cobra.Command{
		Use:   "test --url URL [--method M] [--user EMAIL | --token-file FILE] [--from ADDRESS]",
		Short: "Tell what the gate makes of a request, and why",
		Long: `Tell what the gate makes of a request, without one: the status with which it
answers a program, the rule that decides, and what fits or is missing. The
decision is made by the very code of the gate, in the running server where there
is one. Nothing is used or noted as used.

Who asks is --user, as if signed in, or the API token in --token-file; without
either nobody is. A rule with from fits only where --from gives the client's
address. Remote, with --user or without one, --token-file is the credential of the
command as everywhere; to try another token give that in HUSK_TOKEN_FILE.

It ends with 0 where the request is allowed, and with 5 where it is refused.

` + exitHelp,
		Example: `  husk rule test --url https://grafana.example.com/api/health
  husk rule test --url https://wiki.example.com/edit --method POST --user ann@example.com
  husk rule test --url https://grafana.example.com/ --token-file ci.token --from 10.0.0.7`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ruleTest(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.url, "url", "", "what is asked for, with scheme and host")
	f.StringVar(&o.method, "method", "GET", "method of the request")
	f.StringVar(&o.user, "user", "", "who asks (email or id), as if signed in")
	f.StringVar(&o.from, "from", "", "address of the client")
	cmd.MarkFlagsOneRequired("url")
	return cmd
}

func (a *app) ruleTest(ctx context.Context, o ruleTestOptions) error {
	in := api.RuleTest{URL: o.url, Method: o.method, User: o.user, From: o.from}
	file := a.testedTokenFile()
	if file != "" && o.user != "" && a.settings.Server == "" {
		return usage("--user and --token-file exclude each other", "see 'husk rule test --help'")
	}
	if file != "" && o.user == "" {
		text, err := a.readSecret(file, "the token to try", "API token: ")
		if err != nil {
			return readFailed("the token can't be read", err)
		}
		if in.AccessToken = strings.TrimSpace(string(text)); in.AccessToken == "" {
			return usage("the token file "+printable(file)+" is empty", "name one that holds an API token")
		}
		a.askWithOther(in.AccessToken)
	}
	var out api.RuleTested
	err := a.useRules(ctx, func(s *session) (err error) {
		out, err = s.TestRule(ctx, in)
		if o.user != "" {
			return absentUser(err, o.user)
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.reportTest(out)
}

// testedTokenFile is the file of the token that is tried: the one that is named on
// the command line. One of a variable or the configuration is for all commands, and
// says who asks.
func (a *app) testedTokenFile() string {
	if a.resolved.sourceOf("token-file") != fromFlag {
		return ""
	}
	return a.settings.TokenFile
}

// askWithOther has the command ask with the token that a variable or the file names
// for all commands, and else with the one that is tried.
func (a *app) askWithOther(tried string) {
	other := a.getenv(envName("token-file"))
	if file := a.resolved.file; other == "" && file != nil {
		other = text(file.set, "token-file")
	}
	if other == "" {
		a.token = &tried
		return
	}
	a.settings.TokenFile = other
}

func (a *app) reportTest(out api.RuleTested) error {
	var err error
	if a.settings.JSON {
		err = a.printJSON(out)
	} else {
		rule := "none"
		if out.Rule > 0 {
			rule = strconv.Itoa(out.Rule)
		}
		err = a.pairs("decision", out.Decision, "status", strconv.Itoa(out.Status), "rule", rule, "line", lineText(out.Line), "why", out.Why)
	}
	if err == nil && out.Decision != "allowed" {
		err = &failure{code: exitDenied, what: fmt.Sprintf("the request is refused: %s", out.Why)}
	}
	return err
}
