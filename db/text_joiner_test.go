package db_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"husk/db"
)

// What can't be written without a joiner is a name; what looks like another name is none.
func TestJoinersInNames(t *testing.T) {
	for name, s := range map[string]string{
		"Persian":            "می\u200cخواهم",
		"Persian, twice":     "نمی\u200cخواهم می\u200cروم",
		"Persian, a mark":    "می\u064e\u200cخواهم",
		"Sinhala":            "ශ්\u200dරී ලංකා",
		"Hindi, apart":       "क्\u200cष",
		"Hindi, half letter": "क्\u200dष",
		"family":             "👨\u200d👩\u200d👧\u200d👦",
		"astronaut":          "👩🏽\u200d🚀",
		"rainbow flag":       "the 🏳\ufe0f\u200d🌈 team",
		"heart on fire":      "❤\ufe0f\u200d🔥",
		"doctor":             "👩\u200d⚕\ufe0f",
		"head that shakes":   "🙂\u200d↔\ufe0f",
		"lime":               "🍋\u200d🟩",
		"black bird":         "🐦\u200d⬛",
	} {
		if err := db.CheckText("name", s, 200); err != nil {
			t.Errorf("%s: %q: %v", name, s, err)
		}
	}
	for name, c := range map[string]struct{ text, place string }{
		"between Latin letters":     {"pay\u200cpal", "U+200C as character 4"},
		"joined Latin letters":      {"pay\u200dpal", "U+200D as character 4"},
		"between Chinese":           {"山\u200d田", "U+200D as character 2"},
		"at the begin":              {"\u200cمی", "U+200C as character 1"},
		"at the end":                {"می\u200c", "U+200C as character 3"},
		"at the end of a word":      {"می\u200c خواهم", "U+200C as character 3"},
		"after a virama at the end": {"क्\u200d", "U+200D as character 3"},
		"two":                       {"می\u200c\u200cخواهم", "U+200C as character 3"},
		"both":                      {"می\u200c\u200dخواهم", "U+200C as character 3"},
		"after one that joins not":  {"دا\u200cد", "U+200C as character 3"},
		"joiner in Persian":         {"می\u200dخواهم", "U+200D as character 3"},
		"emoji and letter":          {"👨\u200da", "U+200D as character 2"},
		"emoji kept apart":          {"👨\u200c👩", "U+200C as character 2"},
		"emoji at the end":          {"👨\u200d", "U+200D as character 2"},
		"emoji twice":               {"👨\u200d\u200d👩", "U+200D as character 2"},
		"a sign that is no emoji":   {"°\u200d°", "U+200D as character 2"},
		"lines of boxes":            {"─\u200d─", "U+200D as character 2"},
		"what hides behind one":     {"می\u200cخو\u3164", "U+200C as character 3"},
		"override behind one":       {"می\u200cخواهم\u202e", "U+202E as character 9"},
		"tab":                       {"a\tb", "U+0009 as character 2"},
		"bytes":                     {"ab\xff", "a byte that is no UTF-8 as character 3"},
		"replacement":               {"ab\ufffd", "U+FFFD as character 3"},
	} {
		err := db.CheckText("name", c.text, 200)
		wantErr(t, err, db.ErrInvalid, "text_not_plain")
		if err != nil && !strings.Contains(err.Error(), "the first of them "+c.place+";") {
			t.Errorf("%s: %v, and not %s", name, err, c.place)
		}
	}
	for _, s := range []string{"می\u200cخواهم@example.com", "👨\u200d👩@example.com"} {
		wantErr(t, db.CheckEmail(s), db.ErrInvalid, "bad_email")
	}
	if got := strings.Join(db.Words("می\u200cخواهم"), " "); got != strings.Join(db.Words("خواهم می"), " ") || got == "" {
		t.Errorf("it is found by %q", got)
	}
}

// A description may be long, and full of them.
func TestManyJoiners(t *testing.T) {
	long := strings.Repeat("می\u200cخ", 250)
	if err := db.CheckText("description", long, 1000); err != nil {
		t.Error(err)
	}
	if n := testing.AllocsPerRun(3, func() { db.Plain(long) }); n > 100 {
		t.Errorf("%g allocations: each joiner looks at all of it", n)
	}
}

// A text that is plain has nothing in it that is not, but for joiners between others.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "Ann", "می\u200cخواهم", "ශ්\u200dරී", "👨\u200d👩\u200d👧", "👩🏽\u200d🚀", "❤\ufe0f\u200d🔥", "a\u200db", "\u200c", "\xff\u200d", "می\u200cخو\u3164"} {
		f.Add(s)
	}
	without := strings.NewReplacer("\u200c", "", "\u200d", "")
	f.Fuzz(func(t *testing.T, s string) {
		err := db.CheckText("name", s, 1<<20)
		if plain := db.Plain(s); plain != (err == nil) {
			t.Fatalf("%q is plain: %t, and %v", s, plain, err)
		}
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Errorf("%q: %q", s, err)
			}
			return
		}
		bare := without.Replace(s)
		if !db.Plain(bare) || !utf8.ValidString(s) {
			t.Errorf("%q is plain, and %q is not", s, bare)
		}
		for _, joiner := range []string{"\u200c", "\u200d"} {
			if strings.HasPrefix(s, joiner) || strings.HasSuffix(s, joiner) || strings.Contains(s, joiner+" ") || strings.Contains(s, joiner+joiner) {
				t.Errorf("%q has a joiner of nothing", s)
			}
		}
	})
}
