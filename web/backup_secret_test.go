package web_test

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
	"husk/web"
	"husk/web/api"
	"husk/web/session"
)

// Nothing that stands in the file or in a backup opens a door. Who may do no
// more than make backups reads all of it, and with all of it can forge JWTs;
// none of them is a session.
func TestNothingInABackupIsACredential(t *testing.T) {
	s := newServer(t, func(c *web.Config) { c.SessionTTL = 10 * time.Hour })
	ann := s.newUser(annEmail, db.RoleAdmin)
	admin := s.single()
	s.mint(ann.session(), api.NewToken{Name: "of an administrator"})
	rotated := s.mint(admin.session(), api.NewToken{})
	_, err := s.client(admin.session()).RotateToken(t.Context(), rotated.ID, api.Rotate{Grace: "1h"})
	must(t, err)
	only := s.mint(admin.session(), api.NewToken{Permissions: []string{db.PermBackup}})
	must(t, s.store.FlushLastUsed(t.Context()))
	var backup bytes.Buffer
	must(t, s.client(apiToken(only.AccessToken)).Backup(t.Context(), &backup, ""))
	for secret := range s.secrets {
		if bytes.Contains(backup.Bytes(), []byte(secret)) {
			t.Errorf("the backup holds a secret: %.12s…", secret)
		}
	}
	file, err := os.ReadFile(s.path)
	must(t, err)
	keys := keysOf(t, backup.Bytes())
	found := candidates(append(backup.Bytes(), file...))
	for _, known := range []string{ann.id, annEmail, rotated.ID, db.SingleUser} {
		if !slices.Contains(found, known) {
			t.Errorf("%q was not found in the backup: the search finds nothing", known)
		}
	}
	doors := doorsOf(s, keys, []string{ann.id, db.SingleUser}, rotated.ID)
	for _, c := range found {
		if by := doors(c); by != "" {
			t.Errorf("%s opens %s", c, by)
		}
	}
	// What would have opened one is noticed: the secrets that are not there.
	if by := doors(jtiOf(ann.jwt)); by != "a forged JWT" {
		t.Errorf("the secret of a session opens %q", by)
	}
	if by := doors(ann.password); by != "the sign-in" {
		t.Errorf("a password opens %q", by)
	}
}

// doorsOf returns a function that tries a text at every door, as all that it
// could be there, and tells which one it opened.
func doorsOf(s *server, keys *db.KeySet, users []string, tokenID string) func(string) string {
	opens := func(with edit) bool {
		return s.do("GET", "/account/profile", "", with).status != http.StatusUnauthorized
	}
	return func(c string) string {
		for _, key := range keys.ByID {
			for _, user := range users {
				r := &db.Session{ID: c, User: user, Created: s.store.Now(), Expires: s.store.Now().Add(time.Hour)}
				jwt, err := session.Sign(key, r, c)
				must(s.t, err)
				if opens(bearer(jwt)) || opens(cookie(jwt)) {
					return "a forged JWT"
				}
			}
		}
		if strings.ContainsFunc(c, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "" // no header holds it
		}
		for _, text := range []string{c, tokenID + "_" + c} {
			if opens(apiToken(text)) || opens(bearer(text)) || opens(cookie(text)) {
				return "the API"
			}
		}
		for _, email := range []string{"", annEmail} {
			a := s.do("POST", "/account/login", jsonOf(api.Login{Email: email, Password: c}), func(r *http.Request) {
				r.AddCookie(&http.Cookie{Name: "husk_device", Value: c})
			})
			if a.status == http.StatusOK {
				return "the sign-in"
			}
		}
		return ""
	}
}

var (
	wordsOfFile = regexp.MustCompile(`[A-Za-z0-9+/=_.@-]{8,}`)
	hashForm    = regexp.MustCompile(`^[A-Za-z0-9+/]{22,}={0,2}$`)
)

// candidates are all texts that stand in a file, and what those mean that are
// base64.
func candidates(file []byte) (all []string) {
	for _, word := range wordsOfFile.FindAll(file, -1) {
		text := string(word)
		all = append(all, text)
		if !hashForm.MatchString(text) {
			continue
		}
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			all = append(all, string(raw), hex.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// keysOf reads the signing keys of a backup.
func keysOf(t *testing.T, backup []byte) *db.KeySet {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(backup))
	for {
		h, err := r.Next()
		must(t, err)
		if h.Name == archive.StoreName {
			break
		}
	}
	content, err := io.ReadAll(r)
	must(t, err)
	path := filepath.Join(t.TempDir(), "copy.db")
	must(t, os.WriteFile(path, content, 0o600))
	engine, err := bolt.Open(path, bolt.Options{})
	must(t, err)
	store, err := db.Open(t.Context(), engine, db.Options{})
	must(t, err)
	defer store.Close()
	keys, err := store.Keys(t.Context())
	must(t, err)
	return keys
}
