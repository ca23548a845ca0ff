package cmd

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"husk/web/folder"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings, and check a configuration file",
		Long: `Every setting is a flag, a variable and a key of a YAML file, which --config or
HUSK_CONFIG names: --log-level, HUSK_LOG_LEVEL and log-level. A flag beats the
variable, which beats the file, which beats the default.`,
		RunE: group,
	}
	cmd.AddCommand(a.configShowCommand(), a.configCheckCommand())
	return cmd
}

func (a *app) configShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print every setting, its value, and where it comes from",
		Long: `Print a line for each setting: its name, its value (- where it is empty), and
flag, env, file or default. The flags of serve are taken too, to see what serve
would make of them. Asked for JSON it prints an array of {name, value, source};
a value is text, as a variable would hold it.

What serve would refuse it prints too, then says what is wrong, and ends as
serve would.`,
		Example: `  husk config show
  HUSK_CONFIG=husk.yaml husk config show --log-level debug`,
		Args: none,
		RunE: func(*cobra.Command, []string) error { return a.showConfig() },
	}
	addServeFlags(cmd.Flags())
	return cmd
}

// shownSetting is what --json prints for a setting.
type shownSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

func (a *app) showConfig() error {
	all := []shownSetting{}
	rows := [][]string{}
	j, faults := a.judge(slog.New(slog.DiscardHandler))
	for _, text := range j.warnings {
		a.warn("%s", text)
	}
	for _, s := range a.configuration().Settings {
		all = append(all, shownSetting{s.Name, s.Value, s.Source})
		rows = append(rows, []string{s.Name, cmp.Or(s.Value, "-"), s.Source})
	}
	var err error
	if a.settings.JSON {
		err = a.printJSON(all)
	} else {
		err = a.table([]column{{name: rows[0][0]}, {name: rows[0][1], least: 12}, {name: rows[0][2]}}, rows[1:])
	}
	return cmp.Or(err, a.refuse(faults))
}

// withoutUserinfo hides what stands before the @ of a URL.
func withoutUserinfo(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User == nil {
		return text
	}
	u.User = url.User("hidden")
	return u.String()
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file and print every problem",
		Long: `Check a configuration file and print every problem, a line each, as FILE:LINE and
what it is: all that serve would refuse if it were started with the file here,
with the variables that are set, also of the files and folders that it names. It ends with 0 where there is none, 7 where there are some, and 3
without a file. Asked for JSON it prints an array of {line, setting, problem}.`,
		Example: `  husk config check /etc/husk/husk.yaml`,
		Args:    pathArgs(one("the FILE")),
		// A broken file in HUSK_CONFIG must not keep it from being checked.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.configure(cmd, a.resolveGiven) },
		RunE:              func(_ *cobra.Command, args []string) error { return a.checkConfig(args[0]) },
	}
}

func (a *app) checkConfig(name string) error {
	c, err := typed(a, func() (*configFile, error) { return readConfig(name) })
	if err != nil {
		code := exitCode(err)
		if errors.Is(err, fs.ErrNotExist) {
			code = exitNotFound
		}
		return fileFailure(code, "the configuration file can't be read", err)
	}
	if c.exposed {
		a.warn("%s", c.exposedText())
	}
	if len(c.problems) == 0 {
		if err := a.judgeFile(c); err != nil {
			return err
		}
	}
	if a.settings.JSON {
		err = a.printJSON(append([]problem{}, c.problems...))
	} else {
		for _, p := range c.problems {
			fmt.Fprintln(a.stdout, printable(c.text(p)))
		}
	}
	switch n := len(c.problems); {
	case err != nil:
		return err
	case n > 0:
		return &failure{code: exitInvalid, what: fmt.Sprintf("%s: %s", name, problemCount(n))}
	}
	a.say("%s is fine.", printable(name))
	return nil
}

// judgeFile adds to the problems of a file what serve would refuse if it were
// started with it from here, and says what it would warn of.
func (a *app) judgeFile(c *configFile) error {
	r := a.resolved
	r.file = c
	r.takeFile()
	if err := cmp.Or(r.finish(), a.settings.take(r.FlagSet)); err != nil {
		return err
	}
	j, faults := a.judge(slog.New(slog.DiscardHandler))
	for _, text := range j.warnings {
		a.warn("%s", text)
	}
	for _, f := range faults {
		if f.problem.Line > 0 {
			c.problems = append(c.problems, f.problem)
			continue
		}
		text := f.text()
		if r.sourceOf(f.setting) == fromEnv {
			text += " (" + envName(f.setting) + ")"
		}
		c.add(c.lines[f.setting], f.setting, "%s", text)
	}
	return nil
}

func problemCount(n int) string {
	if n == 1 {
		return "1 problem"
	}
	return fmt.Sprintf("%d problems", n)
}

// configFile is a configuration file: what it sets and what is wrong with it.
type configFile struct {
	name     string
	set      *pflag.FlagSet // the file's values and, for the rest, the defaults
	lines    map[string]int // what the file sets, and where
	gate     *gateFile      // nil: it has none
	problems []problem
	exposed  bool // others may write the file
}

// problem is what is wrong in a file; --json prints it.
type problem struct {
	Line    int    `json:"line"`              // from 1; 0: of no line
	Setting string `json:"setting,omitempty"` // as written
	Problem string `json:"problem"`
}

func (c *configFile) text(p problem) string {
	if p.Line == 0 {
		return c.name + ": " + p.Problem
	}
	return fmt.Sprintf("%s:%d: %s", c.name, p.Line, p.Problem)
}

func (c *configFile) add(line int, setting, format string, args ...any) {
	c.problems = append(c.problems, problem{line, setting, fmt.Sprintf(format, args...)})
}

// broken is the error of a file that has problems.
func (c *configFile) broken() error {
	if len(c.problems) == 0 {
		return nil
	}
	next := ""
	if n := len(c.problems); n > 1 {
		next = fmt.Sprintf("it has %s; see 'husk config check %s'", problemCount(n), printable(c.name))
	}
	return usage(c.text(c.problems[0]), next)
}

func (c *configFile) exposedText() string {
	return "others may write the configuration file " + printable(c.name) + ", and so decide what husk does; " + keepWriters
}

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// readConfig reads a configuration file. The error is one of reading; what is
// wrong in the file is among its problems.
func readConfig(name string) (*configFile, error) {
	var f *os.File
	err := folder.AsCaller(func() (err error) {
		f, err = os.Open(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	c := &configFile{name: name, set: allSettings(), lines: map[string]int{}, exposed: info.Mode().IsRegular() && writable(f, info)}
	if len(data) > maxConfig {
		c.add(0, "", "the file is over 1 MiB: is it the right one?")
		return c, nil
	}
	c.parse(data)
	return c, nil
}

var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)`)

// parse reads the settings from YAML. It goes by nodes, because decoding into
// a type would tell no lines.
func (c *configFile) parse(data []byte) {
	if line := badText(data); line > 0 {
		c.add(line, "", "that is no text: a control character, or a byte that is not UTF-8")
		return
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	err := d.Decode(&document)
	if errors.Is(err, io.EOF) {
		return // nothing, or comments only
	}
	if err == nil {
		if err = d.Decode(&second); errors.Is(err, io.EOF) {
			c.mapping(document.Content[0])
			return
		}
		if err == nil {
			c.add(second.Line, "", "a second document begins here; settings are one")
			return
		}
	}
	m := yamlError.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(m[1])
	c.add(max(line, 1), "", "that is not YAML: %s", m[2]) // the first line is left out
}

// badText returns the line of the first character that text does not have, 0
// where there is none. The YAML library would not tell it.
func badText(data []byte) (line int) {
	line = 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && n == 1 || unicode.IsControl(r) && r != '\t' && r != '\r':
			return line
		}
		data = data[n:]
	}
	return 0
}

func (c *configFile) mapping(n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		c.add(n.Line, "", "settings are lines of the form 'name: value'")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		c.entry(n.Content[i], n.Content[i+1])
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func (c *configFile) entry(key, value *yaml.Node) {
	name := key.Value
	f := c.set.Lookup(name)
	switch {
	case key.Kind != yaml.ScalarNode:
		c.add(key.Line, "", "the name of a setting is plain text")
	case name == gateKey && c.gate != nil:
		c.add(key.Line, name, "%s is set already, on line %d", name, c.gate.line)
	case name == gateKey:
		c.readGate(key, value)
	case f == nil:
		c.unknown(key.Line, name)
	case name == "config":
		c.add(key.Line, name, "config names this file, and has no place in it")
	case c.lines[name] != 0:
		c.add(key.Line, name, "%s is set already, on line %d", name, c.lines[name])
	default:
		c.lines[name] = key.Line
		c.value(f, value)
	}
}

func (c *configFile) unknown(line int, name string) {
	names := []string{gateKey}
	c.set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	hint := ""
	if near := nearest(name, names); near != "" {
		hint = "; did you mean " + near + "?"
	}
	c.add(line, name, "there is no setting %s%s", name, hint)
}

func (c *configFile) value(f *pflag.Flag, n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		line := n.Line
		n = new(*n.Alias)
		n.Line = line
	}
	list, isList := f.Value.(pflag.SliceValue)
	switch {
	case isNull(n):
		c.add(n.Line, f.Name, "%s has no value; leave the line out for the default", f.Name)
	case n.Kind == yaml.ScalarNode:
		if err := set(f.Value, n.Value); err != nil {
			c.add(n.Line, f.Name, "%s: %v", f.Name, err)
		}
	case n.Kind != yaml.SequenceNode || !isList:
		c.add(n.Line, f.Name, "%s is one value", f.Name)
	default:
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				c.add(item.Line, f.Name, "%s is a list of plain values", f.Name)
			} else if err := list.Append(item.Value); err != nil {
				c.add(item.Line, f.Name, "%s: %v", f.Name, err)
			}
		}
	}
}
