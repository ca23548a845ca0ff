package cmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What a killed command left is removed, and nothing else.
func TestLeftoversAreRemoved(t *testing.T) {
	a := &app{}
	a.settings.Data = t.TempDir()
	make := func(name string, age time.Duration) string {
		path := filepath.Join(a.settings.Data, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Who removes them holds the lock: also one that is new belongs to nobody.
	gone := []string{make(".husk-backup-1", 2*time.Hour), make(".husk-compact-7", 0), make(".husk-restore-x", 2*time.Hour), make(".husk-backup-2", -time.Hour)}
	kept := []string{make(".husk-output-2", 48*time.Hour), make("husk.db", 48*time.Hour), make("husk.db.before-restore", 48*time.Hour), make("notes", 48*time.Hour)}
	a.removeLeftovers()
	for _, path := range gone {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	for _, path := range kept {
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Beside the data folder there is no lock: what somebody may be writing stays.
func TestOldLeftoversAreRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*") // no pattern
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old, young := writeFile(t, dir, outputPrefix+"1", "x"), writeFile(t, dir, outputPrefix+"2", "x")
	then := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, outputPrefix+"3"), 0o700); err != nil {
		t.Fatal(err)
	}
	removeOld(dir, outputPrefix, time.Hour)
	if _, err := os.Lstat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one is still there: %v", err)
	}
	if _, err := os.Lstat(young); err != nil {
		t.Errorf("the young one is gone: %v", err)
	}
}
