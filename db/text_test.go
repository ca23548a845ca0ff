package db_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"husk/db"
)

func TestPlain(t *testing.T) {
	for _, s := range []string{"", "Ann", "Ann Lee", "Jürgen", "山田 太郎", "🦀", "O'Neil & Sons <x>", "e\u0301", "\u05D0\u05D1", "1/2 ½", "a\\b\"c"} {
		if !db.Plain(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for name, s := range map[string]string{
		"NUL": "a\x00b", "tab": "a\tb", "line end": "a\nb", "carriage return": "a\rb", "escape": "a\x1b[31mb", "delete": "a\x7fb", "C1": "a\u0085b", "C1 escape": "a\u009bb",
		"bidi override": "a\u202eb", "bidi embedding": "a\u202ab", "bidi isolate": "a\u2066b", "bidi mark": "a\u200eb", "right-to-left mark": "a\u200fb", "Arabic mark": "a\u061cb",
		"zero-width space": "a\u200bb", "zero-width joiner": "a\u200db", "zero-width non-joiner": "a\u200cb", "word joiner": "a\u2060b", "byte order mark": "a\ufeffb", "soft hyphen": "a\u00adb",
		"invisible times": "a\u2062b", "line separator": "a\u2028b", "paragraph separator": "a\u2029b", "no-break space": "a\u00a0b", "ideographic space": "a\u3000b", "tag": "a\U000e0041b",
		"private use": "a\ue000b", "unassigned": "a\U000e0fffb", "bad byte": "a\xffb", "surrogate": "a\xed\xa0\x80b", "cut": "a\xc3", "noncharacter": "a\uffffb", "interlinear": "a\ufff9b", "replacement": "a\ufffdb",
	} {
		if db.Plain(s) {
			t.Errorf("%s: %q is taken", name, s)
		}
		wantErr(t, db.CheckText("name", s, 9), db.ErrInvalid, "text_not_plain")
	}
	for _, s := range []string{strings.Repeat("n", 200), strings.Repeat("ü", 200), strings.Repeat("🦀", 200)} {
		must(t, db.CheckText("name", s, 200))
		wantErr(t, db.CheckText("name", s+"n", 200), db.ErrInvalid, "text_too_long")
	}
	wantErr(t, db.CheckText("name", strings.Repeat("a", 10_000), 200), db.ErrInvalid, "text_too_long")
}

func TestEmails(t *testing.T) {
	for _, s := range []string{"a@b", "ann@example.com", "Ann.Lee+tag@sub.example.com", "jürgen@bücher.example", "o'neil@example.com", "a_b-c@x.example", strings.Repeat("a", 242) + "@example.com"} {
		if err := db.CheckEmail(s); err != nil {
			t.Errorf("%q is refused: %v", s, err)
		}
	}
	for _, s := range []string{"", "ann", "@", "ann@", "@example.com", "a@b@c", "a b@example.com", "a@exa mple.com", "Ann <ann@example.com>", "<ann@example.com>", `"ann"@example.com`, `"a@b"@example.com`,
		"ann@example.com,bob@example.com", "ann@example.com;bob@example.com", "ann(x)@example.com", "ann@[192.0.2.1]x:", "a..b@example.com", ".a@example.com", "a.@example.com", "ann@example.com\n", "ann\x00@example.com",
		"ann@exa\u202emple.com", "a\u200bnn@example.com", "a/b@example.com", "a?b@example.com", "a#b@example.com", "a%40b@example.com", "a\\b@example.com", "ann@example.com\xff", strings.Repeat("a", 243) + "@example.com",
		strings.Repeat("a", 10_000) + "@example.com", "ann:x@example.com", "*@", "=a@", "ann\ufe0f@example.com", "ann\u180b@example.com", "ann@example.c\U000e0101om", "ju\u0308rgen@example.com", "ann@bu\u0308cher.example"} {
		wantErr(t, db.CheckEmail(s), db.ErrInvalid, "bad_email")
	}
}

func TestFoldEmail(t *testing.T) {
	for _, same := range [][]string{{"ann@example.com", "ANN@EXAMPLE.COM", " Ann@Example.Com\t", "\nann@example.com\r\n"}, {"straße@example.com", "STRASSE@example.com"}, {"jürgen@x", "JÜRGEN@X"}, {"\u212Aate@x", "kate@x", "Kate@x"}, {"ΣΣ@x", "σς@x"}} {
		for _, s := range same {
			if got := db.FoldEmail(s); got != db.FoldEmail(same[0]) || got != db.FoldEmail(got) {
				t.Errorf("%q folds to %q, and that to %q; %q to %q", s, got, db.FoldEmail(got), same[0], db.FoldEmail(same[0]))
			}
		}
	}
	if db.FoldEmail("ann@example.com") == db.FoldEmail("ann.@example.com") || db.FoldEmail("a@x") == db.FoldEmail("ä@x") {
		t.Error("two addresses fold to one")
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		" - _ ! ":                         "",
		"Ann Lee ann":                     "ann lee",
		"ann.lee+tag@sub-1.example.com":   "1 ann com example lee sub tag",
		"O'Neil":                          "neil o",
		"Weiß":                            "weiss",
		"山田 太郎":                           "太郎 山田",
		"q w e r t y u i o p a s d f g h": "a d e f g h i o p q r s t u w y",
	} {
		if got := strings.Join(db.Words(text), " "); got != want {
			t.Errorf("%q has the words %q, want %q", text, got, want)
		}
	}
	many := db.Words(strings.Repeat("ab cd ef gh ij kl mn op qr st uv wx yz ba dc fe hg ji ", 100))
	if len(many) > 16 || !slices.IsSorted(many) {
		t.Errorf("%d words", len(many))
	}
	for _, w := range db.Words(strings.Repeat("ü", 5000)) {
		if len(w) > 64 || !utf8.ValidString(w) {
			t.Errorf("a word of %d bytes, valid UTF-8: %t", len(w), utf8.ValidString(w))
		}
	}
}
