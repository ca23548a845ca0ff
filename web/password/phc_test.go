package password

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
)

// reference are the argon2id vectors of version 19 in src/test.c of the
// reference implementation (P-H-C/phc-winner-argon2), but for the one of
// 256 MiB, and three that its command line made.
var reference = []struct{ password, encoded string }{
	{"password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
	{"password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
	{"password", "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg"},
	{"password", "$argon2id$v=19$m=65536,t=4,p=1$c29tZXNhbHQ$kCXUjmjvc5XMqQedpMTsOv+zyJEf5PhtGiUghW9jFyw"},
	{"differentpassword", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94"},
	{"password", "$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw"},
	{"pässword 🐚", "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$uP3Btt1AVMV/aEFn/tazlDMcWOAOD7hMZpfbUE61uCo"},
	{strings.Repeat("x", 72) + "1", "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$CyzaHFKy1ykjtYubt0ryfUijLfuCFnHq/papCNUTGyM"},
	{strings.Repeat("x", 72) + "2", "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$JxNUBoDSQJ/pVhfNZJdn5dAPEYBwK+LbZm51+ViGbKg"},
}

func TestReferenceVectors(t *testing.T) {
	for _, v := range reference {
		t.Run(v.encoded, func(t *testing.T) {
			rec, err := parsePHC(v.encoded)
			if err != nil {
				t.Fatal(err)
			}
			if got := rec.String(); got != v.encoded {
				t.Errorf("put together again: %s", got)
			}
			if !rec.verify(argon2.IDKey, v.password) {
				t.Error("the right password is refused")
			}
			if rec.verify(argon2.IDKey, v.password+"x") || rec.verify(argon2.IDKey, strings.ToUpper(v.password)) {
				t.Error("a wrong password is accepted")
			}
		})
	}
}

// openwall are vectors of crypt_blowfish's wrapper.c, to be verified under
// each of the three versions, which differ in old faults only.
var openwall = []struct{ password, rest string }{
	{"U*U", "$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
	{"U*U*", "$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"},
	{"U*U*U", "$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"},
	{"", "$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"},
	{"\xa3", "$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"},
	{strings.Repeat("\x55\xaa\xff", 24), "$05$/OK.fbVrR/bpIqNJ5ianF.9tQZzcJfm3uj2NvJ/n5xkhpqLrMpWCe"},
	{digitsAndLetters, "$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"},
}

// digitsAndLetters are 72 bytes: all that bcrypt looks at.
const digitsAndLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func TestBcryptVectors(t *testing.T) {
	for _, v := range openwall {
		for _, version := range []string{"$2a", "$2b", "$2y"} {
			rec, err := parse(version + v.rest)
			if err != nil {
				t.Errorf("%s%s: %v", version, v.rest, err)
				continue
			}
			if !rec.verify(nil, v.password) {
				t.Errorf("%s%s: the right password is refused", version, v.rest)
			}
			if rec.verify(nil, v.password+"x") {
				t.Errorf("%s%s: a wrong password is accepted", version, v.rest)
			}
		}
	}
}

func TestBcryptRefusesWhatItCanNotTell(t *testing.T) {
	long := bcryptHash("$2a" + openwall[6].rest)
	if long.verify(nil, digitsAndLetters+"chars after 72 are ignored") {
		t.Error("a password is accepted by its first 72 bytes")
	}
	repeated := bcryptHash("$2a" + openwall[0].rest)
	if repeated.verify(nil, "U*U\x00U*U") {
		t.Error("a password repeated after a NUL is accepted")
	}
}

const (
	goodSalt = "MDEyMzQ1Njc4OWFiY2RlZg"
	goodTag  = "CyzaHFKy1ykjtYubt0ryfUijLfuCFnHq/papCNUTGyM"
)

func TestValid(t *testing.T) {
	phc := func(params, salt, tag string) string { return "$argon2id$v=19$" + params + "$" + salt + "$" + tag }
	bcryptRest := openwall[0].rest[3:]
	cases := []struct{ name, encoded, reason string }{
		{"argon2id", phc("m=19456,t=2,p=1", goodSalt, goodTag), ""},
		{"as peers write it", phc("m=65536,t=3,p=4", goodSalt, goodTag), ""},
		{"all ceilings", phc("m=9728,t=32,p=16", b64.EncodeToString(make([]byte, 64)), b64.EncodeToString(make([]byte, 64))), ""},
		{"all floors", phc("m=8,t=1,p=1", b64.EncodeToString(make([]byte, 8)), b64.EncodeToString(make([]byte, 16))), ""},
		{"the most memory", phc("m=311296,t=1,p=1", goodSalt, goodTag), ""},
		{"bcrypt, cost 13", "$2b$13" + bcryptRest, ""},
		{"bcrypt, cost 4", "$2y$04" + bcryptRest, ""},

		{"work above", phc("m=311297,t=1,p=1", goodSalt, goodTag), "m=311297,t=1 is too much work"},
		{"work above by time", phc("m=9729,t=32,p=1", goodSalt, goodTag), "m=9729,t=32 is too much work"},
		{"all ceilings but the product's", phc("m=1048576,t=32,p=16", goodSalt, goodTag), "m=1048576,t=32 is too much work"},
		{"memory above", phc("m=1048577,t=2,p=1", goodSalt, goodTag), "out of range"},
		{"memory of 4 TiB", phc("m=4294967295,t=2,p=1", goodSalt, goodTag), "out of range"},
		{"memory overflows", phc("m=4294967304,t=2,p=1", goodSalt, goodTag), "out of range"},
		{"memory below eight blocks a lane", phc("m=15,t=2,p=2", goodSalt, goodTag), "out of range"},
		{"time above", phc("m=19456,t=33,p=1", goodSalt, goodTag), "out of range"},
		{"time zero", phc("m=19456,t=0,p=1", goodSalt, goodTag), "out of range"},
		{"lanes above", phc("m=19456,t=2,p=17", goodSalt, goodTag), "out of range"},
		{"lanes overflow a byte", phc("m=19456,t=2,p=257", goodSalt, goodTag), "out of range"},
		{"lanes zero", phc("m=19456,t=2,p=0", goodSalt, goodTag), "out of range"},
		{"leading zero", phc("m=019456,t=2,p=1", goodSalt, goodTag), "unreadable"},
		{"sign", phc("m=+19456,t=2,p=1", goodSalt, goodTag), "unreadable"},
		{"another order", phc("t=2,m=19456,p=1", goodSalt, goodTag), "unreadable"},
		{"a key more", phc("m=19456,t=2,p=1,keyid=AAAA", goodSalt, goodTag), "unreadable"},
		{"a key less", phc("m=19456,t=2", goodSalt, goodTag), "unreadable"},
		{"salt short", phc("m=64,t=1,p=1", b64.EncodeToString(make([]byte, 7)), goodTag), "salt"},
		{"salt long", phc("m=64,t=1,p=1", b64.EncodeToString(make([]byte, 65)), goodTag), "salt"},
		{"salt padded", phc("m=64,t=1,p=1", goodSalt+"==", goodTag), "salt"},
		{"salt with spare bits", phc("m=64,t=1,p=1", goodSalt[:21]+"h", goodTag), "salt"},
		{"salt in base64url", phc("m=64,t=1,p=1", "-"+goodSalt[1:], goodTag), "salt"},
		{"salt with a line end", phc("m=64,t=1,p=1", goodSalt[:4]+"\n"+goodSalt[4:], goodTag), "salt"},
		{"tag short", phc("m=64,t=1,p=1", goodSalt, b64.EncodeToString(make([]byte, 15))), "tag"},
		{"tag long", phc("m=64,t=1,p=1", goodSalt, b64.EncodeToString(make([]byte, 65))), "tag"},
		{"tag cut", phc("m=64,t=1,p=1", goodSalt, goodTag[:41]), "tag"},
		{"tag followed by a line end", phc("m=64,t=1,p=1", goodSalt, goodTag+"\n"), "tag"},
		{"no tag", "$argon2id$v=19$m=64,t=1,p=1$" + goodSalt, "form"},
		{"a field more", phc("m=64,t=1,p=1", goodSalt, goodTag) + "$", "form"},
		{"version 16", "$argon2id$v=16$m=64,t=1,p=1$" + goodSalt + "$" + goodTag, "version 19"},
		{"no version", "$argon2id$m=64,t=1,p=1$" + goodSalt + "$" + goodTag, "form"},

		{"bcrypt, cost 14", "$2b$14" + bcryptRest, "the cost 14 is not between 4 and 13"},
		{"bcrypt, cost 31", "$2b$31" + bcryptRest, "cost 31"},
		{"bcrypt, cost 3", "$2b$03" + bcryptRest, "cost 3"},
		{"bcrypt, cost unreadable", "$2b$1x" + bcryptRest, "cost is no number"},
		{"bcrypt, cut", ("$2b$10" + bcryptRest)[:59], "60 characters"},
		{"bcrypt, longer", "$2b$10" + bcryptRest + "x", "60 characters"},
		{"bcrypt, another alphabet", ("$2b$10" + bcryptRest)[:59] + "+", "characters"},
		{"bcrypt, a line end inside", strings.Replace("$2b$10"+bcryptRest, "E5", "\r\n", 1), "characters"},
		{"bcrypt, a tag that nothing matches", ("$2b$10" + bcryptRest)[:59] + "X", "characters"},

		{"empty", "", "no known kind"},
		{"plain text", "correct horse", "no known kind"},
		{"argon2i", "$argon2i$v=19$m=64,t=1,p=1$" + goodSalt + "$" + goodTag, "argon2i is not supported"},
		{"argon2d", "$argon2d$v=19$m=64,t=1,p=1$" + goodSalt + "$" + goodTag, "argon2d is not supported"},
		{"htpasswd MD5", "$apr1$abcdefgh$0123456789012345678901", "MD5 (apr1) is not supported"},
		{"htpasswd SHA-1", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "SHA-1"},
		{"SHA-512-crypt", "$6$salt$tag", "SHA-512 crypt is not supported"},
		{"yescrypt", "$y$j9T$salt$tag", "yescrypt"},
		{"faulty bcrypt", "$2x$05" + bcryptRest, "faulty"},
		{"Django", "pbkdf2_sha256$260000$salt$tag", "PBKDF2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkValid(t, c.encoded, c.reason) })
	}
}

func checkValid(t *testing.T, encoded, reason string) {
	t.Helper()
	err := Valid(encoded)
	if reason == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), reason) {
		t.Fatalf("got %v, want ErrDamaged with %q", err, reason)
	}
	if len(encoded) > 12 && strings.Contains(err.Error(), encoded[len(encoded)-12:]) {
		t.Fatalf("the error repeats the hash: %v", err)
	}
}

func TestDamagedRecordAllocatesLittle(t *testing.T) {
	huge := "$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 1<<20) + "$" + goodTag
	if n := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if Valid(huge) == nil {
				b.Fatal("accepted")
			}
		}
	}).AllocedBytesPerOp(); n > 1<<12 {
		t.Fatalf("%d bytes for a damaged record", n)
	}
}

func TestStale(t *testing.T) {
	current := DefaultParams()
	argon := func(m, t uint32, p uint8, salt, tag int) *phc {
		return &phc{Params: Params{m, t, p}, salt: make([]byte, salt), tag: make([]byte, tag)}
	}
	cases := []struct {
		name string
		rec  record
		conf Params
		want bool
	}{
		{"the same", argon(19456, 2, 1, 16, 32), current, false},
		{"less memory", argon(16384, 2, 1, 16, 32), current, true},
		{"less time", argon(19456, 1, 1, 16, 32), current, true},
		{"less memory, more time, less work", argon(12288, 3, 1, 16, 32), current, true},
		{"tiny, many passes", argon(8, 32, 1, 16, 32), current, true},
		{"more memory", argon(65536, 2, 1, 16, 32), current, false},
		{"more time", argon(19456, 3, 1, 16, 32), current, false},
		{"more of both, more lanes", argon(65536, 3, 4, 16, 32), current, false},
		{"more memory, less time, more work", argon(47104, 1, 1, 16, 32), current, false},
		{"more memory, less time, less work", argon(30000, 1, 1, 16, 32), current, false},
		{"less memory, more work", argon(9728, 8, 1, 16, 32), current, false},
		{"less memory, the same work", argon(9728, 4, 1, 16, 32), current, true},
		{"other lanes only", argon(19456, 2, 4, 16, 32), current, false},
		{"short salt", argon(19456, 2, 1, 8, 32), current, true},
		{"short tag", argon(19456, 2, 1, 16, 16), current, true},
		{"short salt, but stronger", argon(65536, 3, 4, 8, 32), current, false},
		{"longer salt and tag", argon(19456, 2, 1, 32, 64), current, false},
		{"for tests only", argon(64, 1, 1, 16, 32), current, true},
		{"configuration raised", argon(19456, 2, 1, 16, 32), Params{65536, 3, 4}, true},
		{"configuration lowered", argon(65536, 3, 4, 16, 32), Params{12288, 3, 1}, false},
		{"bcrypt", bcryptHash("$2b$13" + openwall[0].rest[3:]), current, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.rec.stale(c.conf); got != c.want {
				t.Errorf("stale = %t, want %t", got, c.want)
			}
		})
	}
}

// TestRehashSettles: whatever is rehashed is not stale afterwards, and its
// memory and work were not lowered.
func TestRehashSettles(t *testing.T) {
	for _, conf := range floor {
		conf.Threads = 1
		for _, m := range []uint32{8, 64, 7168, 9216, 12288, 19456, 20000, 47104, 65536, 1 << 20} {
			for time := uint32(1); time <= maxTime; time++ {
				old := &phc{Params: Params{m, time, 1}, salt: make([]byte, 16), tag: make([]byte, 32)}
				if !old.stale(conf) {
					continue
				}
				if conf.Memory < old.Memory || conf.blocks() < old.blocks() || conf.weakerThan(conf) {
					t.Errorf("%+v would become %+v", old.Params, conf)
				}
			}
		}
	}
}

// FuzzParsePHC: what is accepted is written again as the same bytes, within
// the ceilings; everything else is ErrDamaged and nothing.
func FuzzParsePHC(f *testing.F) {
	for _, v := range reference {
		f.Add(v.encoded)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rec, err := parsePHC(s)
		if err != nil {
			if rec != nil || !errors.Is(err, ErrDamaged) {
				t.Fatalf("parsePHC(%q) = %v, %v", s, rec, err)
			}
			return
		}
		if again := rec.String(); again != s {
			t.Fatalf("%q was written again as %q", s, again)
		}
		if !rec.inRange() || rec.blocks() > maxBlocks || len(rec.salt) > maxSalt || len(rec.tag) > maxTag {
			t.Fatalf("%q is above the ceilings: %+v", s, rec.Params)
		}
	})
}

// FuzzValid: anything may be in a record or an import; nothing of it panics or
// comes back in an error.
func FuzzValid(f *testing.F) {
	f.Add("$2a" + openwall[0].rest)
	f.Add(reference[0].encoded)
	f.Fuzz(func(t *testing.T, s string) {
		if err := Valid(s); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("Valid(%q) = %v", s, err)
		}
	})
}

func BenchmarkParsePHC(b *testing.B) {
	encoded := reference[0].encoded
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
