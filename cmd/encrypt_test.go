//go:build unix

package cmd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
)

func newAgeKey(t *testing.T) *age.X25519Identity {
	t.Helper()
	pair, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// What was sealed comes back for each of those it was sealed to, and its end
// is seen: nothing can be cut off.
func TestSeal(t *testing.T) {
	ann, bob, eve := newAgeKey(t), newAgeKey(t), newAgeKey(t)
	encrypt, err := sealTo([]string{ann.Recipient().String(), bob.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("a store of some length. "), 10_000)
	var sealed bytes.Buffer
	w, err := encrypt(&sealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(want); err != nil {
		t.Fatal(err)
	}
	unfinished := bytes.Clone(sealed.Bytes())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]identities{"ann": {ann}, "bob": {bob}, "all": {eve, ann}} {
		r, err := unseal(bytes.NewReader(sealed.Bytes()), keys)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := unseal(bytes.NewReader(sealed.Bytes()), identities{eve}); exitCode(err) != exitInvalid {
		t.Errorf("with another's key: %v", err)
	}
	for _, n := range []int{len(sealed.Bytes()) - 1, len(sealed.Bytes()) - 70_000, len(unfinished)} {
		r, err := unseal(bytes.NewReader(sealed.Bytes()[:n]), identities{ann})
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("cut to %d bytes it is whole", n)
		}
	}
	if clear, err := unseal(strings.NewReader("age"), nil); err != nil {
		t.Error(err)
	} else if got, _ := io.ReadAll(clear); string(got) != "age" {
		t.Errorf("what is not encrypted becomes %q", got)
	}
}

func TestSealTo(t *testing.T) {
	if s, err := sealTo(nil); s != nil || err != nil {
		t.Errorf("to nobody: %v", err)
	}
	pair, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := sealTo([]string{pair.Recipient().String()}); s == nil || err != nil {
		t.Errorf("to a key that resists quantum computers: %v", err)
	}
	_, err = sealTo([]string{pair.Recipient().String(), newAgeKey(t).Recipient().String()})
	if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "can't be used together") {
		t.Errorf("to keys of both kinds: %v", err)
	}
	secret := newAgeKey(t).String()
	for _, bad := range []string{"", "age1", secret, pair.Recipient().String()[:100], "age1a\nage1b", "# a comment"} {
		if _, err := parseRecipient(bad); !errors.Is(err, errRecipient) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	list := newRecipients()
	one, two := newAgeKey(t).Recipient().String(), newAgeKey(t).Recipient().String()
	if err := list.Set(one + ", " + two); err != nil || list.String() != one+","+two || len(list.GetSlice()) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	if err := list.Replace([]string{two}); err != nil || list.String() != two {
		t.Errorf("%v, %v", list, err)
	}
}

// A writer that fails is not a backup that is none.
func TestReadBackupTellsWhoFailed(t *testing.T) {
	p := program{data: newData(t)}
	p.ok(t, "token", "create")
	text := p.run(t, "backup", "--output", "-").stdout
	broken := errors.New("the disk is broken")
	if _, err := readBackup(t.Context(), strings.NewReader(text), failingWriter{broken}); err != broken {
		t.Errorf("%v", err)
	}
	if _, err := readBackup(t.Context(), strings.NewReader(text), io.Discard); err != nil {
		t.Error(err)
	}
	if _, err := readBackup(t.Context(), io.MultiReader(strings.NewReader(text[:len(text)-5000]), failingReader{broken}), io.Discard); exitCode(err) != exitInvalid {
		t.Errorf("%v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
