package fsys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// setList gives what stands at path the access list of sddl.
func setList(t *testing.T, path, sddl string) {
	t.Helper()
	sd, err := windows.SecurityDescriptorFromString(sddl)
	must(t, err)
	list, _, err := sd.DACL()
	must(t, err, windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil))
}

// What is made is for its owner, the system and the administrators from its first
// moment, and so is what is made in a folder of it.
func TestPrivate(t *testing.T) {
	dir := filepath.Join(tempDir(t), "data")
	must(t, MakeFolder(dir))
	if who := Visitors(dir); who != "" {
		t.Errorf("%s may look into the folder", who)
	}
	f, err := CreatePrivate(dir, ".husk-*-x")
	must(t, err)
	defer f.Close()
	if name := filepath.Base(f.Name()); !strings.HasPrefix(name, ".husk-") || !strings.HasSuffix(name, "-x") || len(name) < 12 {
		t.Errorf("it is called %s", name)
	}
	must(t, Private(f))
	plain, err := os.Create(filepath.Join(dir, "plain"))
	must(t, err)
	defer plain.Close()
	if who := Readers(plain); who != "" {
		t.Errorf("%s may read what was made in the folder", who)
	}
	if err := MakeFolder(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a folder is made twice: %v", err)
	}
}

// What others may do is found in the list, whoever they are.
func TestAccess(t *testing.T) {
	me, err := Me()
	must(t, err)
	for list, want := range map[string][3]bool{ // may be read or written, may be changed, may be moved
		"D:P(A;;FA;;;SY)(A;;FA;;;BA)":                {},
		"D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;WD)":    {true, false, false},
		"D:P(A;;FA;;;BA)(A;;GR;;;WD)":                {true, false, false},
		"D:P(A;;FA;;;BA)(A;;FA;;;BU)":                {true, true, true},
		"D:P(A;;FA;;;BA)(A;;WD;;;AU)":                {true, true, true},  // WRITE_DAC
		"D:P(A;;FA;;;BA)(A;;0x4;;;AU)":               {true, true, false}, // to append, to make a folder
		"D:P(A;;FA;;;BA)(A;;0x40;;;AU)":              {true, true, true},  // to remove what is in it
		"D:P(A;;FA;;;BA)(A;OICIIO;FA;;;WD)":          {},
		"D:P(A;;FA;;;BA)(D;;FA;;;WD)":                {},
		"D:P(A;;FA;;;BA)(A;;0x100000;;;WD)":          {}, // SYNCHRONIZE
		"D:P(A;;FA;;;BA)(A;;FA;;;S-1-5-21-1-2-3-99)": {true, true, true},
		"D:P(A;;FA;;;BA)(A;;FA;;;AC)":                {true, true, true}, // programs from the store
		"D:P(A;;FA;;;OW)":                            {},
	} {
		for owner, stranger := range map[string]bool{me.SID.String(): false, "BA": false, "SY": false, "S-1-5-21-1-2-3-98": true, "BU": true} {
			sd, err := windows.SecurityDescriptorFromString("O:" + owner + list)
			must(t, err)
			a, err := accessBy(sd)
			must(t, err)
			for i, rights := range []windows.ACCESS_MASK{ReadOrWrite, ChangeIt, MoveIt} {
				if got := a.Open(me, rights) != nil; got != (want[i] || stranger) {
					t.Errorf("%s of %s: %d: %t", list, owner, i, got)
				}
			}
		}
	}
}

// A file system without lists lets everybody do everything.
func TestNoList(t *testing.T) {
	me, err := Me()
	must(t, err)
	if who := (Access{Owner: me.SID}).Open(me, ReadOrWrite); who == nil || !who.IsWellKnown(windows.WinWorldSid) {
		t.Errorf("who may read it: %v", who)
	}
}

// inWine tells whether this is no Windows.
func inWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

// TestLists is TestAccess for what stands on a disk.
func TestLists(t *testing.T) {
	me, err := Me()
	must(t, err)
	path := filepath.Join(tempDir(t), "f")
	write(t, path, "x")
	const stranger = "(A;;FA;;;S-1-5-21-1-2-3-99)"
	setList(t, path, "D:P(A;;FA;;;"+me.SID.String()+")"+stranger)
	if inWine() {
		t.Skip("wine keeps no access lists: it makes them of modes")
	}
	f, err := OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	if Readers(f) == "" || Writers(f) == "" || OpenToOthers(path, nil) == false {
		t.Errorf("a stranger in the list is not found: %q, %q", Readers(f), Writers(f))
	}
	if err := Private(f); err == nil || !Lacks(err) {
		t.Errorf("Private = %v", err)
	}
	must(t, MakePrivate(f), Private(f))
}

// tempDir is t.TempDir, which some versions of wine can't remove.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "husk")
	must(t, err)
	t.Cleanup(func() {
		for range 3 { // what is open, and what is in folders
			_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { os.Remove(path); return nil })
		}
	})
	return dir
}

// What is open can be renamed, replaced and removed.
func TestWhatIsOpen(t *testing.T) {
	dir := tempDir(t)
	open := func(name string) *os.File {
		f, err := OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		must(t, err)
		_, err = f.WriteString(name)
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	old, fresh, other := open("old"), open("fresh"), open("other")
	if err := Place(other.Name(), old.Name()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Place = %v", err)
	}
	must(t, Place(other.Name(), filepath.Join(dir, "placed")), os.Remove(filepath.Join(dir, "placed")), SyncFolder(dir))
	if err := ReplaceUnused(fresh.Name(), old.Name()); err == nil || !InUse(err) {
		t.Errorf("what is open is replaced as if it were not: %v", err)
	}
	err := Replace(fresh.Name(), old.Name())
	if inWine() && InUse(err) {
		old.Close()
		must(t, ReplaceUnused(fresh.Name(), old.Name()))
		t.Skip("wine replaces nothing that is open")
	}
	must(t, err)
	wantText(t, old.Name(), "fresh")
	text := make([]byte, 3)
	if _, err := old.ReadAt(text, 0); err != nil || string(text) != "old" {
		t.Errorf("what was replaced is %q, %v", text, err)
	}
}
