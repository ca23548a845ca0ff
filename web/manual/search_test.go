package manual

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSearch(t *testing.T) {
	for _, c := range []struct{ query, first string }{
		{"gate", "gate#"},
		{"backup", "backup#"},
		{"BACKUPS", "backup#"},
		{"encrypt backup", "backup#encrypt-it"},
		{"husk token create", "commands#husk-token-create"},
		{"  nginx,  ", "proxy#nginx"},
		{"forgot password", "tasks-forgotten-password#"},
		{"leaked token", "tasks-leaked-token#"},
		{"--metrics-addr", "monitoring#count"},
		{"htpasswd", "tasks-from-htpasswd#"},
		{"husk serve", "commands#husk-serve"},
	} {
		hits := Search(c.query, 10)
		if len(hits) == 0 || hits[0].Page+"#"+hits[0].ID != c.first {
			t.Errorf("%q is first found in %s, not in %s", c.query, places(hits), c.first)
		}
	}
}

func places(hits []Hit) (all []string) {
	for _, h := range hits {
		all = append(all, h.Page+"#"+h.ID)
	}
	return all
}

func TestSearchNeedsAllWords(t *testing.T) {
	for _, query := range []string{"", " \t\n", "?!.", "backup zebra", "ackup", "\xff\xfe", "<script>"} {
		if hits := Search(query, 10); len(hits) > 0 {
			t.Errorf("%q is found in %s", query, places(hits))
		}
	}
	both := places(Search("nginx websocket", maxHits))
	for _, word := range []string{"nginx", "websocket"} {
		one := places(Search(word, maxHits))
		for _, place := range both {
			if !slices.Contains(one, place) {
				t.Errorf("%s has both words, and not %q", place, word)
			}
		}
	}
	if len(both) == 0 {
		t.Error("no place has both words")
	}
}

func TestSearchIsBounded(t *testing.T) {
	for most, want := range map[int]int{-1: 0, 0: 0, 1: 1, 7: 7, math.MaxInt: maxHits} {
		if n := len(Search("husk", most)); n != want {
			t.Errorf("%d hits where at most %d are asked for", n, most)
		}
	}
	if words := wordsOf(strings.Repeat("word ", 1000)); len(words) != 1 {
		t.Errorf("a word counts %d times", len(words))
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "%d ", i)
	}
	if words := wordsOf(many.String()); len(words) != maxWords {
		t.Errorf("%d words are looked for", len(words))
	}
}

// An excerpt is text of the page, and shows what was asked for.
func TestSearchExcerpt(t *testing.T) {
	hits := Search("argon2id", maxHits)
	if len(hits) == 0 {
		t.Fatal("nothing is found")
	}
	for _, h := range hits {
		if !strings.Contains(strings.ToLower(h.Excerpt), "argon2id") && !strings.Contains(strings.ToLower(h.Heading), "argon2id") {
			t.Errorf("%s#%s: %q", h.Page, h.ID, h.Excerpt)
		}
	}
	for _, c := range []struct {
		text string
		at   int
		want string
	}{
		{"", 0, ""},
		{"short text", 6, "short text"},
		{strings.Repeat("word ", 100) + "end", 250, "… " + strings.TrimSpace(strings.Repeat("word ", 31)) + " …"},
		{strings.Repeat("ä", 200), 200, "… " + strings.Repeat("ä", 60) + " …"},
		{strings.Repeat("word ", 100) + "end", 500, "… " + strings.Repeat("word ", 7) + "end"},
	} {
		if got := cut(c.text, c.at); got != c.want {
			t.Errorf("around %d of %.20q…: %q, not %q", c.at, c.text, got, c.want)
		}
	}
}

// Each text is in one section, and no tag is taken for text.
func TestSections(t *testing.T) {
	n := 0
	for _, p := range Pages() {
		n += len(p.Headings) + 1
	}
	if len(sections()) != n {
		t.Errorf("%d sections, not %d", len(sections()), n)
	}
	for _, s := range sections() {
		if len(s.text) != len(s.folded) || len(s.own) != len(s.heading.Title) {
			t.Errorf("%s#%s: folded text is not as long as the text", s.page.Name, s.heading.ID)
		}
		for _, tag := range []string{"<p>", "</", `class="`, `href="`, "&lt;", "&#"} {
			if strings.Contains(s.text, tag) {
				t.Errorf("%s#%s has %q in its text", s.page.Name, s.heading.ID, tag)
			}
		}
	}
}

func FuzzSearch(f *testing.F) {
	for _, seed := range []string{"", "gate", "backup encrypt", "--metrics-addr", "ÄÖ İ ſ K", "\xff", "a b c d e f g h i j", strings.Repeat("e", 300), "'\"[(", "s ss sss ssss"} {
		f.Add(seed, 10)
	}
	f.Fuzz(func(t *testing.T, query string, most int) {
		hits := Search(query, most)
		if len(hits) > max(0, min(most, maxHits)) {
			t.Fatalf("%d hits of at most %d", len(hits), most)
		}
		for _, h := range hits {
			p, ok := Get(h.Page)
			if !ok || p.Title != h.Title || h.ID != "" && !slices.ContainsFunc(p.Headings, func(x Heading) bool { return x.ID == h.ID && x.Title == h.Heading }) {
				t.Fatalf("%+v leads nowhere", h)
			}
			if !utf8.ValidString(h.Excerpt) || len(h.Excerpt) > excerpt+20 {
				t.Fatalf("the excerpt is %q", h.Excerpt)
			}
		}
	})
}

func BenchmarkSearch(b *testing.B) {
	sections()
	for _, query := range []string{"gate", "husk token create", strings.Repeat("e", maxQuery), "e t a o i n s r", "zebra"} {
		b.Run(query[:min(20, len(query))], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Search(query, 20)
			}
		})
	}
}

// What the first search costs, and what stays of it in memory.
func BenchmarkFirstSearch(b *testing.B) {
	list := Pages()
	b.ReportAllocs()
	for b.Loop() {
		for i := range list {
			split(&list[i])
		}
	}
}
