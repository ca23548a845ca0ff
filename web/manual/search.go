package manual

import (
	"cmp"
	"html"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	maxQuery = 200 // bytes of a query that are read
	maxWords = 8   // words of it
	maxHits  = 100
	excerpt  = 160 // bytes of text in a hit, about
)

// Hit is a part of a page, from one heading to the next, in which something was found.
type Hit struct {
	Page    string // its name
	Title   string // of the page
	Heading string // "": what stands above the first one
	ID      string // anchor of the heading, or ""
	Excerpt string // plain text around the first word that was found
}

// section is what a hit leads to. Folded text is as long as the text that it was made
// of, so that a place in one is a place in the other.
type section struct {
	page          *Page
	heading       Heading // zero: the beginning of the page
	text          string
	title, within string // folded: of the page, of the headings above
	own, folded   string // folded: the heading, the text
}

// Search returns the parts of the manual that have all words of the query, the best
// first, and at most most of them. A word is found where one begins like it, in upper or
// lower case. A title counts more than a heading, and a heading more than text. Of a
// long query only the beginning is read, so that a search takes a bounded time
// whatever is asked.
func Search(query string, most int) []Hit {
	words := wordsOf(query)
	most = min(most, maxHits)
	if len(words) == 0 || most <= 0 {
		return nil
	}
	type found struct{ score, section, at int }
	var all []found
	for i := range sections() {
		if score, at := sections()[i].rate(words); score > 0 {
			all = append(all, found{score, i, at})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.score, a.score) })
	hits := make([]Hit, 0, min(len(all), most))
	for _, f := range all[:cap(hits)] {
		s := &sections()[f.section]
		hits = append(hits, Hit{Page: s.page.Name, Title: s.page.Title, Heading: s.heading.Title, ID: s.heading.ID, Excerpt: cut(s.text, f.at)})
	}
	return hits
}

// wordsOf folds a query. An s at the end goes, since "backups" asks for a backup, too.
func wordsOf(query string) (words []string) {
	query = query[:min(len(query), maxQuery)]
	for _, w := range strings.Fields(fold(strings.ToValidUTF8(query, " "))) {
		w = strings.TrimRight(strings.TrimLeft(w, `"'([,;`), `"')],;.:!?`)
		if len(w) > 3 && !strings.HasSuffix(w, "ss") {
			w = strings.TrimSuffix(w, "s")
		}
		if w != "" && !slices.Contains(words, w) && len(words) < maxWords {
			words = append(words, w)
		}
	}
	return words
}

// rate returns how well a section fits, 0 where a word is missing, and where in its
// text the first word stands that was found there. What stands above a section
// helps it, but is not enough: else each part of "The gate" would be about gates.
func (s *section) rate(words []string) (score, at int) {
	own, at := false, len(s.folded)
	for _, w := range words {
		was := score
		if _, n := find(s.title, w); n > 0 {
			score += 2
			if s.heading.ID == "" {
				score, own = score+18, true
			}
		}
		if _, n := find(s.within, w); n > 0 {
			score += 2
		}
		if _, n := find(s.own, w); n > 0 {
			score, own = score+10, true
		}
		if first, n := find(s.folded, w); n > 0 {
			score, at, own = score+n, min(at, first), true
		}
		if score == was {
			return 0, 0
		}
	}
	if !own {
		return 0, 0
	}
	if at == len(s.folded) {
		at = 0
	}
	if len(s.own) > 0 && len(s.own) <= len(strings.Join(words, " "))+1 {
		score += 5 // the heading is no more than what is asked for
	}
	return score, at
}

// find returns where a word of the text begins like w, and how often, up to 5 times.
func find(text, w string) (first, n int) {
	for from := 0; n < 5; {
		i := strings.Index(text[from:], w)
		if i < 0 {
			break
		}
		i += from
		from = i + len(w)
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		if begin, _ := utf8.DecodeRuneInString(w); isWord(before) && isWord(begin) {
			continue
		}
		if n == 0 {
			first = i
		}
		n++
	}
	return first, n
}

func isWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// fold makes lower case of what is as long then.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if l := unicode.ToLower(r); utf8.RuneLen(l) == utf8.RuneLen(r) {
			return l
		}
		return r
	}, s)
}

// cut returns some text around a place, in whole words.
func cut(text string, at int) string {
	from, to := max(0, at-excerpt/4), min(len(text), at+excerpt*3/4)
	if from > 0 {
		from += strings.IndexByte(text[from:at+1]+" ", ' ') + 1
		from = min(from, at)
	}
	if to < len(text) {
		if i := strings.LastIndexByte(text[at:to], ' '); i > 0 {
			to = at + i
		}
		for !utf8.RuneStart(text[to]) {
			to--
		}
	}
	out := text[from:to]
	if from > 0 {
		out = "… " + out
	}
	if to < len(text) {
		out += " …"
	}
	return out
}

// sections is what is searched, made at the first search.
var sections = sync.OnceValue(func() (all []section) {
	list := pages()
	for i := range list {
		all = append(all, split(&list[i])...)
	}
	return all
})

// split takes a page apart at its headings.
func split(p *Page) (all []section) {
	var above [5]string // folded headings, by level
	rest, s := string(p.HTML), section{page: p, title: fold(p.Title)}
	for _, h := range p.Headings {
		level := string(rune('0' + h.Level))
		before, after, _ := strings.Cut(rest, "<h"+level+` id="`+h.ID+`">`)
		all = append(all, s.with(before))
		_, rest, _ = strings.Cut(after, "</h"+level+">")
		above[h.Level] = fold(h.Title)
		clear(above[h.Level+1:])
		s = section{page: p, heading: h, title: s.title, own: above[h.Level], within: strings.Join(above[:h.Level], " ")}
	}
	return append(all, s.with(rest))
}

func (s section) with(markup string) section {
	s.text = plain(markup)
	s.folded = fold(s.text)
	return s
}

// plain is the text of HTML that render_test.go made: a tag ends at the first >.
func plain(markup string) string {
	var b strings.Builder
	for markup != "" {
		text, after, _ := strings.Cut(markup, "<")
		b.WriteString(text)
		tag, rest, _ := strings.Cut(after, ">")
		if name := strings.TrimPrefix(tag, "/"); !inline[name] && !strings.HasPrefix(name, "a ") {
			b.WriteByte(' ')
		}
		markup = rest
	}
	return strings.Join(strings.Fields(html.UnescapeString(b.String())), " ")
}

// inline are the elements at which no word ends.
var inline = map[string]bool{"a": true, "code": true, "em": true, "strong": true}
