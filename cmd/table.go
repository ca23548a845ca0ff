package cmd

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// column is one of a table, and what may become of it on a terminal that is too
// narrow. Widths are in cells of a terminal, which are two for a wide letter.
type column struct {
	name  string
	least int // so wide at least its cells are cut; 0: never, as ids that a command takes
	rank  int // where cutting is not enough, those of the highest rank are left out first; 0: never
}

const (
	gap      = 2  // between columns
	dateWide = 11 // "2030-12-31…"
	ellipsis = "…"

	unknownWidth = 80 // of a terminal that does not tell
)

// table writes rows under a header, in columns.
func (a *app) table(columns []column, rows [][]string) error {
	g := grid{columns: columns, widths: widthsOf(columns, rows)}
	room := a.room()
	if room > 0 {
		g.fit(room)
	}
	return a.printGrid(&g, rows)
}

func (a *app) printGrid(g *grid, rows [][]string) error {
	out := bufio.NewWriter(a.stdout)
	paint := a.painter()
	g.line(out, g.header(), noPaint)
	for _, row := range rows {
		g.line(out, row, paint)
	}
	err := out.Flush()
	if len(g.out) > 0 && err == nil {
		a.say("Left out for want of room: %s. --wide shows all.", strings.Join(g.out, ", "))
	}
	return err
}

// room is how wide a table may be; 0: as wide as it is.
func (a *app) room() int {
	f, ok := a.outTerminal()
	if !ok || a.settings.Wide {
		return 0
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		return columns
	}
	return unknownWidth
}

// outTerminal returns stdout where it is a terminal.
func (a *app) outTerminal() (f *os.File, ok bool) {
	f, ok = a.stdout.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// grid is a table with the widths of its columns.
type grid struct {
	columns []column
	widths  []int    // 0: left out
	narrow  bool     // cells are cut to the widths; else they push the rest of their line
	out     []string // names of the columns that are left out
}

// widthsOf are the widths that nothing has to be cut for.
func widthsOf(columns []column, rows [][]string) []int {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = textWidth(c.name)
		for _, row := range rows {
			widths[i] = max(widths[i], textWidth(printable(row[i])))
		}
	}
	return widths
}

// fit makes the grid as narrow as room, as far as may be: it takes from the
// widest column that may be cut, one cell after another, and where all are as
// narrow as they may be, leaves one out and begins again.
func (g *grid) fit(room int) {
	whole := slices.Clone(g.widths)
	g.narrow = true
	for over := g.width() - room; over > 0; over = g.width() - room {
		if i := g.widest(); i >= 0 {
			g.widths[i]--
			continue
		}
		i := g.leastNeeded()
		if i < 0 {
			return
		}
		g.out = append(g.out, g.columns[i].name)
		whole[i] = 0
		copy(g.widths, whole)
	}
}

func (g *grid) width() (n int) {
	for _, w := range g.widths {
		if w > 0 {
			n += w + gap
		}
	}
	return n - gap
}

// widest returns the column to take from; -1 where there is none.
func (g *grid) widest() int {
	best := -1
	for i, c := range g.columns {
		if least := max(c.least, textWidth(c.name)); c.least > 0 && g.widths[i] > least && (best < 0 || g.widths[i] > g.widths[best]) {
			best = i
		}
	}
	return best
}

// leastNeeded returns the column to leave out; -1 where there is none.
func (g *grid) leastNeeded() int {
	best := -1
	for i, c := range g.columns {
		if c.rank > 0 && g.widths[i] > 0 && (best < 0 || c.rank > g.columns[best].rank) {
			best = i
		}
	}
	return best
}

func (g *grid) header() (names []string) {
	for _, c := range g.columns {
		names = append(names, c.name)
	}
	return names
}

// line writes one row; paint gives a cell its colour.
func (g *grid) line(out io.Writer, row []string, paint painter) {
	var b strings.Builder
	blank := 0 // before the next cell
	for i, cell := range row {
		if g.widths[i] == 0 {
			continue
		}
		whole := printable(cell)
		cell = whole
		if g.narrow {
			cell = cutText(cell, g.widths[i])
		}
		if cell != "" {
			b.WriteString(strings.Repeat(" ", blank))
			b.WriteString(paint(g.columns[i].name, whole, cell))
			blank = 0
		}
		blank += max(g.widths[i]-textWidth(cell), 0) + gap
	}
	b.WriteByte('\n')
	io.WriteString(out, b.String())
}

// textWidth is how many cells of a terminal a printable text takes (Unicode
// Standard Annex 11): two for wide letters, none for marks on the one before.
func textWidth(s string) (n int) {
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if r < unicode.MaxLatin1 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cutText is as much of a text as fits, with an ellipsis where that is not all. Of
// a time that is the minute or the day, and no half of one.
func cutText(s string, room int) string {
	if textWidth(s) <= room {
		return s
	}
	if _, err := time.Parse(time.RFC3339, s); err == nil {
		for _, part := range []string{"2006-01-02T15:04", time.DateOnly} {
			if len(part) < room {
				return s[:len(part)] + ellipsis
			}
		}
	}
	used := 0
	for i, r := range s {
		if used += runeWidth(r); used > room-textWidth(ellipsis) {
			return strings.TrimRight(s[:i], " ") + ellipsis
		}
	}
	return s
}
