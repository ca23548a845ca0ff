//go:build unix

package cmd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
	"husk/db/bolt/bolttest"
	"husk/db/dbtest"
	"husk/web/api"
)

// Each schema has a small store that was written by it, which every later
// husk has to open. That of the present one is made by
//
//	go test ./cmd -run TestSchemas -make-schema
//
// when SchemaVersion has been raised; those of older ones stay as they are.
var makeSchema = flag.Bool("make-schema", false, "write the store of the present schema into testdata/schema")

// schemaFacts is what is known of a kept store. Nothing else has its secrets.
type schemaFacts struct {
	Token    string `json:"token"` // ann's, which never ends
	Password string `json:"password"`
	Gate     string `json:"gate,omitempty"` // ann's, for some requests behind the gate alone
	JWT      string `json:"jwt"`            // of a session of ann's that ends in a hundred years

	Factor *factorFacts `json:"second_factor,omitempty"`

	Audit string `json:"audit_head"`
}

func schemaFile(schema int, ext string) string {
	return filepath.Join("testdata", "schema", fmt.Sprintf("husk.db.schema-%d.%s", schema, ext))
}

// TestSchemas opens the store of every schema there was: all is there, works,
// and is sound.
func TestSchemas(t *testing.T) {
	dbtest.NoRace(t, "commands, one after the other")
	t.Parallel()
	if *makeSchema {
		makeSchemaFile(t)
	}
	for schema := 1; schema <= db.SchemaVersion; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) { openSchema(t, schema) })
	}
}

func makeSchemaFile(t *testing.T) {
	if _, err := os.Stat(schemaFile(db.SchemaVersion, "gz")); err == nil {
		t.Fatalf("the store of schema %d is there: raise SchemaVersion first, or remove it where nobody has that schema yet", db.SchemaVersion)
	}
	p := program{data: newData(t), env: []string{"HUSK_SESSION_TTL=36500d"}}
	facts := schemaFacts{Password: "a kettle on the hob"}
	p.stdin = facts.Password
	p.ok(t, "user", "create", "ann@example.com", "--name", "Ann", "--role", "admin", "--password-stdin")
	p.ok(t, "user", "create", "bob@example.com", "--no-password")
	p.ok(t, "user", "disable", "bob@example.com")
	p.stdin = facts.Password
	p.ok(t, "user", "create", "tia@example.com", "--password-stdin")
	p.ok(t, "role", "set", "reader", "--permission", "generic#security:user/read", "--description", "may look")
	p.ok(t, "user", "update", "bob@example.com", "--role", "reader")
	facts.Token = p.ok(t, "token", "create", "--user", "ann@example.com", "--name", "kept", "--expires", "never")
	facts.Gate = p.ok(t, "token", "create", "--user", "ann@example.com", "--name", "gate", "--expires", "never", "--host", "app.example.com", "--path", "/api", "--method", "GET")
	p.ok(t, "token", "create", "--user", "bob@example.com", "--name", "limited", "--expires", "never", "--allowed-ip", "10.0.0.0/8", "--permission", "generic#security:user/read")
	s := p.serve(t)
	facts.JWT = signInAsAnn(t, s, facts.Password).AccessToken
	if _, err := s.client(facts.Token).Profile(t.Context()); err != nil {
		t.Fatal(err)
	}
	facts.Factor = makeFactors(t, s, facts)
	s.end()
	addPasskey(t, p)
	facts.Audit = p.ok(t, "audit", "head")
	text, err := json.MarshalIndent(facts, "", "  ")
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	store, err2 := os.ReadFile(p.store())
	_, err3 := w.Write(store)
	err = errors.Join(err, err2, err3, w.Close(),
		os.WriteFile(schemaFile(db.SchemaVersion, "gz"), packed.Bytes(), 0o644),
		os.WriteFile(schemaFile(db.SchemaVersion, "json"), append(text, '\n'), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

func signInAsAnn(t *testing.T, s *server, password string) api.LoggedIn {
	t.Helper()
	out, err := s.client("").Login(t.Context(), api.Login{Email: "ann@example.com", Password: password})
	if err != nil {
		t.Fatalf("sign in: %v", err)
	}
	return out
}

// unpackSchema puts the store of a schema into a data folder.
func unpackSchema(t *testing.T, schema int) (p program, facts schemaFacts) {
	t.Helper()
	p.data = newData(t)
	text, err := os.ReadFile(schemaFile(schema, "json"))
	if err == nil {
		err = json.Unmarshal(text, &facts)
	}
	packed, err2 := os.Open(schemaFile(schema, "gz"))
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("every schema has a store that is kept: %v", err)
	}
	defer packed.Close()
	in, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	store, err := io.ReadAll(in)
	if err := errors.Join(err, os.Mkdir(p.data, 0o700), os.WriteFile(p.store(), store, 0o600)); err != nil {
		t.Fatal(err)
	}
	return p, facts
}

func openSchema(t *testing.T, schema int) {
	p, facts := unpackSchema(t, schema)
	p.ok(t, "check")
	if got := p.ok(t, "user", "list"); !strings.Contains(got, "ann@example.com") || !strings.Contains(got, "reader") || !strings.Contains(got, "disabled") {
		t.Errorf("users:\n%s", got)
	}
	names := p.tokenNames(t)
	if !names["kept"] || !names["limited"] || len(names) > 3 || (len(names) == 3) != (facts.Gate != "") {
		t.Errorf("tokens: %v", names)
	}
	p.stdin = facts.Token
	if got := p.ok(t, "token", "check"); !strings.Contains(got, "valid:        yes") {
		t.Errorf("the token:\n%s", got)
	}
	if got := p.ok(t, "session", "list"); strings.Contains(got, "ann@example.com") != (schema >= hashedSessions) {
		t.Errorf("sessions:\n%s", got)
	}
	p.ok(t, "audit", "verify", "--head", facts.Audit)
	if got := p.ok(t, "role", "show", "reader"); !strings.Contains(got, "may look") {
		t.Errorf("the role:\n%s", got)
	}
	wantServed(t, p, schema, facts)
	p.ok(t, "check")
	wantKept(t, p, schema, facts)
}

// hashedSessions is the schema from which on a store holds no secret of a
// session. The upgrade to it ends those that there are: backups hold theirs.
const hashedSessions = 3

// gateTokens is the schema from which on a token may be good behind the gate alone.
const gateTokens = 4

// wantGateOnly shows a token of the gate at the API, where it opens nothing, and
// looks for its limits.
func wantGateOnly(t *testing.T, s *server, facts schemaFacts) {
	t.Helper()
	if _, err := s.client(facts.Gate).Profile(t.Context()); exitCode(err) != exitDenied {
		t.Errorf("a token of the gate at the API: %v, want 401", err)
	}
	worth, err := s.client(facts.Token).CheckToken(t.Context(), api.TokenCheck{AccessToken: facts.Gate})
	if err != nil || !worth.Valid || strings.Join(slices.Concat(worth.AllowedHosts, worth.AllowedPaths, worth.AllowedMethods), " ") != "app.example.com /api GET" {
		t.Errorf("the token of the gate: %+v, %v", worth, err)
	}
}

// wantServed asks a server with all that was handed out under the old schema.
func wantServed(t *testing.T, p program, schema int, facts schemaFacts) {
	t.Helper()
	s := p.serve(t)
	defer s.end()
	clients := []*api.Client{s.client(facts.Token)}
	byJWT := &api.Client{Base: s.url(), JWT: facts.JWT}
	if schema >= hashedSessions {
		clients = append(clients, byJWT)
	} else if _, err := byJWT.Profile(t.Context()); exitCode(err) != exitDenied {
		t.Errorf("a session whose secret is in old backups: %v, want 401", err)
	}
	if schema >= gateTokens {
		wantGateOnly(t, s, facts)
	}
	if schema >= secondFactors {
		wantFactors(t, s, facts)
	}
	for _, c := range clients {
		if profile, err := c.Profile(t.Context()); err != nil || profile.Email != "ann@example.com" {
			t.Errorf("the profile is %+v, %v", profile, err)
		}
	}
	signInAsAnn(t, s, facts.Password)
}

// wantKept looks for the copy that an upgrade keeps, and that only one does.
func wantKept(t *testing.T, p program, schema int, facts schemaFacts) {
	t.Helper()
	kept := fmt.Sprintf("%s.schema-%d", p.store(), schema)
	info, err := os.Stat(kept)
	if schema == db.SchemaVersion {
		if err == nil {
			t.Errorf("%s is kept, and nothing was upgraded", kept)
		}
		return
	}
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the store before the upgrade: %v, %v", info, err)
	}
	if err := proveSchema(t.Context(), kept, db.Schema{Version: schema}); err != nil {
		t.Errorf("the store before the upgrade: %v", err)
	}
	old := program{data: newData(t)}
	err = errors.Join(os.Mkdir(old.data, 0o700), os.Rename(kept, old.store()))
	if err != nil {
		t.Fatal(err)
	}
	old.ok(t, "audit", "verify", "--head", facts.Audit) // upgraded, too
}

// A backup of an older schema is restored as it is, and upgraded when the store is
// opened, which keeps a copy.
func TestRestoreOfOlderSchemas(t *testing.T) {
	t.Parallel()
	for schema := 1; schema < db.SchemaVersion; schema++ {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			old, facts := unpackSchema(t, schema)
			backup := tarOfSchema(t, old.store(), schema)
			p := program{data: newData(t)}
			p.ok(t, "restore", backup)
			if err := proveSchema(t.Context(), p.store(), db.Schema{Version: schema}); err != nil {
				t.Errorf("the store as it was restored: %v", err)
			}
			p.ok(t, "audit", "verify", "--head", facts.Audit)
			if err := proveSchema(t.Context(), p.store(), db.Schema{Version: db.SchemaVersion}); err != nil {
				t.Errorf("the store after its first use: %v", err)
			}
			wantKept(t, p, schema, facts)
		})
	}
}

// tokensOfSchema is how many tokens the kept store of a schema has: since there is the
// gate, one for that, too.
func tokensOfSchema(schema int) int64 {
	if schema >= 4 {
		return 3
	}
	return 2
}

// tarOfSchema makes the backup that the husk of an older schema made of a kept store.
func tarOfSchema(t *testing.T, file string, schema int) (backup string) {
	t.Helper()
	store, err := os.ReadFile(file)
	sum := sha256.Sum256(store)
	counts := map[string]int64{"users": 3, "tokens": tokensOfSchema(schema)}
	if schema >= secondFactors {
		counts["users"] = 4
	}
	text, err2 := json.Marshal(archive.Manifest{Version: "0.1.0", Schema: schema, Size: int64(len(store)), SHA256: hex.EncodeToString(sum[:]), Counts: counts})
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		name string
		text []byte
	}{{archive.ManifestName, text}, {archive.StoreName, store}} {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text))}))
		_, err3 := w.Write(f.text)
		err = errors.Join(err, err3)
	}
	backup = filepath.Join(t.TempDir(), "old.tar")
	if err := errors.Join(err, err2, w.Close(), os.WriteFile(backup, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return backup
}

// opened is an app over a store of its own.
func opened(t *testing.T) (a *app, e *bolt.Engine, said *bytes.Buffer) {
	t.Helper()
	said = new(bytes.Buffer)
	a = &app{stdout: io.Discard, stderr: said, settings: settings{Data: filepath.Join(t.TempDir(), "data")}}
	if err := a.makeStore(); err != nil {
		t.Fatal(err)
	}
	e, err := bolt.Open(a.storePath(), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return a, e, said
}

// The copy before an upgrade is a whole store under its name, and private.
func TestSchemaCopy(t *testing.T) {
	t.Parallel()
	a, e, said := opened(t)
	kept := fmt.Sprintf("%s.schema-%d", a.storePath(), db.SchemaVersion)
	for range 2 { // an upgrade that was cut short is begun again
		if err := a.keepSchema(t.Context(), e, db.Schema{Version: db.SchemaVersion}); err != nil {
			t.Fatal(err)
		}
	}
	if err := proveSchema(t.Context(), kept, db.Schema{Version: db.SchemaVersion}); err != nil {
		t.Errorf("the copy: %v", err)
	}
	if err := proveSchema(t.Context(), kept, db.Schema{Version: db.SchemaVersion + 1}); err == nil {
		t.Error("a copy of another schema passes")
	}
	info, err := os.Stat(kept)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	if !strings.Contains(said.String(), kept) {
		t.Errorf("it says %q", said)
	}
	wantFiles(t, a.settings.Data, "husk.db", filepath.Base(kept))
}

// A copy that can't be kept leaves nothing, and tells why.
func TestSchemaCopyFails(t *testing.T) {
	t.Parallel()
	a, e, _ := opened(t)
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"full":  {&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "the disk of " + a.settings.Data + " is full"},
		"quota": {&os.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, "is full"},
		"other": {errors.New("no luck"), "no luck"},
		"half":  {nil, "is refused"}, // and nobody noticed
	} {
		err := a.keepSchema(t.Context(), bolttest.BrokenBackup{Engine: e, Err: c.err}, db.Schema{Version: 1})
		if err == nil || !strings.Contains(a.explainStore(err).Error(), c.says) {
			t.Errorf("%s: %v", name, a.explainStore(err))
		}
		wantFiles(t, a.settings.Data, "husk.db")
	}
}

// wantFiles compares the names in a folder.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if err != nil || strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %v (%v), want %v", dir, names, err, want)
	}
}

// TestCheckSchema: of a store of any schema it is told which one it is, and
// nothing is upgraded by that; of a newer one, which husk is needed.
func TestCheckSchema(t *testing.T) {
	t.Parallel()
	for schema := 1; schema <= db.SchemaVersion+1; schema++ {
		p, _ := unpackSchema(t, min(schema, db.SchemaVersion))
		code, needs := exitDone, "0.1.0"
		switch schema {
		case db.SchemaVersion + 1:
			setSchema(t, p.store(), fmt.Sprintf(`{"schema":%d,"needs":"7.8.9","created":"2030-01-02T03:04:05Z"}`, schema))
			code, needs = exitInvalid, "7.8.9"
			defer setSchema(t, p.store(), fmt.Sprintf(`{"schema":%d,"created":"2030-01-02T03:04:05Z"}`, db.SchemaVersion)) // for the look at the end
		case 4, 5:
			needs = "0.2.0"
		}
		before, err := os.ReadFile(p.store())
		if err != nil {
			t.Fatal(err)
		}
		r := p.run(t, "check", "--schema", "--json")
		var told schemaReport
		if err := json.Unmarshal([]byte(r.stdout), &told); err != nil || r.code != code {
			t.Fatalf("schema %d: %d, %v, %s%s", schema, r.code, err, r.stdout, r.stderr)
		}
		if told != (schemaReport{Schema: schema, Newest: db.SchemaVersion, Needs: needs, Readable: code == exitDone}) {
			t.Errorf("schema %d: %+v", schema, told)
		}
		if code != exitDone && !strings.Contains(r.stderr, "husk 7.8.9 or a later one is needed") {
			t.Errorf("it does not say what is needed: %s", r.stderr)
		}
		after, err := os.ReadFile(p.store())
		there, err2 := os.ReadDir(p.data)
		if errors.Join(err, err2) != nil || !bytes.Equal(before, after) || len(there) != 1 {
			t.Errorf("schema %d: it changed something: %v, %v, %v", schema, there, err, err2)
		}
	}
}

// setSchema writes what the store says about itself, in the envelope that
// every record has (db/envelope.go).
func setSchema(t *testing.T, path, text string) {
	t.Helper()
	e, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	err = e.Update(t.Context(), func(tx db.Tx) error {
		const bucket, key = "meta", "schema"
		if old, err := tx.Get(bucket, []byte(key)); err != nil || !bytes.Equal(old, sealed(bucket, key, string(old[9:]))) {
			t.Fatalf("the envelope is of another form: %q, %v", old, err)
		}
		return tx.Put(bucket, []byte(key), sealed(bucket, key, text))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sealed is value in its envelope.
func sealed(bucket, key, value string) []byte {
	text := fmt.Appendf(nil, "\x00%c\x00%c%s%s%s", len(bucket), len(key), bucket, key, value)
	sum := sha256.Sum256(text)
	return slices.Concat([]byte{1}, sum[:8], []byte(value))
}
