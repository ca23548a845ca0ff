package cmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// app is one run of the program: its streams, its environment and what its
// settings came to.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	getenv  func(string) string
	environ func() []string // all variables; nil: none are looked at
	goSum   string          // which the program was built by

	asJSON      bool               // errors are, also before the settings are known
	completing  bool               // for a shell, which is to hear of no trouble
	stdinFor    string             // what stdin was read for; "": nothing yet
	shown       *progress          // the last that was begun
	token       *string            // of --token-file, once it was read
	yes         bool               // nothing is asked that --yes answers
	interrupted <-chan struct{}    // closed by a signal
	tellService func(state string) // what a server tells the service manager of Windows; nil: there is none
	settings    settings
	resolved    *resolution // where the settings came from

	entered string   // see dir
	held    []string // paths by descriptor that were entered, each followed by its name
}

// Main runs the command line of the process and returns its exit code. GoSum is the
// go.sum that the program was built by.
func Main(goSum string) int {
	a := &app{goSum: goSum, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, environ: os.Environ}
	return a.runUntilTold(os.Args[1:])
}

func (a *app) run(ctx context.Context, args []string) int {
	a.interrupted = ctx.Done()
	err := interruptedBy(ctx, a.execute(ctx, args))
	if err != nil {
		a.printError(err, a.asJSON || a.settings.JSON)
		if s, ok := a.stderr.(*steady); ok {
			_ = s.drain(drainPatience)
		}
	}
	return exitCode(err)
}

func (a *app) execute(ctx context.Context, args []string) error {
	return a.guard(func() error {
		a.asJSON = a.wantsJSON(args)
		root := a.root()
		root.SetArgs(args)
		if completes(args) {
			root.SetErr(io.Discard) // a shell shows what is said there among what somebody types
		}
		return root.ExecuteContext(ctx)
	})
}

// guard runs a command, or a goroutine of one, and makes an error of its
// panic, after it has shown where that came from. The runtime would end the
// process with 2, which says that the command was called wrongly.
func (a *app) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(a.stderr, "%s\n", debug.Stack())
			err = &failure{code: exitFailure, what: fmt.Sprintf("husk itself is at fault: %v", p), next: "please report it with the lines above"}
		}
	}()
	return f()
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "husk",
		Short: "Accounts, sessions and API tokens for what you host yourself",
		Long: `Husk answers "who is asking, and may they?" for people with a password,
browsers with a session and programs with an API token. One binary, one file.

Every command works offline, beside the running server, and remote with
--server: it is the same request in all three.

` + exitHelp,
		Example: `  husk passwd                       set the password, before or after the first start
  husk serve                        serve on 127.0.0.1:9000
  husk token create --name backup   mint an API token and print it`,
		Version:           versionText(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
		Args:              cobra.ArbitraryArgs, // else cobra itself refuses, in its own words
		RunE:              group,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(printHelp)
	root.SetVersionTemplate("{{.Version}}\n")
	addGlobalFlags(root.PersistentFlags())
	root.AddCommand(
		a.serveCommand(), a.passwdCommand(), a.userCommand(), a.tokenCommand(),
		a.sessionCommand(), a.roleCommand(), a.permissionCommand(), a.ruleCommand(), a.keyCommand(), a.auditCommand(), a.explainCommand(),
		a.backupCommand(), a.restoreCommand(), a.checkCommand(), a.compactCommand(), a.healthCommand(), a.versionCommand(),
		a.manCommand(), a.configCommand(), a.proxyCommand(), a.bundleCommand(),
	)
	a.completionCommand(root)
	a.addCompletion(root)
	exemplify(root)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Run, help.RunE = nil, helpOn
	}
	return root
}

// helpOn is 'husk help COMMAND'. A command that there is not is a misuse here
// too.
func helpOn(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0 && about.HasSubCommands():
		return group(about, rest)
	}
	about.InitDefaultHelpFlag()
	return about.Help()
}

// prepare checks the flags against each other and fills the settings.
func (a *app) prepare(cmd *cobra.Command) error {
	if err := checkFlagGroups(cmd); err != nil {
		return err
	}
	return a.configure(cmd, a.resolve)
}

// group is what a command does that only has commands below it: help, or a
// hint where a name is mistyped.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	next := "see '" + cmd.CommandPath() + " --help'"
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		next = "did you mean '" + cmd.CommandPath() + " " + near[0] + "'?"
	}
	return usage("there is no command "+cmd.CommandPath()+" "+args[0], next)
}

// nearest returns the candidate that name was probably meant to be, or "",
// with cobra's own idea of nearness.
func nearest(name string, candidates []string) string {
	parent := &cobra.Command{}
	for _, c := range candidates {
		parent.AddCommand(&cobra.Command{Use: c, Run: func(*cobra.Command, []string) {}})
	}
	parent.SuggestionsMinimumDistance = 2
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		return near[0]
	}
	return ""
}

// none and one check the number of positional arguments.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd.CommandPath()+" takes no argument", "see '"+cmd.CommandPath()+" --help'")
	}
	return nil
}

func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" { // empty is what an unset variable leaves
			return usage(cmd.CommandPath()+" takes one argument: "+what, "see '"+cmd.CommandPath()+" --help'")
		}
		return nil
	}
}

func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 || (len(args) == 1 && args[0] == "") { // empty is not absent, which means another thing
			return usage(cmd.CommandPath()+" takes at most one argument: "+what, "see '"+cmd.CommandPath()+" --help'")
		}
		return nil
	}
}
