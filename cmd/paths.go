package cmd

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pathValue is the kind of value of all flags and settings that name a file or a
// folder. What a shell, a service manager or an editor was to take away, and
// did not, would make another place than the one that was meant: it is refused.
type pathValue struct{ text *string }

func newPath(text string) *pathValue { return &pathValue{&text} }

func (p *pathValue) String() string {
	if p.text == nil { // a zero value, which pflag makes
		return ""
	}
	return *p.text
}

func (p *pathValue) Type() string { return "string" }

// Set implements pflag.Value.
func (p *pathValue) Set(text string) error {
	if err := isPath(text); err != nil {
		return err
	}
	*p.text = text
	return nil
}

// pathList is the kind of value of settings that name several files. Empty is
// none.
type pathList struct{ list }

func newPaths() *pathList {
	return &pathList{list{kind: "string", read: func(text string) (string, error) {
		if text == "" {
			return "", errors.New("it is empty")
		}
		return text, isPath(text)
	}}}
}

// Set implements pflag.Value.
func (p *pathList) Set(text string) error {
	if text == "" {
		p.items = nil
		return nil
	}
	for more := true; more; {
		part := text
		if text, more = afterPath(text); more {
			part = part[:len(part)-len(text)-1]
		}
		if err := p.Append(part); err != nil {
			return err
		}
	}
	return nil
}

// afterPath is what follows the first path of a list. A comma ends one where another
// absolute path begins: any other is a part of a name.
func afterPath(text string) (rest string, more bool) {
	if i := strings.Index(text, ",/"); i >= 0 {
		return text[i+1:], true
	}
	return "", false
}

// pathVar defines a flag of a command that names a file or a folder.
func pathVar(f *pflag.FlagSet, p *string, name, usage string) { f.Var(&pathValue{p}, name, usage) }

// quotes are marks that a path begins or ends with where nobody took them away.
const quotes = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb"

// isScheme finds a URL. Windows has paths with one letter and a colon.
var isScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+://`)

// isPath tells why text is no path that anybody means. Empty is none.
func isPath(text string) error {
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	switch {
	case text == "":
		return nil
	case last == '\r':
		return errors.New("it ends with a carriage return, as a line of a file from Windows does: leave that out")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("it has a control character in it, such as a line end: leave that out")
	case isBlank(first) || isBlank(last):
		return errors.New("it begins or ends with a space, which would be a part of the name: leave that out")
	case strings.ContainsRune(quotes, first) || strings.ContainsRune(quotes, last):
		return errors.New("it begins or ends with a quotation mark, which would be a part of the name: only shells take those away; leave it out")
	case first == '~':
		return errors.New("only shells make a home folder of ~: write the folder out (what is really called so is ./~)")
	case first == '$':
		return errors.New("only shells know what $ stands for: write the path out (what is really called so is ./$)")
	case isScheme.MatchString(text):
		return errors.New("it is a path, not a URL")
	}
	return nil
}

// isBlank also knows what no eye sees.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)
}

// pathArgs adds to args that what is given is a path.
func pathArgs(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return err
		}
		for _, text := range given {
			if err := isPath(text); err != nil {
				return usage("\""+printable(text)+"\": "+err.Error(), "see '"+cmd.CommandPath()+" --help'")
			}
		}
		return nil
	}
}
