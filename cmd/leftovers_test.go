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
	gone := []string{make(".husk-backup-1", 2*time.Hour), make(".husk-compact-7", 48*time.Hour), make(".husk-restore-x", 2*time.Hour)}
	kept := []string{make(".husk-backup-2", time.Minute), make("husk.db", 48*time.Hour), make("husk.db.before-restore", 48*time.Hour), make("notes", 48*time.Hour)}
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
