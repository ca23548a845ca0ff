package cmd

// The rules of output:
//
//   - What was asked for goes to stdout and nothing else does, so that it can
//     be piped. Everything said about it goes to stderr.
//   - A table is for people, --json for programs: one object, or an array for
//     a list.
//   - On a terminal a table fits its width: long cells end in …, and columns
//     that are needed least are left out, which is said. Ids that a command
//     takes are whole. Elsewhere, where a script may look for a word of it, and
//     with --wide nothing is cut or left out.
//   - Times are RFC 3339 in UTC, for people with --local-time in the machine's
//     zone, with its offset; in JSON always in UTC.
//   - --quiet silences what is said, never what was asked for, never an error.
//   - An error says what happened and why, and the next step on a line of its
//     own.
//   - Under --json each line on stderr is a JSON object too: {"error":{…}} for
//     what failed, {"warning":"…"}, and {"note":"…"} for what is said.
//   - Text that came from elsewhere is escaped before it meets a terminal.
//   - On a terminal the words for a state have a colour, and nothing needs it to
//     be understood. NO_COLOR with any value, or TERM=dumb, leaves it out.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"husk/db"
	"husk/web/api"
)

// say tells something about what was done.
func (a *app) say(format string, args ...any) { a.tell("note", "", fmt.Sprintf(format, args...)) }

// warn tells of what was done and is rarely meant.
func (a *app) warn(format string, args ...any) {
	a.tell("warning", "warning: ", fmt.Sprintf(format, args...))
}

func (a *app) tell(kind, before, text string) {
	if a.settings.Quiet {
		return
	}
	a.shown.clear()
	if a.settings.JSON {
		_ = writeLine(a.stderr, map[string]string{kind: strings.TrimSpace(text)}) // there is nobody else to tell
		return
	}
	fmt.Fprintln(a.stderr, before+text)
}

// printJSON writes v as one indented JSON value.
func (a *app) printJSON(v any) error { return writeJSON(a.stdout, v) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printLine writes v as JSON on one line, for lists without an end.
func (a *app) printLine(v any) error { return writeLine(a.stdout, v) }

func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// pairs writes name and value a line.
func (a *app) pairs(pairs ...string) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	paint := a.painter()
	for i := 0; i < len(pairs); i += 2 {
		value := printable(pairs[i+1])
		fmt.Fprintf(w, "%s:\t%s\n", pairs[i], paint(pairs[i], value, value))
	}
	return w.Flush()
}

// printable escapes what could steer a terminal or hide in it.
func printable(s string) string {
	if db.IsPlain(s) || strings.IndexFunc(s, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }) < 0 {
		return s
	}
	q := strconv.QuoteToGraphic(s)
	return q[1 : len(q)-1]
}

// timeText is t for people; "-" for none.
func (a *app) timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(a.zone()).Format(time.RFC3339)
}

// zone is where people are told times.
func (a *app) zone() *time.Location {
	if a.settings.LocalTime {
		return time.Local
	}
	return time.UTC
}

func (a *app) optionalTimeText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return a.timeText(*t)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// expiryText is an expire_in for a table.
func (a *app) expiryText(seconds int64) string {
	if seconds < 0 {
		return "never"
	}
	return a.timeText(time.Unix(seconds, 0))
}

// listText joins a list for a table; "-" for none.
func listText(items []string) string {
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, ",")
}

// printAll writes every hit of a list: an array of what the hits hold for
// --json, else a table of the rows.
func printAll[T any](a *app, hits func(func(api.Hit[T], error) bool), header []column, row func(T) []string) error {
	return printColumns(a, hits, header, len(header), row)
}

// printColumns is printAll with columns that are for few rows: behind the first
// always ones, each is left out that says nothing of any row.
func printColumns[T any](a *app, hits func(func(api.Hit[T], error) bool), header []column, always int, row func(T) []string) error {
	if a.settings.JSON {
		return printArray(a, hits)
	}
	rows, shown := [][]string{}, make([]bool, len(header))
	for i := range always {
		shown[i] = true
	}
	for hit, err := range hits {
		if err != nil {
			return err
		}
		cells := row(hit.Source)
		for i, cell := range cells {
			shown[i] = shown[i] || cell != "-"
		}
		rows = append(rows, cells)
	}
	for i, cells := range rows {
		rows[i] = keep(cells, shown)
	}
	return a.table(keep(header, shown), rows)
}

// keep returns the cells of a row that are shown.
func keep[T any](cells []T, shown []bool) (kept []T) {
	for i, cell := range cells {
		if shown[i] {
			kept = append(kept, cell)
		}
	}
	return kept
}

// printArray writes what the hits hold as one indented JSON array, one by one:
// there may be more than there is memory for. What fails before the first one
// prints nothing; what fails later leaves the array without its end.
func printArray[T any](a *app, hits func(func(api.Hit[T], error) bool)) error {
	var item bytes.Buffer
	e := json.NewEncoder(&item)
	e.SetIndent("  ", "  ")
	e.SetEscapeHTML(false)
	out := bufio.NewWriter(a.stdout)
	before, end := "[\n  ", "[]\n"
	for hit, err := range hits {
		if err == nil {
			item.Reset()
			err = e.Encode(hit.Source)
		}
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		out.WriteString(before)
		out.Write(bytes.TrimSuffix(item.Bytes(), []byte("\n")))
		before, end = ",\n  ", "\n]\n"
	}
	out.WriteString(end)
	return out.Flush()
}
