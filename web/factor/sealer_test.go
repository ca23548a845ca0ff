package factor

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
)

// keyText is a line of a file with keys.
func keyText(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, keyBytes))
}

func sealerOf(t *testing.T, lines ...string) *Sealer {
	t.Helper()
	s, err := NewSealer([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealerOpensItsOwn(t *testing.T) {
	secret := NewTOTPSecret()
	for name, s := range map[string]*Sealer{"without a key": {}, "with one": sealerOf(t, keyText(1)), "with two": sealerOf(t, keyText(2), keyText(1))} {
		t.Run(name, func(t *testing.T) {
			sealed := s.Seal("ann", secret)
			got, err := s.Open("ann", sealed)
			if err != nil || !bytes.Equal(got, secret) {
				t.Errorf("%x, %v", got, err)
			}
			if hidden := !bytes.Contains(sealed, secret); hidden != (len(s.keys) > 0) {
				t.Errorf("the secret is hidden: %v", hidden)
			}
		})
	}
}

func TestSealerSealsUnderTheFirstKey(t *testing.T) {
	secret := NewTOTPSecret()
	old, both, new := sealerOf(t, keyText(1)), sealerOf(t, keyText(2), keyText(1)), sealerOf(t, keyText(2))
	if got, err := both.Open("ann", old.Seal("ann", secret)); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("the older key does not open: %v", err)
	}
	if got, err := new.Open("ann", both.Seal("ann", secret)); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("it was not sealed under the first key: %v", err)
	}
}

func TestSealerNamesAnUnknownKey(t *testing.T) {
	other := sealerOf(t, keyText(1))
	for name, s := range map[string]*Sealer{"without a key": {}, "with another": sealerOf(t, keyText(2))} {
		_, err := s.Open("ann", other.Seal("ann", NewTOTPSecret()))
		var unknown *UnknownKeyError
		if !errors.Is(err, ErrSealed) || !errors.As(err, &unknown) || unknown.Key != other.Keys()[0] || !strings.Contains(err.Error(), unknown.Key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSealerRefusesAnotherUsers(t *testing.T) {
	s := sealerOf(t, keyText(1))
	if _, err := s.Open("bob", s.Seal("ann", NewTOTPSecret())); err != ErrSealed {
		t.Error(err)
	}
}

// TestSealerRefusesWhatIsDamaged flips each bit, and cuts at each byte.
func TestSealerRefusesWhatIsDamaged(t *testing.T) {
	s := sealerOf(t, keyText(1))
	sealed := s.Seal("ann", NewTOTPSecret())
	for bit := range len(sealed) * 8 {
		other := bytes.Clone(sealed)
		other[bit/8] ^= 1 << (bit % 8)
		if _, err := s.Open("ann", other); !errors.Is(err, ErrSealed) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	for n := range len(sealed) {
		if _, err := s.Open("ann", sealed[:n]); err != ErrSealed {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if _, err := s.Open("ann", append(sealed, 0)); err != ErrSealed {
		t.Errorf("one byte more: %v", err)
	}
	plain := new(Sealer).Seal("ann", NewTOTPSecret())
	for n := range len(plain) {
		if _, err := s.Open("ann", plain[:n]); err != ErrSealed {
			t.Fatalf("%d bytes of a plain one: %v", n, err)
		}
	}
}

func TestSealerNeverSealsTwiceAlike(t *testing.T) {
	s, secret := sealerOf(t, keyText(1)), NewTOTPSecret()
	if bytes.Equal(s.Seal("ann", secret), s.Seal("ann", secret)) {
		t.Error("it did")
	}
}

func TestReseal(t *testing.T) {
	secret := NewTOTPSecret()
	none, old, both := &Sealer{}, sealerOf(t, keyText(1)), sealerOf(t, keyText(2), keyText(1))
	for name, sealed := range map[string][]byte{"plain": none.Seal("ann", secret), "older": old.Seal("ann", secret)} {
		again, err := both.Reseal("ann", sealed)
		if err != nil || again == nil {
			t.Fatalf("%s: %x, %v", name, again, err)
		}
		if got, err := sealerOf(t, keyText(2)).Open("ann", again); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: %v", name, err)
		}
		if again, err = both.Reseal("ann", again); again != nil || err != nil {
			t.Errorf("%s is sealed a second time: %x, %v", name, again, err)
		}
	}
	if again, err := none.Reseal("ann", none.Seal("ann", secret)); again != nil || err != nil {
		t.Errorf("without a key: %x, %v", again, err)
	}
	if again, err := none.Reseal("ann", old.Seal("ann", secret)); again != nil || !errors.Is(err, ErrSealed) {
		t.Errorf("sealed, without a key: %x, %v", again, err)
	}
}

func TestNewSealerReads(t *testing.T) {
	padded := keyText(1)
	for name, text := range map[string]string{
		"one line": padded, "a line end": padded + "\n", "without padding": strings.TrimRight(padded, "="), "a remark": "# of 2026\n\n" + padded + "\n",
		"from Windows": padded + "\r\n", "spaces around": "  " + padded + "\t\n",
	} {
		s, err := NewSealer([]byte(text))
		if err != nil || !slices.Equal(s.Keys(), sealerOf(t, padded).Keys()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := sealerOf(t, keyText(2), "# older", keyText(1)); !slices.Equal(s.Keys(), slices.Concat(sealerOf(t, keyText(2)).Keys(), sealerOf(t, keyText(1)).Keys())) {
		t.Error("the keys are in another order")
	}
}

func TestNewSealerRefuses(t *testing.T) {
	good := keyText(1)
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "it holds no key"},
		"remarks":        {"# a key follows\n\n", "it holds no key"},
		"31 bytes":       {base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 31)), "line 1: a key has 32 bytes, and this one has 31"},
		"33 bytes":       {good + "\n" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 33)), "line 2: a key has 32 bytes, and this one has 33"},
		"hexadecimal":    {strings.Repeat("0a", 32), "line 1: a key has 32 bytes, and this one has 48"},
		"other alphabet": {strings.Repeat("_-", 21) + "w", "line 1: it is not base64"},
		"two in a line":  {"\n\n" + good + " " + good, "line 3: it is not base64"},
		"loose bits":     {good[:42] + "F=", "line 1: it is not base64"},
		"doubled":        {good + "\n# and\n" + strings.TrimRight(good, "="), "line 3: it is the key of line 1 again"},
		"zeros":          {keyText(0), "line 1: the key is nothing but zeros"},
		"a mark":         {"\ufeff" + good, "line 1: it is not base64"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewSealer([]byte(c.text))
			if s != nil || err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func FuzzNewSealer(f *testing.F) {
	f.Add([]byte(keyText(1) + "\n#\n" + keyText(2)))
	f.Add([]byte("=\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := NewSealer(text)
		if (s == nil) == (err == nil) {
			t.Fatal("neither keys nor an error, or both")
		}
		if err == nil {
			secret := NewTOTPSecret()
			if got, err := s.Open("ann", s.Seal("ann", secret)); err != nil || !bytes.Equal(got, secret) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzOpen shows what the store may hold: nothing but what was sealed opens.
func FuzzOpen(f *testing.F) {
	s, err := NewSealer([]byte(keyText(1)))
	if err != nil {
		f.Fatal(err)
	}
	zeros := make([]byte, secretBytes)
	f.Add(s.Seal("ann", zeros))
	f.Add(append([]byte{plainSecret}, zeros...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		secret, err := s.Open("ann", text)
		if err == nil && (len(secret) != secretBytes || text[0] == sealedSecret && !bytes.Equal(secret, zeros)) {
			t.Fatalf("%x was opened", text)
		}
	})
}
