package token

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math/big"
	"os"
	"strings"
	"testing"
)

// vector is one entry of testdata/vectors.json, made by a program in another
// language from the description in the package comment.
type vector struct{ ID, Random, Secret, SHA256 string }

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v []vector
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Secret, func(t *testing.T) {
			var random [32]byte
			if _, err := hex.Decode(random[:], []byte(v.Random)); err != nil {
				t.Fatal(err)
			}
			if got := build(v.ID, random); got != v.Secret {
				t.Errorf("build = %s", got)
			}
			if id, err := Parse(v.Secret); id != v.ID || err != nil {
				t.Errorf("Parse = %q, %v", id, err)
			}
			hash := Hash(v.Secret)
			if got := hex.EncodeToString(hash[:]); got != v.SHA256 {
				t.Errorf("Hash = %s, want %s", got, v.SHA256)
			}
		})
	}
}

func TestNewIsItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		secret, id := New()
		got, err := Parse(secret)
		if err != nil || got != id {
			t.Fatalf("Parse(%s) = %q, %v", secret, got, err)
		}
		if seen[id] || seen[secret] {
			t.Fatalf("made twice: %s", secret)
		}
		seen[id], seen[secret] = true, true
	}
}

func TestWithIDKeepsTheIDAndChangesTheSecret(t *testing.T) {
	first, id := New()
	second := WithID(id)
	if got, err := Parse(second); got != id || err != nil {
		t.Fatalf("Parse = %q, %v", got, err)
	}
	if first == second || Equal(first, Hash(second)) {
		t.Fatal("the rotated token is the old one")
	}
}

func TestWithIDRefusesAnotherShape(t *testing.T) {
	for _, id := range []string{"", "x", "A1B2C3D4-E5F6-4718-9A0B-C1D2E3F40516", "a1b2c3d4-e5f6-1718-9a0b-c1d2e3f40516"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("WithID(%q) did not panic", id)
				}
			}()
			WithID(id)
		}()
	}
}

func TestParseRefuses(t *testing.T) {
	good := vectors(t)[2].Secret
	over := new(big.Int).Lsh(big.NewInt(1), 256)
	cases := []struct {
		name, in string
		want     error
	}{
		{"empty", "", ErrMalformed},
		{"only an id", good[:36], ErrMalformed},
		{"one character short", good[:Len-1], ErrMalformed},
		{"one character more", good + "0", ErrMalformed},
		{"line end", good + "\n", ErrMalformed},
		{"space before", " " + good, ErrMalformed},
		{"capitals in the id", resum(strings.ToUpper(good[:36]) + good[36:checkAt]), ErrMalformed},
		{"version 1", resum(good[:14] + "1" + good[15:checkAt]), ErrMalformed},
		{"another variant", resum(good[:19] + "c" + good[20:checkAt]), ErrMalformed},
		{"no hyphen", resum(good[:8] + "0" + good[9:checkAt]), ErrMalformed},
		{"hyphen for underscore", resum(good[:36] + "-" + good[37:checkAt]), ErrMalformed},
		{"minus in the random part", resum(good[:50] + "-" + good[51:checkAt]), ErrMalformed},
		{"2 to the 256th", resum(good[:37] + digits(over)), ErrMalformed},
		{"all z", resum(good[:37] + strings.Repeat("z", randomLen)), ErrMalformed},
		{"check not base62", good[:Len-1] + "!", ErrMalformed},
		{"check of zeros", good[:checkAt] + "000000", ErrChecksum},
		{"check above 32 bits", good[:checkAt] + "zzzzzz", ErrChecksum},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if id, err := Parse(c.in); id != "" || !errors.Is(err, c.want) {
				t.Errorf("Parse(%q) = %q, %v; want %v", c.in, id, err, c.want)
			}
		})
	}
}

// resum ends s with the check that belongs to it, so that a test reaches the
// rule it is about.
func resum(s string) string {
	c := encode32(crc32.ChecksumIEEE([]byte(s)))
	return s + string(c[:])
}

// digits spells n in 43 characters by means other than the package's own.
func digits(n *big.Int) string {
	base, rest := big.NewInt(62), new(big.Int)
	out := make([]byte, randomLen)
	for i := randomLen - 1; i >= 0; i-- {
		n, rest = new(big.Int).DivMod(n, base, rest)
		out[i] = alphabet[rest.Int64()]
	}
	return string(out)
}

func TestMaxRandom(t *testing.T) {
	max := new(big.Int).Lsh(big.NewInt(1), 256)
	if got := digits(max.Sub(max, big.NewInt(1))); got != maxRandom {
		t.Fatalf("2^256-1 is %s, not %s", got, maxRandom)
	}
}

func TestCheckIsTheStandardCRC(t *testing.T) {
	// The check value of CRC-32/ISO-HDLC: 0xCBF43926 of "123456789".
	if got, want := check("123456789"), encode32(0xCBF43926); got != want {
		t.Fatalf("check = %s, want %s", got, want)
	}
}

func TestEveryChangedCharacterIsTold(t *testing.T) {
	good := vectors(t)[3].Secret
	for i := range len(good) {
		for n := range 256 {
			c := byte(n)
			if c == good[i] {
				continue
			}
			bad := good[:i] + string([]byte{c}) + good[i+1:]
			if id, err := Parse(bad); err == nil {
				t.Fatalf("character %d changed to %q: accepted as %s", i, c, id)
			}
			if Equal(bad, Hash(good)) {
				t.Fatalf("character %d changed to %q: equal", i, c)
			}
		}
	}
}

func TestSwappedNeighboursAreTold(t *testing.T) {
	good := vectors(t)[3].Secret
	for i := range len(good) - 1 {
		if good[i] == good[i+1] {
			continue
		}
		bad := good[:i] + good[i+1:i+2] + good[i:i+1] + good[i+2:]
		if _, err := Parse(bad); err == nil {
			t.Fatalf("characters %d and %d swapped: accepted", i, i+1)
		}
	}
}

func TestEqual(t *testing.T) {
	secret, _ := New()
	other, _ := New()
	if !Equal(secret, Hash(secret)) {
		t.Error("a token is not equal to its own hash")
	}
	if Equal(secret, Hash(other)) || Equal("", Hash(other)) || Equal(secret, [32]byte{}) {
		t.Error("equal to another hash")
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"a1b2c3d4-e5f6-4718-9a0b-c1d2e3f40516": "a1b2c3d4***",
		"a1b2c3d":                              "***",
		"":                                     "***",
	} {
		if got := Mask(in); got != want {
			t.Errorf("Mask(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseAndEqualDoNotAllocate(t *testing.T) {
	secret, _ := New()
	hash := Hash(secret)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Parse(secret); err != nil || !Equal(secret, hash) {
			t.Fatal("not accepted")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// FuzzParse: what is accepted, put together again from its parts, gives the
// same bytes; everything else is one of the two errors and nothing.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Secret)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err != nil {
			if id != "" || (err != ErrMalformed && err != ErrChecksum) {
				t.Fatalf("Parse(%q) = %q, %v", s, id, err)
			}
			return
		}
		if again := build(id, decode(t, s[randomAt:checkAt])); again != s {
			t.Fatalf("%q was put together again as %q", s, again)
		}
	})
}

func TestEncode256IsDecodedToTheSame(t *testing.T) {
	numbers := [][32]byte{{}, {31: 1}, {31: 61}, {31: 62}, {0: 1}, {0: 0xff}}
	for i := range 256 { // a bit, and all bits below it
		var bit, below [32]byte
		bit[31-i/8] = 1 << (i % 8)
		new(big.Int).Sub(new(big.Int).SetBytes(bit[:]), big.NewInt(1)).FillBytes(below[:])
		numbers = append(numbers, bit, below)
	}
	for range 1000 {
		var n [32]byte
		rand.Read(n[:])
		numbers = append(numbers, n)
	}
	for _, n := range numbers {
		digits := encode256(n)
		if got := decode(t, string(digits[:])); got != n || !isRandom(string(digits[:])) {
			t.Fatalf("%x is spelled %s, which is %x", n, digits, got)
		}
	}
}

// decode is encode256 the other way round.
func decode(t *testing.T, s string) (out [32]byte) {
	t.Helper()
	n := new(big.Int)
	for _, c := range []byte(s) {
		n.Mul(n, big.NewInt(62)).Add(n, big.NewInt(int64(strings.IndexByte(alphabet, c))))
	}
	if n.BitLen() > 256 {
		t.Fatalf("%s is a number of %d bits", s, n.BitLen())
	}
	n.FillBytes(out[:])
	return out
}

func BenchmarkParse(b *testing.B) {
	secret, _ := New()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEqual(b *testing.B) {
	secret, _ := New()
	hash := Hash(secret)
	b.ReportAllocs()
	for b.Loop() {
		if !Equal(secret, hash) {
			b.Fatal("not equal")
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New()
	}
}
