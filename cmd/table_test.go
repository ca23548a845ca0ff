package cmd

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// A text takes as many cells as a terminal gives it.
func TestTextWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "deploy": 6, "müller": 6, "mu\u0308ller": 6, "漢字": 4, "ｆｕｌｌ": 8, "한글": 4, "a\u0301\u0323b": 2, "🔒 key": 6, "…": 1, "ﾊﾝｶｸ": 4,
	} {
		if got := textWidth(text); got != want {
			t.Errorf("%q takes %d cells, want %d", text, got, want)
		}
	}
	for _, c := range []struct {
		text string
		room int
		want string
	}{
		{"deploy", 6, "deploy"}, {"deploy", 5, "depl…"}, {"deploy", 1, "…"}, {"two words", 5, "two…"}, {"漢字の名前", 10, "漢字の名前"},
		{"2030-01-02T03:04:05Z", 20, "2030-01-02T03:04:05Z"}, {"2030-01-02T03:04:05Z", 19, "2030-01-02T03:04…"}, {"2030-01-02T03:04:05+09:00", 17, "2030-01-02T03:04…"},
		{"2030-01-02T03:04:05Z", 16, "2030-01-02…"}, {"2030-01-02T03:04:05Z", 11, "2030-01-02…"}, {"2030-01-02T03:04:05Z", 10, "2030-01-0…"},
		{"漢字の名前", 9, "漢字の名…"}, {"漢字の名前", 8, "漢字の…"}, {"u\u0308u\u0308u\u0308", 2, "u\u0308…"},
	} {
		if got := cutText(c.text, c.room); got != c.want || textWidth(got) > c.room {
			t.Errorf("%q in %d cells is %q, want %q", c.text, c.room, got, c.want)
		}
	}
}

// What is cut and what is left out, in which order.
func TestTableFits(t *testing.T) {
	columns := []column{{name: "ID"}, {name: "NAME", least: 6}, {name: "FROM", least: 5, rank: 1}, {name: "AGENT", least: 5, rank: 2}}
	rows := [][]string{{"0123456789", strings.Repeat("n", 30), "192.0.2.1", "curl/8.14.1"}}
	for _, c := range []struct {
		room   int
		widths []int
		out    []string
	}{
		{100, []int{10, 30, 9, 11}, nil},
		{60, []int{10, 24, 9, 11}, nil},
		{42, []int{10, 8, 9, 9}, nil},
		{32, []int{10, 6, 5, 5}, nil},
		{31, []int{10, 8, 9, 0}, []string{"AGENT"}},
		{24, []int{10, 12, 0, 0}, []string{"AGENT", "FROM"}},
		{5, []int{10, 6, 0, 0}, []string{"AGENT", "FROM"}}, // an id that is cut is of no use
	} {
		g := grid{columns: columns, widths: widthsOf(columns, rows)}
		g.fit(c.room)
		if !slices.Equal(g.widths, c.widths) || !slices.Equal(g.out, c.out) {
			t.Errorf("in %d: %v without %v, want %v without %v", c.room, g.widths, g.out, c.widths, c.out)
		}
	}
}

// A table in a pipe is whole, whatever is in it.
func TestTableInAPipe(t *testing.T) {
	var out bytes.Buffer
	a := &app{stdout: &out, getenv: func(string) string { return "" }}
	columns := []column{{name: "NAME", least: 4, rank: 1}, {name: "STATE"}}
	if err := a.table(columns, [][]string{{strings.Repeat("漢", 60), "disabled"}, {"u\u0308\x1b[31m", ""}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME" + strings.Repeat(" ", 118) + "STATE\n" + strings.Repeat("漢", 60) + "  disabled\n" + "u\u0308\\x1b[31m\n"
	if out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}

// A state has the colour of what it says; an end that is past is bad.
func TestTones(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for of, want := range map[[2]string]tone{
		{"state", "enabled"}: good, {"state", "disabled"}: bad, {"state", "throttled"}: careful, {"result", "refused"}: bad, {"result", "ok"}: good,
		{"valid", "no"}: bad, {"expired", "yes"}: bad, {"expired", "no"}: "", {"name", "ok"}: "", {"name", "disabled"}: "",
		{"expires", "2030-01-02T03:04:05Z"}: bad, {"expires", "2030-01-02T03:04:06Z"}: "", {"expires", "2030-01-02T12:04:05+09:00"}: bad,
		{"expires", "never"}: "", {"created", "2029-01-02T03:04:05Z"}: "",
	} {
		if got := toneOf(of[0], of[1], now); got != want {
			t.Errorf("%q is %q, want %q", of, got, want)
		}
	}
}
