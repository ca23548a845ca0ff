package upkeep

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web/factor"
)

func sealerWith(t *testing.T, keys ...byte) *factor.Sealer {
	t.Helper()
	var lines []string
	for _, b := range keys {
		lines = append(lines, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)))
	}
	s, err := factor.NewSealer([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hold keeps a secret of a new user, sealed by what is given.
func (w *watched) hold(email string, seal func(user string) []byte) (user string) {
	w.t.Helper()
	local := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions, Transport: db.TransportOffline}
	u, err := w.Store.CreateUser(w.t.Context(), local, db.NewUser{Email: email, Password: "$hash"})
	must(w.t, err)
	session, _, err := w.Store.CreateSession(w.t.Context(), local, db.SignIn{User: u.ID, Verified: u.Password, TTL: time.Hour})
	must(w.t, err)
	must(w.t, w.Store.BeginTOTP(w.t.Context(), &db.Actor{ID: u.ID, User: u, Session: session}, seal(u.ID)))
	return u.ID
}

// kept returns a user's secret as it is kept.
func (w *watched) kept(user string) (sealed []byte) {
	w.t.Helper()
	must(w.t, w.Store.EachTOTP(w.t.Context(), func(of string, secret []byte) {
		if of == user {
			sealed = bytes.Clone(secret)
		}
	}))
	return sealed
}

func (w *watched) secretCodes() (codes []string) {
	for _, one := range w.SecretWarnings() {
		codes = append(codes, one.Code)
	}
	return codes
}

// TestSecretsAreSealedAnew has all kinds of secrets in a store, and goes on behind
// those that can't be read.
func TestSecretsAreSealedAnew(t *testing.T) {
	secret := factor.NewTOTPSecret()
	plain, old, both, lost := &factor.Sealer{}, sealerWith(t, 1), sealerWith(t, 2, 1), sealerWith(t, 9)
	w := newWatched(t, func(c *Config) { c.Sealer = both })
	by := func(s *factor.Sealer) func(string) []byte {
		return func(user string) []byte { return s.Seal(user, secret) }
	}
	damaged := w.hold("a@example.com", func(user string) []byte { return old.Seal(user, secret)[:40] })
	unknown := w.hold("b@example.com", by(lost))
	wasPlain := w.hold("c@example.com", by(plain))
	wasOld := w.hold("d@example.com", by(old))
	isNew := w.hold("e@example.com", by(both))
	before := map[string][]byte{damaged: w.kept(damaged), unknown: w.kept(unknown), isNew: w.kept(isNew)}
	w.lookAtSecrets(t.Context())

	newest := sealerWith(t, 2)
	for _, user := range []string{wasPlain, wasOld, isNew} {
		if got, err := newest.Open(user, w.kept(user)); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: %v", user, err)
		}
	}
	for user, then := range before {
		if !bytes.Equal(w.kept(user), then) {
			t.Errorf("%s was changed", user)
		}
	}
	log := w.log.String()
	for _, want := range []string{"sealed anew, under the first key of --secrets-key-file\" secrets=2 key=" + both.Keys()[0],
		"does not have: put that key back, or reset these users' second factors\" users=1 keys=" + lost.Keys()[0] + " first=" + unknown,
		"are damaged: reset these users' second factors, or restore a backup\" users=1 first=" + damaged} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %s:\n%s", want, log)
		}
	}
	warnings := w.SecretWarnings()
	if len(warnings) != 1 || warnings[0].Values["users"] != "2" || strings.Contains(warnings[0].Text, unknown) {
		t.Errorf("%+v", warnings)
	}

	// Each of the two is mended, and that is seen at the next look.
	commits := w.Store.Stats().Engine.Commits
	w.lookAtSecrets(t.Context())
	if w.Store.Stats().Engine.Commits != commits {
		t.Error("a look at secrets that are as they should be writes")
	}
	w.Sealer = sealerWith(t, 2, 9)
	w.lookAtSecrets(t.Context())
	if got := w.SecretWarnings(); len(got) != 1 || got[0].Values["users"] != "1" {
		t.Errorf("after the key came back: %+v", got)
	}
	local := &db.Actor{ID: db.LocalActor, Permissions: db.AllPermissions, Transport: db.TransportOffline}
	_, err := w.Store.ResetFactors(t.Context(), local, damaged)
	must(t, err)
	w.lookAtSecrets(t.Context())
	if got := w.secretCodes(); len(got) > 0 {
		t.Errorf("after a reset: %q", got)
	}
}

// Without a key file what is sealed stays as it is, and is told of.
func TestSecretsWithoutAKey(t *testing.T) {
	secret := factor.NewTOTPSecret()
	w := newWatched(t, func(c *Config) { c.Sealer = &factor.Sealer{} })
	clear := w.hold("a@example.com", func(user string) []byte { return new(factor.Sealer).Seal(user, secret) })
	w.lookAtSecrets(t.Context())
	if got := w.secretCodes(); len(got) > 0 {
		t.Errorf("of plain ones: %q", got)
	}
	if got, err := new(factor.Sealer).Open(clear, w.kept(clear)); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%v", err)
	}
	sealed := w.hold("b@example.com", func(user string) []byte { return sealerWith(t, 1).Seal(user, secret) })
	then := w.kept(sealed)
	w.pass(25 * time.Hour)
	w.lookAtSecrets(t.Context())
	if got := w.secretCodes(); len(got) != 1 || got[0] != codeUnreadable || !bytes.Equal(w.kept(sealed), then) {
		t.Errorf("of a sealed one: %q", got)
	}
}

// A disk that is full keeps nothing from being tried again.
func TestSecretsAreTriedAgain(t *testing.T) {
	w := newWatched(t, func(c *Config) { c.Sealer = sealerWith(t, 1) })
	user := w.hold("a@example.com", func(user string) []byte { return new(factor.Sealer).Seal(user, factor.NewTOTPSecret()) })
	w.engine.Fail(db.ErrFull)
	w.lookAtSecrets(t.Context())
	if !strings.Contains(w.log.String(), "could not be looked at or sealed") || w.kept(user)[0] != 0 {
		t.Errorf("the log says\n%s", w.log)
	}
	w.engine.Fail(nil)
	w.lookAtSecrets(t.Context())
	if w.kept(user)[0] == 0 {
		t.Error("it is not tried again")
	}
}
