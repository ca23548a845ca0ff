//go:build ship

package dist

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestMain removes the releases that the tests made, if they made any.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, folder := range []string{made.folder, before.folder} {
		if folder != "" {
			os.RemoveAll(folder)
		}
	}
	os.Exit(code)
}

// made is the release of this run, where nobody gave one.
var made struct {
	once   sync.Once
	folder string
	err    error
}

// key is the secret key that releases of tests are signed with, and publicKey
// what they are checked by. It has no password, and is worth nothing.
const (
	key       = "testdata/husk-test.key"
	publicKey = "testdata/husk-test.pub"
)

// released returns the folder of a release: HUSK_RELEASE, or one that is made once for
// all tests, for the platforms in HUSK_SHIP_TARGETS ("linux/amd64 linux/arm") or for
// this one alone.
func released(t testing.TB) string {
	t.Helper()
	if given := os.Getenv("HUSK_RELEASE"); given != "" {
		return given
	}
	made.once.Do(func() {
		if made.folder, made.err = os.MkdirTemp("", "husk-release"); made.err != nil {
			return
		}
		cmd := exec.Command("bash", "release", "--anyway", "--key", key, "v"+next(t), filepath.Join(made.folder, "out"))
		cmd.Env = append(os.Environ(), "TARGETS="+cmp.Or(os.Getenv("HUSK_SHIP_TARGETS"), runtime.GOOS+"/"+runtime.GOARCH))
		if out, err := cmd.CombinedOutput(); err != nil {
			made.err = fmt.Errorf("%w:\n%s", err, out)
		}
	})
	if made.err != nil {
		t.Fatalf("no release could be made: %v", made.err)
	}
	return filepath.Join(made.folder, "out")
}

// next is the number of the release that is to be made, as 0.2.0.
func next(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../cmd/release.txt")
	if err != nil {
		t.Fatal(err)
	}
	number, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(number, "-dev")
}

// mustRun skips a test, which under CI=true fails.
func mustRun(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// need skips a test that a program is missing for. Where everything has to run,
// under CI=true, it fails.
func need(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		mustRun(t, fmt.Sprintf("%s is missing: apt-get install %s", program, debianPackage))
	}
	return path
}
