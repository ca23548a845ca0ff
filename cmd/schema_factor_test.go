//go:build unix

package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/db"
	"husk/db/bolt"
	"husk/web/api"
)

// secondFactors is the schema from which on a user may have a second factor.
const secondFactors = 5

// factorFacts is what is known of the second factor of tia, who has codes of a program,
// recovery codes and a passkey, and was told of a wrong code. A role requires one: guarded.
type factorFacts struct {
	Secret   string   `json:"secret"`         // of her program, in base32
	Recovery []string `json:"recovery_codes"` // ten; each try of a kept store is of a copy
}

// makeFactors sets up what facts tell of, by the calls that do it.
func makeFactors(t *testing.T, s *server, facts schemaFacts) *factorFacts {
	t.Helper()
	signedIn, err := s.client("").Login(t.Context(), api.Login{Email: "tia@example.com", Password: facts.Password})
	if err != nil {
		t.Fatal(err)
	}
	tia := &api.Client{Base: s.url(), JWT: signedIn.AccessToken}
	begun, err := tia.BeginTOTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	codes, err := tia.ConfirmTOTP(t.Context(), api.ConfirmTOTP{Code: totpOf(t, begun.Secret)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client("").Login(t.Context(), api.Login{Email: "tia@example.com", Password: facts.Password, Code: "000000"}); exitCode(err) != exitDenied {
		t.Fatalf("a wrong code: %v", err)
	}
	return &factorFacts{Secret: begun.Secret, Recovery: codes.Codes}
}

func totpOf(t *testing.T, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// addPasskey adds to the store what takes a browser: a passkey of tia's, and a role
// that requires a second factor.
func addPasskey(t *testing.T, p program) {
	t.Helper()
	e, err := bolt.Open(p.store(), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := db.Open(t.Context(), e, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	local := &db.Actor{ID: db.LocalActor, Name: "uid 0", Permissions: db.AllPermissions, Transport: db.TransportOffline}
	required := true
	if err := s.CreateRole(t.Context(), local, "guarded", db.RoleChange{Permissions: []string{db.PermUserRead}, RequireSecondFactor: &required}); err != nil {
		t.Fatal(err)
	}
	tia, err := s.UserByEmail(t.Context(), "tia@example.com")
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := s.Sessions(t.Context(), db.ListQuery{Owner: tia.ID, Size: 1})
	if err != nil || len(sessions.Items) != 1 {
		t.Fatalf("%d sessions, %v", len(sessions.Items), err)
	}
	key := db.Passkey{Name: "the blue one", Credential: []byte("a credential of 32 bytes, as is!"), PublicKey: []byte("a key of no authenticator"), Host: "husk.example.com",
		Counter: 7, Eligible: true, BackedUp: true, Transports: []string{"hybrid", "internal"}}
	if _, _, _, err := s.AddPasskey(t.Context(), &db.Actor{ID: tia.ID, Name: tia.Username(), User: tia, Session: sessions.Items[0]}, key, db.FactorSetUp{}); err != nil {
		t.Fatal(err)
	}
}

// wantFactors signs tia in, who needs a code for it, and looks for what she has.
func wantFactors(t *testing.T, s *server, facts schemaFacts) {
	t.Helper()
	signIn := func(code string) (api.LoggedIn, error) {
		return s.client("").Login(t.Context(), api.Login{Email: "tia@example.com", Password: facts.Password, Code: code})
	}
	if _, err := signIn(""); exitCode(err) != exitDenied {
		t.Errorf("the password alone: %v, want 403", err)
	}
	for _, code := range []string{totpOf(t, facts.Factor.Secret), facts.Factor.Recovery[3]} {
		if _, err := signIn(code); err != nil {
			t.Errorf("a code of %d characters: %v", len(code), err)
		}
	}
	in, err := signIn(facts.Factor.Recovery[9])
	if err != nil {
		t.Fatal(err)
	}
	has, err := (&api.Client{Base: s.url(), JWT: in.AccessToken}).SecondFactor(t.Context())
	if err != nil || fmt.Sprint(has.Methods) != "[passkey totp recovery]" || has.Recovery != (api.RecoveryCodes{Total: 10, Left: 8}) ||
		len(has.Passkeys) != 1 || has.Passkeys[0].Name != "the blue one" || !has.Passkeys[0].BackedUp {
		t.Errorf("she has %+v, %v", has, err)
	}
	if !slices.ContainsFunc(has.Notices, func(n api.FactorNotice) bool { return n.Kind == db.NoticeWrongCode && n.Count == 1 }) {
		t.Errorf("she is told %+v", has.Notices)
	}
	role, err := s.client(facts.Token).GetRole(t.Context(), "guarded")
	if err != nil || !role.Source.RequireSecondFactor {
		t.Errorf("the role is %+v, %v", role, err)
	}
}

// A damaged record of a second factor is named, with what lets its user in again. The
// repair loses it, and lets nobody in by the password alone.
func TestRepairOfSecondFactor(t *testing.T) {
	t.Parallel()
	p, facts := unpackSchema(t, secondFactors)
	p.ok(t, "user", "list") // of a later schema it is upgraded
	text, err := os.ReadFile(p.store())
	if err != nil || !bytes.Contains(text, []byte(`"totp":{"secret"`)) {
		t.Fatalf("the store has no secret: %v", err)
	}
	text = bytes.ReplaceAll(text, []byte(`"totp":{"secret"`), []byte(`"totp":{"secreT"`))
	if err := os.WriteFile(p.store(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	const way = "husk user reset-second-factor tia@example.com"
	if r := p.run(t, "check"); r.code != exitInvalid || !strings.Contains(r.stdout, `in bucket "factor" does not match`) || !strings.Contains(r.stdout, way) {
		t.Errorf("the check: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := p.ok(t, "check", "--repair"); !strings.Contains(got, "made anew: ") || !strings.Contains(got, way) {
		t.Errorf("the repair:\n%s", got)
	}
	p.ok(t, "check")
	s := p.serve(t)
	defer s.end()
	for _, code := range []string{"", facts.Factor.Recovery[0], totpOf(t, facts.Factor.Secret)} {
		if out, err := s.client("").Login(t.Context(), api.Login{Email: "tia@example.com", Password: facts.Password, Code: code}); err == nil {
			t.Errorf("a code of %d characters lets in: %+v", len(code), out.ID)
		}
	}
	if _, err := s.client(facts.Token).ResetSecondFactor(t.Context(), "tia@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client("").Login(t.Context(), api.Login{Email: "tia@example.com", Password: facts.Password}); err != nil {
		t.Errorf("after the reset: %v", err)
	}
}

// What a user has goes with a backup, and stays in a store that is compacted.
func TestSecondFactorInBackup(t *testing.T) {
	t.Parallel()
	old, facts := unpackSchema(t, secondFactors)
	backup := filepath.Join(t.TempDir(), "husk.tar")
	old.ok(t, "backup", "--output", backup)
	p := program{data: newData(t)}
	p.ok(t, "restore", backup)
	p.ok(t, "compact")
	p.ok(t, "check")
	s := p.serve(t)
	defer s.end()
	wantFactors(t, s, facts)
}
