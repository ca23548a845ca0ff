package password

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func code(err error) string {
	var refused *PolicyError
	if errors.As(err, &refused) {
		return refused.Code
	}
	if err != nil {
		return "another error: " + err.Error()
	}
	return ""
}

func TestCheck(t *testing.T) {
	personal := []string{"Anna.Schmidt+husk@example.org", "Anna María Schmidt"}
	cases := []struct{ name, password, want string }{
		{"a good one", "correct horse battery", ""},
		{"eight code points", "zéphyr🐚q", ""},
		{"only spaces and signs", "~ ~ ! ~ ~", ""},
		{"only digits", "8305176294", ""},
		{"1024 bytes", strings.Repeat("qx", 512), ""},
		{"a sentence with the name in it", "anna likes green boats", ""},
		{"the name and more than a date", "anna8305176294", ""},
		{"contains a common one", "password of the sea", ""},
		{"a common one twice", "passwordpassword1x", ""},
		{"two lines of the list", "password\n12345678", ""},
		{"a line end before", "\npassword", ""},

		{"empty", "", CodeTooShort},
		{"seven code points", "q7!x9zk", CodeTooShort},
		{"seven code points of four bytes", strings.Repeat("🐚", 7), CodeTooShort},
		{"1025 bytes", strings.Repeat("q", 1025), CodeTooLong},
		{"too long and not UTF-8", strings.Repeat("\xff", 1025), CodeTooLong},
		{"a bad byte", "correct horse\xff", CodeNotUTF8},
		{"a surrogate", "correct horse\xed\xa0\x80", CodeNotUTF8},
		{"what a decoder makes of a bad byte", "correct horse\ufffd", CodeNotUTF8},
		{"common", "password", CodeCommon},
		{"common, first of the list", strings.SplitN(commonList, "\n", 2)[0], CodeCommon},
		{"common, last of the list", lastCommon(), CodeCommon},
		{"common, other case", "PassWord", CodeCommon},
		{"common, the long s", "paſſword", CodeCommon},
		{"the product and a year", "Husk2026", CodeCommon},
		{"the product, repeated", "cocococococo", CodeCommon},
		{"the product with signs", "husk!!!!", CodeCommon},

		{"the address", "anna.schmidt+husk@example.org", CodePersonal},
		{"the address, other case", "ANNA.Schmidt+husk@EXAMPLE.org", CodePersonal},
		{"the local part", "anna.schmidt+husk", CodePersonal},
		{"a piece and a date", "Schmidt19900131", CodePersonal},
		{"a piece, repeated", "annaanna", CodePersonal},
		{"a piece, repeated, with signs", "ANNAanna2026!", CodePersonal},
		{"the name", "anna maría schmidt", CodePersonal},
		{"the name without spaces", "AnnaMARÍASchmidt1", CodePersonal},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := code(Check(c.password, personal...)); got != c.want {
				t.Errorf("Check(%.40q) = %q, want %q", c.password, got, c.want)
			}
		})
	}
}

func lastCommon() string {
	lines := strings.Fields(commonList)
	return lines[len(lines)-1]
}

// TestReasonsAreFixed: a reason can't contain the password, since it is the
// same for all of them.
func TestReasonsAreFixed(t *testing.T) {
	for _, pair := range [][2]string{{"husk2026", "cocacola"}, {"abc", "xyz"}, {"abcdefgh\xff", "\xfe"}} {
		a, b := Check(pair[0]), Check(pair[1])
		if a == nil || b == nil || a.Error() != b.Error() || !strings.HasSuffix(a.Error(), ".") {
			t.Errorf("%v and %v", a, b)
		}
	}
}

func TestCheckWithOddPersonalWords(t *testing.T) {
	for _, personal := range []string{"", " ", "@", "@example.org", "a@b", "é", "\xff\xff", "...", strings.Repeat("@", 50)} {
		if err := Check("correct horse battery", personal); err != nil {
			t.Errorf("with %q: %v", personal, err)
		}
	}
	for personal, password := range map[string]string{
		"12345@example.org": "12345123",
		"李明":                "李明李明李明李明",
		"me@example.org":    "me123456",
		"ΑΝΝΑΣ Παππάς":      "παππάς2026",
	} {
		if got := code(Check(password, personal)); got != CodePersonal {
			t.Errorf("Check(%q, %q) = %q", password, personal, got)
		}
	}
}

func TestLength(t *testing.T) {
	for password, want := range map[string]string{
		"x": "", "password": "", "husk2026": "", strings.Repeat("x", 1024): "",
		"": CodeTooShort, strings.Repeat("x", 1025): CodeTooLong, "x\xff": CodeNotUTF8, "\ufffd": CodeNotUTF8,
	} {
		if got := code(Length(password)); got != want {
			t.Errorf("Length(%.20q) = %q, want %q", password, got, want)
		}
	}
}

func TestLengthOfAHugePasswordIsQuick(t *testing.T) {
	huge := strings.Repeat("x", 64<<20)
	if n := testing.AllocsPerRun(1, func() { _ = Check(huge, "anna") }); n != 0 {
		t.Errorf("%v allocations before the length was looked at", n)
	}
}

func TestCommonList(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(commonList, "\n"), "\n")
	if len(lines) != 3000 || !strings.HasSuffix(commonList, "\n") {
		t.Fatalf("%d entries", len(lines))
	}
	seen := map[string]bool{}
	for _, line := range lines {
		switch {
		case utf8.RuneCountInString(line) < MinLength:
			t.Errorf("%q is too short to be on the list", line)
		case line != fold(line) || line != strings.TrimSpace(line) || !utf8.ValidString(line):
			t.Errorf("%q is not folded", line)
		case seen[line]:
			t.Errorf("%q comes twice", line)
		case code(Check(line)) != CodeCommon || code(Check(strings.ToUpper(line))) != CodeCommon:
			t.Errorf("%q is accepted", line)
		}
		seen[line] = true
	}
	for _, well := range []string{"password", "12345678", "qwertyuiop", "iloveyou", "trustno1", "password1"} {
		if !seen[well] {
			t.Errorf("%q is missing", well)
		}
	}
}

func TestFold(t *testing.T) {
	for _, same := range [][]string{{"k", "K", "\u212a"}, {"s", "S", "ſ"}, {"å", "Å", "\u212b"}, {"σ", "Σ", "ς"}, {"é", "É"}, {"я", "Я"}} {
		for _, s := range same {
			if fold(s) != fold(same[0]) {
				t.Errorf("%q and %q differ", s, same[0])
			}
		}
	}
	if got := fold("Az09 @[`{~"); got != "az09 @[`{~" {
		t.Errorf("fold = %q", got)
	}
}

func TestGenerate(t *testing.T) {
	shape := regexp.MustCompile(`^[a-hjkmnp-z2-9]{5}(-[a-hjkmnp-z2-9]{5}){4}$`)
	seen, counts := map[string]bool{}, map[rune]int{}
	const n = 2000
	for range n {
		p := Generate()
		if !shape.MatchString(p) || seen[p] {
			t.Fatalf("generated %q", p)
		}
		if err := Check(p, "anna@example.org"); err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		seen[p] = true
		for _, r := range p {
			counts[r]++
		}
	}
	if bits := float64(groups*groupSize) * math.Log2(float64(len(letters))); bits < 120 {
		t.Errorf("%.1f bits", bits)
	}
	mean := float64(n*groups*groupSize) / float64(len(letters))
	for _, r := range letters {
		if got := float64(counts[r]); math.Abs(got-mean) > 8*math.Sqrt(mean) {
			t.Errorf("%q came %.0f times, %.0f expected", r, got, mean)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := Check("correct horse battery", "anna.schmidt@example.org", "Anna Schmidt"); err != nil {
			b.Fatal(err)
		}
	}
}
