//go:build unix

package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows is which package of husk may import which, outside tests. It is the
// table of the design: imports run downward only. A package that is not here
// has no place yet.
var arrows = map[string][]string{
	"husk":     {"husk/cmd"},
	"husk/cmd": {"husk/web", "husk/web/api", "husk/web/console", "husk/web/control", "husk/web/factor", "husk/web/fold", "husk/web/folder", "husk/web/gate", "husk/web/listen", "husk/web/probe", "husk/web/story", "husk/web/token", "husk/web/upkeep", "husk/db", "husk/db/archive", "husk/db/bolt", "husk/db/fsys"},
	"husk/web": {
		"husk/db", "husk/db/archive", "husk/db/fsys", "husk/web/api", "husk/web/control", "husk/web/factor", "husk/web/fold", "husk/web/folder", "husk/web/password", "husk/web/token", "husk/web/session",
		"husk/web/ratelimit", "husk/web/gate", "husk/web/relay", "husk/web/console", "husk/web/listen", "husk/web/upkeep",
	},
	"husk/web/api":            nil,
	"husk/web/control":        {"husk/db/fsys"},
	"husk/web/factor":         nil,
	"husk/web/fold":           nil,
	"husk/web/folder":         {"husk/db/fsys"},
	"husk/web/password":       nil,
	"husk/web/token":          nil,
	"husk/web/session":        {"husk/db"},
	"husk/web/ratelimit":      nil,
	"husk/web/gate":           nil,
	"husk/web/probe":          nil,
	"husk/web/manual":         nil,
	"husk/web/listen":         {"husk/web/api", "husk/web/fold"},
	"husk/web/relay":          {"husk/web/api", "husk/web/fold", "husk/web/listen"},
	"husk/web/console":        {"husk/web/api", "husk/web/factor", "husk/web/manual", "husk/web/story"},
	"husk/web/story":          {"husk/web/api"},
	"husk/web/upkeep":         {"husk/db", "husk/db/archive", "husk/db/fsys", "husk/web/api", "husk/web/factor", "husk/web/fold", "husk/web/folder", "husk/web/listen"},
	"husk/db":                 nil,
	"husk/db/archive":         {"husk/db", "husk/db/fsys"},
	"husk/db/bolt":            {"husk/db", "husk/db/fsys"},
	"husk/db/bolt/bolttest":   {"husk/db", "husk/db/bolt"}, // for tests alone
	"husk/db/fsys":            nil,
	"husk/dist":               nil,
	"husk/db/dbtest":          {"husk/db"},
	"husk/db/dbtest/large":    {"husk/db", "husk/db/bolt"}, // for measurements alone
	"husk/db/dbtest/syscalls": {"husk/db/dbtest"},          // for tests alone
	"husk/web/logtest":        nil,                         // for tests alone
	"husk/web/chromiumtest":   {"husk/db/dbtest"},          // for tests alone
}

// onlyIn is which package alone may import a library: what is exchangeable has
// one place.
var onlyIn = map[string]string{
	"go.etcd.io/bbolt":                "husk/db/bolt",
	"github.com/Microsoft":            "husk/web/control",
	"github.com/spf13/cobra":          "husk/cmd",
	"filippo.io/age":                  "husk/cmd",
	"github.com/labstack/echo":        "husk/web",
	"github.com/pquerna/otp":          "husk/web/factor",
	"github.com/boombuler/barcode":    "husk/web/factor",
	"github.com/golang-jwt/jwt":       "husk/web/session",
	"golang.org/x/crypto/argon2":      "husk/web/password",
	"github.com/jedisct1/go-minisign": "husk/cmd",
}

func TestArrows(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, p := range append(listPackages(t, ""), listPackages(t, "windows")...) {
		allowed, known := arrows[p.ImportPath]
		if !known {
			t.Errorf("%s has no place in the design", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "husk/") {
				seen++
				if !slices.Contains(allowed, imported) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
			for library, place := range onlyIn {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && p.ImportPath != place {
					t.Errorf("%s imports %s, which only %s may", p.ImportPath, imported, place)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no arrow was seen")
	}
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

// listPackages reads the imports for a system; "": this one.
func listPackages(t *testing.T, system string) (all []listedPackage) {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "husk/...")
	if system != "" {
		list.Env = append(os.Environ(), "GOOS="+system)
	}
	out, err := list.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("go list: %s", exit.Stderr)
	} else if err != nil {
		prerequisite(t, "go list: "+err.Error())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
