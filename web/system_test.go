package web_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/web"
	"husk/web/api"
	"husk/web/upkeep"
)

// keeping is of a server that keeps backups in a folder.
func keeping(dir string) func(*web.Config) {
	return func(c *web.Config) {
		c.Upkeep = &upkeep.Upkeep{Config: upkeep.Config{Backups: upkeep.Backups{Dir: dir, Every: 24 * time.Hour, Keep: 2}}}
	}
}

// place puts a file with such a content among the backups.
func place(t *testing.T, dir, name, text string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func TestBackupsThatAreKept(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, keeping(dir))
	c := s.client(s.single().session())
	made, err := c.MakeBackup(t.Context())
	must(t, err)
	if want := "husk-" + s.clock.now().UTC().Format("20060102T150405Z") + "-asked.tar"; made.Name != want || !made.Asked || made.Manifest != "ok" || made.Version != "1.2.3" || made.Users != 1 {
		t.Errorf("made %+v, want %s", made, want)
	}
	place(t, dir, "husk-20200101T000000Z.tar", "cut")
	place(t, dir, "husk-20200102T000000Z.tar.age", "age-encryption.org/v1\n…")
	place(t, dir, "husk-20200103T000000Z.tar.bak", "of somebody else")
	place(t, dir, "secret", "of somebody else")
	must(t, os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "husk-20200104T000000Z.tar")))
	mkfifo(t, filepath.Join(dir, "husk-20200105T000000Z.tar"))
	list, err := c.Backups(t.Context())
	must(t, err)
	var told []string
	for _, f := range list.Files {
		told = append(told, f.Name+" "+f.Manifest)
	}
	want := made.Name + " ok, husk-20200102T000000Z.tar.age sealed, husk-20200101T000000Z.tar bad"
	if strings.Join(told, ", ") != want || list.Total != 3 || !list.Kept || list.Making || list.Keep != 2 || list.Every != 86400 {
		t.Errorf("the list is %v, want %s: %+v", told, want, list)
	}

	for _, f := range list.Files {
		var got strings.Builder
		must(t, c.KeptBackup(t.Context(), f.Name, &got))
		if text, err := os.ReadFile(filepath.Join(dir, f.Name)); err != nil || got.String() != string(text) || int64(len(text)) != f.Bytes {
			t.Errorf("%s is %d bytes of %d, %v", f.Name, got.Len(), f.Bytes, err)
		}
	}
	for _, name := range []string{"secret", "husk-20200103T000000Z.tar.bak", "husk-20200104T000000Z.tar", "husk-20200105T000000Z.tar", "husk-20200106T000000Z.tar",
		"..%2fhusk.db", "%2e%2e", "husk-20200101T000000Z.tar%00", ".%2fhusk-20200101T000000Z.tar"} {
		s.do("GET", "/system/backup/_file/"+name, "", s.single().session()).want(404, "not_found")
	}
}

// Who takes one is in the audit log with its name, and who makes one, too.
func TestKeptBackupsAreAudited(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, keeping(dir))
	with := s.single().session()
	var made api.BackupFile
	s.do("POST", "/system/backup", "", with).json(&made)
	s.do("HEAD", "/system/backup/_file/"+made.Name, "", with).want(200)
	a := s.do("GET", "/system/backup/_file/"+made.Name, "", with).want(200)
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename="`+made.Name+`"` {
		t.Errorf("it is called %s", got)
	}
	events, err := s.local.SearchAudit(t.Context(), api.ListOptions{Filter: map[string]string{"action": "system.backup"}})
	must(t, err)
	var targets []string
	for _, hit := range events.Hits.Hits {
		if e := hit.Source; e.Actor != db.SingleUser || e.Transport != "http" || e.Address != stranger || e.RequestID == "" {
			t.Errorf("an entry is %+v", e)
		}
		targets = append(targets, hit.Source.Target)
	}
	if want := "stream of " + made.Name + "|" + filepath.Join(dir, made.Name); strings.Join(targets, "|") != want {
		t.Errorf("the targets are %q, want %s", targets, want)
	}
}

// Who asks often fills no disk, and pushes out none that was made by schedule.
func TestAskedBackupsAreFew(t *testing.T) {
	dir := t.TempDir()
	s := newServer(t, keeping(dir))
	place(t, dir, "husk-20200101T000000Z.tar", "by schedule")
	c := s.client(s.single().session())
	for i := range 6 {
		_, err := c.MakeBackup(t.Context())
		must(t, err)
		s.clock.advance(59 * time.Second)
		a := s.do("POST", "/system/backup", "", s.single().session()).want(429, "backup_just_made")
		if a.header.Get("Retry-After") == "" {
			t.Error("it does not say when to ask again")
		}
		s.clock.advance(time.Second)
		if list, err := c.Backups(t.Context()); err != nil || len(list.Files) != 1+min(3, i+1) || list.Files[len(list.Files)-1].Asked {
			t.Errorf("after %d: %v, %v", i+1, list.Files, err)
		}
	}
}

// A server without the folder keeps none, and says so; one whose folder is gone
// says what is the matter with it.
func TestNoBackupsAreKept(t *testing.T) {
	s := newServer(t)
	list, err := s.local.Backups(t.Context())
	must(t, err)
	if text, _ := json.Marshal(list); list.Kept || string(text) != `{"kept":false,"every":0,"keep":0,"keep_asked":0,"encrypts":false,"making":false,"total":0,"files":[]}` {
		t.Errorf("it keeps %s", text)
	}
	s.do("POST", "/system/backup", "", local).want(409, "no_backup_dir")
	s.do("GET", "/system/backup/_file/husk-20200101T000000Z.tar", "", local).want(404)

	gone := newServer(t, keeping(filepath.Join(t.TempDir(), "gone")))
	for _, method := range []string{"GET /system/backup/_list", "POST /system/backup"} {
		verb, path, _ := strings.Cut(method, " ")
		if a := gone.do(verb, path, "", local); a.status != 500 || strings.Contains(a.body, "gone") {
			t.Errorf("%s = %d %s", method, a.status, a.body)
		}
	}
}
