package upkeep

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"husk/db"
	"husk/db/archive"
	"husk/db/bolt"
)

// newBackedUp is an Upkeep with scheduled backups in a folder, each day, of which
// two are kept, unless change says otherwise.
func newBackedUp(t *testing.T, change func(*Config)) *watched {
	t.Helper()
	w := newWatched(t, func(c *Config) {
		c.Source = archive.Source{Store: c.Store, Open: openCopy, Dir: t.TempDir()}
		c.Backups = Backups{Dir: t.TempDir(), Every: 24 * time.Hour, Keep: 2}
		if change != nil {
			change(c)
		}
	})
	w.begin()
	w.beginBackups(t.Context())
	w.hear()
	t.Cleanup(func() {
		for _, dir := range []string{w.Source.Dir, w.Backups.Dir} {
			if left, _ := filepath.Glob(filepath.Join(dir, ".husk-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	})
	return w
}

// lookAtBackups is a minute that goes by.
func (w *watched) lookAtBackups() {
	w.pass(lookEvery)
	w.backUpWhenDue(w.t.Context())
}

func (w *watched) backups() (names []string) {
	w.t.Helper()
	entries, err := os.ReadDir(w.Backups.Dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// status is what health makes of what is known.
func (w *watched) status() string {
	w.t.Helper()
	if len(w.StoreWarnings(w.Prove(w.t.Context())))+len(w.BackupWarnings()) > 0 {
		return "yellow"
	}
	return "green"
}

// trouble is what everybody is told of the backups. Its values tell the same.
func (w *watched) trouble() string {
	w.t.Helper()
	warnings := w.BackupWarnings()
	if len(warnings) != 1 || warnings[0].Code != eventBackup {
		w.t.Fatalf("the warnings are %v", warnings)
	}
	text, values := warnings[0].Text, warnings[0].Values
	if strings.Contains(text, "overdue") != (values["trouble"] == "overdue") || strings.Contains(text, "failed") != (values["trouble"] == "failed") ||
		strings.Contains(text, "none was made") != (values["newest"] == "none") || !strings.Contains(text, "none was made") && !strings.Contains(text, values["newest"]) || values["cause"] == "" {
		w.t.Fatalf("%q has the values %v", text, values)
	}
	return warnings[0].Text
}

func (w *watched) wantBackups(n int, when string) {
	w.t.Helper()
	if got := w.backups(); len(got) != n {
		w.t.Fatalf("%s: there are %q, want %d; the log:\n%s", when, got, n, w.log)
	}
}

// readBackupFile is a check of its own: the tar holds what its manifest says.
func readBackupFile(t *testing.T, path string) archive.Manifest {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(text))
	var m archive.Manifest
	h, err := r.Next()
	if err == nil {
		err = json.NewDecoder(r).Decode(&m)
	}
	if err != nil || h.Name != archive.ManifestName {
		t.Fatalf("%s: %v", path, err)
	}
	if h, err = r.Next(); err != nil || h.Name != archive.StoreName || h.Size != m.Size {
		t.Fatalf("%s: %v", path, err)
	}
	return m
}

func TestScheduledBackups(t *testing.T) {
	w := newBackedUp(t, nil)
	w.token("kept", time.Hour)
	w.backUpWhenDue(t.Context())
	w.wantBackups(1, "at the start, with none there")
	name := w.backups()[0]
	if want := "husk-" + w.Store.Now().UTC().Format("20060102T150405Z") + ".tar"; name != want {
		t.Errorf("it is called %s, want %s", name, want)
	}
	path := filepath.Join(w.Backups.Dir, name)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if m := readBackupFile(t, path); m.Counts["tokens"] != 1 {
		t.Errorf("it holds %v", m.Counts)
	}
	page, err := w.Store.Audit(t.Context(), db.AuditQuery{Action: archive.ActBackup, Size: 9})
	if err != nil || len(page.Items) != 1 || page.Items[0].Target != path || page.Items[0].Actor != "husk" {
		t.Errorf("the audit log tells %+v, %v", page.Items, err)
	}
	for range 23*60 + 58 {
		w.lookAtBackups()
	}
	w.wantBackups(1, "before a day has passed")

	// A restart makes none, however often; it is known from the names.
	again := newBackedUp(t, func(c *Config) { c.Backups, c.Store, c.Source.Store = w.Backups, w.Store, w.Store })
	for range 3 {
		again.beginBackups(t.Context())
		again.backUpWhenDue(t.Context())
	}
	w.wantBackups(1, "after restarts")
	_, known := again.LastBackups()
	if _, first := w.LastBackups(); known.Newest.Unix() != first.Newest.Unix() || known.Newest.IsZero() {
		t.Errorf("the newest is of %v", known.Newest)
	}
	for range 3 {
		w.lookAtBackups()
	}
	w.wantBackups(2, "after a day")
	if got := w.told(); got != nil || w.status() != "green" {
		t.Errorf("told %v, the status is %s", got, w.status())
	}
}

// Only files of exactly the form are counted and removed.
func TestOldScheduledBackupsAreRemoved(t *testing.T) {
	w := newBackedUp(t, nil)
	old := []string{"husk-20200101T000000Z.tar", "husk-20200102T000000Z.tar.age", "husk-20200103T000000Z.tar"}
	others := []string{
		"husk.tar", "husk-20200101.tar", "husk-20200101T000000Z.tar.gz", "my-husk-20200101T000000Z.tar", "husk-20200101T000000Z.tar~",
		"husk-20209901T000000Z.tar", "HUSK-20200101T000000Z.tar", "husk-20200101T000000Z.tar.age.part", "notes",
	}
	for _, name := range slices.Concat(old, others) {
		if err := os.WriteFile(filepath.Join(w.Backups.Dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(w.Backups.Dir, "husk-20200104T000000Z.tar"), 0o700); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(w.Backups.Dir, "husk-20200105T000000Z.tar")); err != nil {
		t.Fatal(err)
	}
	w.backUpWhenDue(t.Context())
	got := w.backups()
	for _, name := range append(others, "husk-20200103T000000Z.tar", "husk-20200104T000000Z.tar", "husk-20200105T000000Z.tar") {
		if !slices.Contains(got, name) {
			t.Errorf("%s is gone", name)
		}
	}
	for _, name := range old[:2] {
		if slices.Contains(got, name) {
			t.Errorf("%s is still there", name)
		}
	}
	if len(got) != len(others)+4 || w.scheduled.Kept != 2 {
		t.Errorf("%d kept: %q", w.scheduled.Kept, got)
	}
}

// One that was made while the clock was ahead neither keeps the next from
// being made nor is removed, nor takes the place of one that counts.
func TestAScheduledBackupOfTheFuture(t *testing.T) {
	w := newBackedUp(t, func(c *Config) { c.Backups.Keep = 1 })
	future := "husk-20990101T000000Z.tar"
	if err := os.WriteFile(filepath.Join(w.Backups.Dir, future), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.backUpWhenDue(t.Context())
		w.pass(25 * time.Hour)
	}
	got := w.backups()
	if len(got) != 2 || got[1] != future || got[0] != "husk-"+w.Store.Now().UTC().Add(-25*time.Hour).Format(backupTime)+".tar" {
		t.Errorf("there are %q", got)
	}
	if n := w.log.Count("is of the future"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

func TestAFailedScheduledBackup(t *testing.T) {
	w := newBackedUp(t, nil)
	w.backUpWhenDue(t.Context())
	dir := w.Backups.Dir
	if err := os.Rename(dir, dir+"-gone"); err != nil {
		t.Fatal(err)
	}
	for range 90 { // minutes
		w.lookAtBackups()
		w.watch(t.Context())
	}
	if n := w.log.Count("the scheduled backup failed"); n != 2 {
		t.Errorf("%d tries in 90 minutes, want 2 (one an hour):\n%s", n, w.log)
	}
	if got := w.told(); !slices.Equal(got, []string{eventBackup}) {
		t.Errorf("told %v", got)
	}
	if text := w.trouble(); !strings.Contains(text, "the last scheduled backup failed, the newest is of 20") || strings.Contains(text, dir) {
		t.Errorf("everybody is told %q", text)
	}
	if s := w.status(); s != "yellow" {
		t.Errorf("the status is %s", s)
	}
	if err := os.Rename(dir+"-gone", dir); err != nil {
		t.Fatal(err)
	}
	w.pass(backupRetry)
	w.backUpWhenDue(t.Context())
	w.wantBackups(1, "nothing was due yet")
	if s := w.status(); s != "green" {
		t.Errorf("the status stays %s", s)
	}
	w.watch(t.Context())
	if got := w.told(); got != nil {
		t.Errorf("told %v when all was well again", got)
	}
}

// What does nothing for long is told too: a disk that hangs.
func TestOverdueScheduledBackups(t *testing.T) {
	w := newBackedUp(t, nil)
	w.pass(48 * time.Hour)
	if s := w.status(); s != "green" {
		t.Errorf("the status is %s after twice the period", s)
	}
	w.pass(time.Second)
	if text := w.trouble(); !strings.Contains(text, "scheduled backups are overdue, none was made since the server started") {
		t.Errorf("everybody is told %q", text)
	}
	w.watch(t.Context())
	if got := w.told(); !slices.Equal(got, []string{eventBackup}) {
		t.Errorf("told %v", got)
	}
}

// A backup of a damaged store is none, and takes no good one's place.
func TestNoScheduledBackupOfADamagedStore(t *testing.T) {
	w := newBackedUp(t, func(c *Config) { c.Backups.Keep = 1 })
	w.backUpWhenDue(t.Context())
	good := w.backups()
	// A record under a key that is not its own.
	err := w.engine.Engine.Update(t.Context(), func(tx db.Tx) error {
		value, err := tx.Get("user", []byte(db.SingleUser))
		if err != nil {
			return err
		}
		return tx.Put("user", []byte("another"), value)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(25 * time.Hour)
	w.backUpWhenDue(t.Context())
	if got := w.backups(); !slices.Equal(got, good) {
		t.Errorf("there are %q, and were %q", got, good)
	}
	if w.log.Count("the store is damaged") == 0 && w.log.Count("damaged") == 0 || w.status() != "yellow" {
		t.Errorf("the status is %s, the log:\n%s", w.status(), w.log)
	}
	w.Store.Close() // it is not to be looked at in the end
}

// reversing is a cipher of sorts.
type reversing struct {
	io.Writer
	ended *bool
}

func (r reversing) Write(p []byte) (int, error) {
	out := make([]byte, len(p))
	for i, b := range p {
		out[i] = ^b
	}
	return r.Writer.Write(out)
}

func (r reversing) Close() error { *r.ended = true; return nil }

func TestScheduledBackupsAreSealed(t *testing.T) {
	ended := false
	w := newBackedUp(t, func(c *Config) {
		c.Backups.Seal = func(w io.Writer) (io.WriteCloser, error) { return reversing{w, &ended}, nil }
	})
	w.backUpWhenDue(t.Context())
	w.wantBackups(1, "sealed")
	name := w.backups()[0]
	text, err := os.ReadFile(filepath.Join(w.Backups.Dir, name))
	if err != nil || !ended || !strings.HasSuffix(name, "Z.tar.age") || bytes.Contains(text, []byte(archive.ManifestName)) || bytes.Contains(text, []byte(db.SingleUser)) {
		t.Errorf("%s: ended %t, %v, %q…", name, ended, err, text[:64])
	}
	w.Backups.Seal = func(io.Writer) (io.WriteCloser, error) { return nil, errors.New("no such key") }
	w.pass(25 * time.Hour)
	w.backUpWhenDue(t.Context())
	w.wantBackups(1, "could not be sealed")
}

// A try that was killed leaves one file, which the next one takes away; the end
// of the server leaves none and is no failure.
func TestScheduledBackupsCutShort(t *testing.T) {
	w := newBackedUp(t, nil)
	f, err := w.newBackupFile()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	w.backUpWhenDue(ended)
	if w.scheduled.Failed != 0 || w.status() != "green" {
		t.Errorf("%d failed", w.scheduled.Failed)
	}
	w.backUpWhenDue(t.Context())
	w.wantBackups(1, "after one that was killed")
}

// Another server in the same folder is no reason to keep half a file.
func TestTwoServersInOneFolder(t *testing.T) {
	w := newBackedUp(t, nil)
	mine, err := w.newBackupFile()
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	theirs, err := w.newBackupFile()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := w.placeBackup(mine, "husk-20200101T000000Z.tar"); err == nil || !strings.Contains(err.Error(), "another husk") {
		t.Errorf("it was put in place: %v", err)
	}
	if err := w.placeBackup(theirs, "husk-20200102T000000Z.tar"); err != nil {
		t.Error(err)
	}
	// What has the name already is not replaced.
	again, err := w.newBackupFile()
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(again.Name())
	defer again.Close()
	if err := w.placeBackup(again, "husk-20200102T000000Z.tar"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another was replaced: %v", err)
	}
}

// Run makes them; New does not.
func TestRunMakesScheduledBackups(t *testing.T) {
	w := newBackedUp(t, nil)
	w.wantBackups(0, "New")
	ctx, cancel := context.WithCancel(t.Context())
	running := make(chan struct{})
	go func() { defer close(running); w.Run(ctx) }()
	until(t, func() bool { return w.log.Count("scheduled backup made") > 0 })
	cancel()
	<-running
	w.wantBackups(1, "Run")
}

func TestCheckBackups(t *testing.T) {
	dir := t.TempDir()
	if err := CheckBackups(Backups{}); err != nil {
		t.Error(err)
	}
	if err := CheckBackups(Backups{Dir: dir}); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
	if err := CheckBackups(Backups{Dir: filepath.Join(dir, "absent")}); err == nil {
		t.Error("an absent folder is fine")
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckBackups(Backups{Dir: file}); err == nil {
		t.Error("a file is a fine folder")
	}
}

func openCopy(path string) (db.Engine, error) {
	e, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		return nil, err
	}
	return e, nil
}
