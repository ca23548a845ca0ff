package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"husk/web/console"
)

func (a *app) manCommand() *cobra.Command {
	var asHTML bool
	cmd := &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a folder, one for each command",
		Long: `Write the manual pages into a folder, one for each command: husk.1,
husk-token-create.1 and so on. They are the same at every run; a date stands in
them only where SOURCE_DATE_EPOCH (Unix seconds) gives one.

With --html it is the manual for operators, which the console shows too, for a
browser: index.html and a page for each of its parts. They need no network, no
server and no script, and may lie anywhere, if they lie together.

Of what is in the folder only pages of husk's are replaced.`,
		Example: `  husk man /usr/local/share/man/man1
  husk man . && man ./husk-token-create.1
  husk man --html manual && xdg-open manual/index.html`,
		Args: pathArgs(one("the DIR")),
		RunE: func(_ *cobra.Command, args []string) error {
			if asHTML {
				return a.book(args[0])
			}
			return a.man(args[0])
		},
	}
	cmd.Flags().BoolVar(&asHTML, "html", false, "the manual for operators instead, as pages for a browser")
	return cmd
}

func (a *app) man(dir string) error {
	date, err := sourceDate(a.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return unwritable(dir, err)
	}
	pages := 0
	for _, cmd := range documented(a.root()) {
		page, err := manPage(cmd, date)
		if err != nil {
			return err
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		if err := writePage(filepath.Join(dir, name), page, "\n.TH \"HUSK"); err != nil {
			return err
		}
		pages++
	}
	a.say("%d pages are in %s.", pages, printable(dir))
	return nil
}

// book writes the manual for operators.
func (a *app) book(dir string) error {
	pages, err := console.Book(version())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return unwritable(dir, err)
	}
	for _, page := range pages {
		if err := writePage(filepath.Join(dir, page.Name), page.Body, console.BookMark); err != nil {
			return err
		}
	}
	a.say("%d pages are in %s; the first is index.html.", len(pages), printable(dir))
	return nil
}

func unwritable(name string, err error) error {
	return &failure{code: exitFailure, err: err, what: "the manual can't be written: " + plainWriteError(name, err)}
}

// writePage puts a page in place. One of Husk's, of whatever version, is
// replaced, and nothing else is: its beginning has the mark.
func writePage(path string, page []byte, mark string) error {
	f, err := destination{path: path, what: "the manual", force: true, mode: 0o644, next: "move it away, or name another folder", refuse: func(there *os.File) error {
		begins, _ := io.ReadAll(io.LimitReader(there, 1<<10))
		if bytes.Contains(begins, []byte(mark)) {
			return nil
		}
		return &failure{code: exitConflict, what: printable(path) + " is there already, and is no page of husk's", next: "move it away, or name another folder"}
	}}.open()
	if err != nil {
		return err
	}
	defer f.discard()
	if _, err := f.Write(page); err != nil {
		return f.failed(err)
	}
	return f.place()
}

// sourceDate reads a date that a build gives, so that its result depends on
// its input alone (reproducible-builds.org/specs/source-date-epoch); zero
// where there is none.
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, usage("SOURCE_DATE_EPOCH is not a number of Unix seconds", "")
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// manHeader is the first line of a page: title, section, date, source, manual.
var manHeader = regexp.MustCompile(`(?m)^(\.TH \S+ \S+) "[^"]*"`)

func manPage(cmd *cobra.Command, date time.Time) ([]byte, error) {
	cmd.DisableAutoGenTag = true
	cmd.Long = markdown(cmd.Long)
	header := &doc.GenManHeader{Section: "1", Date: &date, Source: "husk " + version(), Manual: "Husk"}
	var page bytes.Buffer
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return nil, fmt.Errorf("write the page of %s: %w", cmd.CommandPath(), err)
	}
	text := ""
	if !date.IsZero() {
		text = date.Format(time.DateOnly)
	}
	return manHeader.ReplaceAll(page.Bytes(), []byte(`$1 "`+text+`"`)), nil
}

// documented returns root and all commands below it, as a reader of the pages
// needs them: nothing in them depends on who writes them, and where.
func documented(root *cobra.Command) []*cobra.Command {
	root.PersistentFlags().Lookup("data").DefValue = "/var/lib/husk for root, else ~/.local/share/husk"
	root.InitDefaultHelpCmd()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		all = append(all, cmd)
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() && child.Name() != "help" {
				walk(child)
			}
		}
	}
	walk(root)
	return all
}

var markdownSpecial = regexp.MustCompile("[\\\\`*_#<>\\[\\]{}|~]")

// markdown makes help into what doc.GenMan reads: lines that are indented are
// left as they are, and in the others no sign has a meaning of its own.
func markdown(help string) string {
	var out []string
	inside := false
	for line := range strings.SplitSeq(strings.TrimSpace(help), "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != inside {
			inside = indented
			out = append(out, map[bool]string{true: "\n```", false: "```\n"}[indented])
		}
		if !inside {
			line = markdownSpecial.ReplaceAllString(line, `\$0`)
		}
		out = append(out, line)
	}
	if inside {
		out = append(out, "```")
	}
	return strings.Join(out, "\n")
}
