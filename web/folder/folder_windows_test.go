package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"husk/db/fsys"
)

// let gives everybody rights on what stands at path, beside who is here.
func let(t *testing.T, path, rights string) {
	t.Helper()
	me, err := fsys.Me()
	must(t, err)
	sd, err := windows.SecurityDescriptorFromString("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;" + me.SID.String() + ")" + rights)
	must(t, err)
	list, _, err := sd.DACL()
	must(t, err)
	must(t, windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil))
}

// An administrator works in no folder to which others could lead elsewhere, and
// anybody else goes where the system lets them.
func TestOpen(t *testing.T) {
	me, err := fsys.Me()
	must(t, err)
	above, err := os.MkdirTemp("", "husk")
	must(t, err)
	defer os.Remove(above)
	data := filepath.Join(above, "data")
	must(t, fsys.MakeFolder(data))
	defer os.Remove(data)
	for _, c := range []struct {
		name, path  string
		above, data string // what everybody may do there
		led         bool
		missing     bool
	}{
		{name: "as it is made", path: data},
		{name: "read by all", path: data, above: "(A;;FRFX;;;WD)", data: "(A;;FRFX;;;WD)"},
		{name: "written by all", path: data, data: "(A;;FA;;;WD)", led: true},
		{name: "under one that is written by all", path: data, above: "(A;;FA;;;WD)", led: true},
		{name: "missing", path: filepath.Join(data, "a", "b"), missing: true},
		{name: "missing under one that is written by all", path: filepath.Join(data, "a"), data: "(A;;FA;;;WD)", led: true, missing: true},
	} {
		let(t, above, c.above)
		let(t, data, c.data)
		f, err := Open(c.path)
		var led *LedError
		switch {
		case c.led && me.Elevated:
			if !errors.As(err, &led) || !errors.Is(err, fs.ErrPermission) || led.Next == "" {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if f.Path() != c.path || me.Elevated && f.Missing() != c.missing {
			t.Errorf("%s: %s, %t", c.name, f.Path(), f.Missing())
		}
		must(t, f.Close())
	}
	let(t, above, "")
	let(t, data, "")
}
