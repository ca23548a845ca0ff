//go:build unix && !linux

package control

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestStrangersRunFolderIsRefused(t *testing.T) {
	me := os.Geteuid()
	cases := map[string]func(dir string) error{
		"open to others": func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o710)
		},
		"a file": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"a link": func(dir string) error {
			if err := os.Mkdir(dir+"2", 0o700); err != nil {
				return err
			}
			return os.Symlink(dir+"2", dir)
		},
	}
	if me == 0 {
		cases["a stranger's"] = func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chown(dir, nobody, nobody)
		}
	}
	for name, put := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(wideFolder(t), "run")
			if err := put(dir); err != nil {
				t.Fatal(err)
			}
			if err := checkRunDir(dir, me); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("checkRunDir = %v", err)
			}
			if err := makeRunDir(dir, me); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("makeRunDir = %v", err)
			}
		})
	}
}

func TestSquattedRunFolderIsRefused(t *testing.T) {
	needRoot(t)
	// Of a uid that no other test has.
	uid := 2_000_000_000 + os.Getpid()
	dir := runDir(uid)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := &place{socket: filepath.Join(dir, "0.sock")}
	if err := at.check(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("check = %v", err)
	}
	if err := at.make(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("make = %v", err)
	}
}

func TestDataFolderNamedLikeARunFolder(t *testing.T) {
	dir := runDir(2_100_000_000 + os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	mustMeet(t, mustListen(t, dir), dir)
}
