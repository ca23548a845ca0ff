//go:build unix

package cmd

import (
	"archive/tar"
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"husk/web/api"
)

// keyText is a key as a file has it.
func keyText(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))
}

func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSecretsKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	key := keyText(7)
	open := keyFile(t, key)
	if err := os.Chmod(open, 0o604); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, want string
		code       int
	}{
		"absent":            {empty + ".absent", "no such file", exitNotFound},
		"a folder":          {filepath.Dir(empty), "it is a folder", exitInvalid},
		"a pipe":            {pipe, "it is no regular file", exitInvalid},
		"empty":             {empty, "it is empty", exitInvalid},
		"open to others":    {open, "others may use it", exitInvalid},
		"remarks alone":     {keyFile(t, "# none yet"), "it holds no key", exitInvalid},
		"too short":         {keyFile(t, "# first", key[:40]), "line 2: a key has 32 bytes, and this one has 30", exitInvalid},
		"no base64":         {keyFile(t, key, "", "*"+key[1:]), "line 3: it is not base64", exitInvalid},
		"doubled":           {keyFile(t, key, key), "line 2: it is the key of line 1 again", exitInvalid},
		"zeros":             {keyFile(t, keyText(0)), "line 1: the key is nothing but zeros", exitInvalid},
		"larger than 64 KB": {keyFile(t, key, strings.Repeat("#\n", 40<<10)), "it is larger than 64 KiB", exitInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{}
			a.settings.SecretsKeyFile = c.file
			s, err := a.sealer()
			if s != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "secrets-key-file") {
				t.Fatalf("%v, want %q", err, c.want)
			}
			var f *failure
			if !errors.As(err, &f) || f.code != c.code && c.code != exitNotFound {
				t.Errorf("%+v", err)
			}
			if all := err.Error() + f.next; strings.Contains(all, key[1:20]) {
				t.Errorf("it tells of the key: %s", all)
			}
		})
	}
	a := &app{}
	a.settings.SecretsKeyFile = keyFile(t, key, "# older", strings.TrimRight(keyText(8), "="))
	if s, err := a.sealer(); err != nil || len(s.Keys()) != 2 {
		t.Errorf("a good one: %v", err)
	}
}

// A wrong file keeps a server from starting, and no command from the store.
func TestSecretsKeyFileThatIsLost(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	p.ok(t, "user", "create", "ann@example.com", "--no-password")
	lost := filepath.Join(t.TempDir(), "lost")
	s := p.start(t, "--secrets-key-file", lost)
	if code := s.exit(); code == exitDone || !strings.Contains(s.log.String(), "the secrets-key-file can't be read: "+lost) {
		t.Errorf("it ended with %d:\n%s", code, &s.log)
	}
	p.env = []string{"HUSK_SECRETS_KEY_FILE=" + lost}
	if r := p.want(t, exitDone, "user", "show", "ann@example.com"); !strings.Contains(r.stderr, "no code of a program can be checked") {
		t.Errorf("no warning: %v", r)
	}
}

// account is somebody at a server.
type account struct {
	*server
	email, password string
	session         string // a JWT
	secret          string // of a program, in base32
}

// ask sends JSON and reads it into out; a refusal is told by its code.
func (a *account) ask(method, path string, in, out any) (status int, code string) {
	a.t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		a.t.Fatal(err)
	}
	r, err := http.NewRequest(method, a.url()+path, bytes.NewReader(text))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if a.session != "" {
		r.Header.Set("Authorization", "Bearer "+a.session)
	}
	answer, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		a.t.Fatalf("%s %s: %v\n%s", method, path, err, &a.log)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var refused struct{ Error struct{ Code string } }
	if answer.StatusCode != http.StatusOK {
		_ = json.Unmarshal(body, &refused)
		return answer.StatusCode, refused.Error.Code
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			a.t.Fatalf("%s %s: %v: %s", method, path, err, body)
		}
	}
	return answer.StatusCode, ""
}

// signIn signs in with a code, where there is one.
func (a *account) signIn(code string) (status int, refused string) {
	a.t.Helper()
	a.session = ""
	var out api.LoggedIn
	status, refused = a.ask("POST", "/account/login", api.Login{Email: a.email, Password: a.password, Code: code}, &out)
	a.session = out.AccessToken
	return status, refused
}

// begin signs in and makes a secret that waits for a code.
func (a *account) begin() {
	a.t.Helper()
	var made api.NewTOTP
	if status, refused := a.signIn(""); status != http.StatusOK {
		a.t.Fatalf("sign-in: %d %s", status, refused)
	}
	if status, refused := a.ask("POST", "/account/totp", struct{}{}, &made); status != http.StatusOK {
		a.t.Fatalf("POST /account/totp: %d %s", status, refused)
	}
	a.secret = made.Secret
}

const accountPassword = "correct horse battery staple"

// account makes somebody, before a server runs.
func (p program) account(t *testing.T, email string) *account {
	t.Helper()
	p.stdin = accountPassword + "\n"
	p.ok(t, "passwd", "--password-stdin") // before that nobody signs in
	p.ok(t, "user", "create", email, "--password-stdin")
	return &account{email: email, password: accountPassword}
}

// holds tells in which of the forms a store or a person knows it a secret is in a text.
func holds(t *testing.T, text []byte, secret string) (forms []string) {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	for form, what := range map[string]string{
		"bytes": string(raw), "base32": secret, "base64": strings.TrimRight(base64.StdEncoding.EncodeToString(raw), "=")[:26],
		"record": base64.StdEncoding.EncodeToString(append([]byte{0}, raw...)),
	} {
		if bytes.Contains(text, []byte(what)) {
			forms = append(forms, form)
		}
	}
	return forms
}

// backupOf returns the bytes of the files of a new backup.
func (p program) backupOf(t *testing.T) (all []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "husk.tar")
	p.ok(t, "backup", "--output", name)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for in := tar.NewReader(f); ; {
		if _, err := in.Next(); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
}

// TestBackupHoldsNoSecret looks through a backup as a thief would: with a key none of
// the secrets is in it, nor the key; without one they are.
func TestBackupHoldsNoSecret(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	ann := p.account(t, "ann@example.com")
	ann.server = p.serve(t)
	ann.begin()
	if forms := holds(t, p.backupOf(t), ann.secret); fmt.Sprint(forms) != "[record]" {
		t.Fatalf("a backup without a key holds the secret as %q: what is looked for with one?", forms)
	}
	ann.stop(syscall.SIGTERM)

	key := keyText(7)
	p.env = []string{"HUSK_SECRETS_KEY_FILE=" + keyFile(t, key)}
	ann.server = p.serve(t)
	ann.says("secrets of second factors were sealed anew")
	inClear := ann.secret
	ann.begin()
	ann.stop(syscall.SIGTERM)
	p.ok(t, "compact")
	backup := p.backupOf(t)
	if forms := holds(t, backup, ann.secret); len(forms) > 0 {
		t.Errorf("the backup holds the secret as %q", forms)
	}
	if forms := holds(t, backup, inClear); len(forms) > 0 {
		t.Errorf("after compact the backup holds a secret of before the key as %q", forms)
	}
	shown := p.want(t, exitDone, "config", "show")
	for where, text := range map[string]string{"the backup": string(backup), "the log": ann.log.String(), "config show": shown.String()} {
		for form, what := range map[string]string{"bytes": strings.Repeat("\x07", 32), "base64": key[:43]} {
			if strings.Contains(text, what) {
				t.Errorf("%s has the key, as %s", where, form)
			}
		}
	}
}

// TestSecretsUnderALostKey goes through the loss of a key, and its return.
func TestSecretsUnderALostKey(t *testing.T) {
	t.Parallel()
	p := program{data: newData(t)}
	ann := p.account(t, "ann@example.com")
	key, other := keyFile(t, keyText(7)), keyFile(t, keyText(8))
	ann.server = p.serve(t, "--secrets-key-file", key)
	ann.begin()
	ann.stop(syscall.SIGTERM)

	ann.server = p.serve(t, "--secrets-key-file", other)
	ann.says("sealed under a key that --secrets-key-file does not have")
	eventually(t, "health warns", func() bool {
		r := p.run(t, "health", "--verbose", "--json")
		return r.code == exitInvalid && strings.Contains(r.stdout, `"secrets_unreadable"`)
	})
	ann.stop(syscall.SIGTERM)

	both := keyFile(t, keyText(8), keyText(7))
	ann.server = p.serve(t, "--secrets-key-file", both)
	ann.says("secrets of second factors were sealed anew")
	p.ok(t, "health")
	ann.stop(syscall.SIGTERM)

	ann.server = p.serve(t, "--secrets-key-file", other) // the older line has gone
	if status, refused := ann.signIn(""); status != http.StatusOK {
		t.Fatalf("%d %s", status, refused)
	}
	code, err := totp.GenerateCode(ann.secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if status, refused := ann.ask("PUT", "/account/totp", api.ConfirmTOTP{Code: code}, nil); status != http.StatusOK {
		t.Errorf("the code of a secret that was sealed anew: %d %s\n%s", status, refused, &ann.log)
	}
	if strings.Contains(ann.log.String(), "sealed under a key") {
		t.Errorf("after the rotation:\n%s", &ann.log)
	}
}
