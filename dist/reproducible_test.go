//go:build ship

package dist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere makes a release in another world, of which its arguments are the folder
// for all of it, the folder that is not in order, the user, the key, the version, and
// the folder of the release. What it mounts ends with its name space. Programs in Go
// read the real clock, which nobody can turn for one program alone; but no second run
// has the second of the first.
const elsewhere = `
world=$1 key=$2 version=$3
if [ "$(id -u)" = 0 ]; then
  mount -t tmpfs -o mode=755 husk "$world/disk"
  mkdir -m 1777 "$world/disk/real" "$world/disk/unordered"
  # What lists a folder there gets it in another order than it was made in.
  disorderfs --multi-user=yes --reverse-dirents=yes --quiet "$world/disk/real" "$world/disk/unordered"
  trap 'umount "$world/disk/unordered"' EXIT
  as='setpriv --reuid=4711 --regid=4712 --clear-groups'
  chown -R 4711:4712 "$world/own"
else
  mkdir "$world/disk/unordered"
  as=
fi
umask 077
printf '[core]\n\tautocrlf = true\n\tattributesFile = ~/attributes\n' >"$world/own/home/.gitconfig"
echo '*.md export-ignore' >"$world/own/home/attributes"
chmod 644 "$world/own/home/.gitconfig" "$world/own/home/attributes"
$as env -i PATH="$PATH" HOME="$world/own/home" TMPDIR="$world/disk/unordered" USER=somebody LOGNAME=somebody \
  TZ=Pacific/Kiritimati LANG=tr_TR.UTF-8 LC_ALL=de_DE.UTF-8 LC_COLLATE=sv_SE.UTF-8 COLUMNS=40 TERM=xterm-256color \
  GOPROXY="$GOPROXY" GOMODCACHE="$world/own/modules" GOCACHE="$world/own/cache" GOTMPDIR="$world/own/built" GONOSUMDB='*' GONOSUMCHECK=1 GOMAXPROCS=3 GOFLAGS=-modcacherw GOFIPS140=latest \
  GZIP=-1 XZ_OPT=-0 TAR_OPTIONS=--format=pax CI=1 TARGETS="$TARGETS" ANYWAY="$ANYWAY" \
  nice -n 1 faketime '2031-03-04 05:06:07' bash "$world/own/a checkout/dist/release" $ANYWAY --key "$key" "$version" "$world/own/release of another day"
`

// TestReproducible: the same commit makes the same bytes of everything, in another
// folder, by another user with another umask, home and caches, in another time zone,
// language and year, with folders in another order, and with less of the machine. The
// caches are empty, but for what HUSK_OTHERS has: a cache of Go with what is not of Husk,
// the standard library and the modules.
func TestReproducible(t *testing.T) {
	if testing.Short() && os.Getenv("CI") != "true" {
		t.Skip("it makes a release")
	}
	first := released(t)
	faketime := need(t, "faketime", "faketime")
	if os.Getuid() == 0 {
		need(t, "disorderfs", "disorderfs")
	}
	world, err := os.MkdirTemp("", "husk-elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(world) })
	for _, folder := range []string{"disk", "own", "own/home", "own/built"} {
		if err := errors.Join(os.Mkdir(filepath.Join(world, folder), 0o755), os.Chmod(world, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if others := os.Getenv("HUSK_OTHERS"); others != "" {
		command(t, "cp", "-r", others, filepath.Join(world, "own/cache"))
	}
	anyway := checkout(t, filepath.Join(world, "own/a checkout"))
	if err := os.WriteFile(filepath.Join(world, "own/key"), read(t, key), 0o600); err != nil {
		t.Fatal(err)
	}
	line := []string{"sh", "-ec", elsewhere, "sh", world, filepath.Join(world, "own/key"), "v" + next(t)}
	if os.Getuid() == 0 {
		line = append([]string{"unshare", "--mount"}, line...)
	}
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "TARGETS="+targets(t, first), "ANYWAY="+anyway, "GOPROXY="+modules(t, world), "PATH="+os.Getenv("PATH")+":"+filepath.Dir(faketime))
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the second release: %v\n%s", err, said)
	}
	compare(t, first, filepath.Join(world, "own/release of another day"))
}

// checkout clones the commit that is checked out here, with the changes that a release
// made by --anyway takes, too; it returns that option where there are any.
func checkout(t *testing.T, folder string) (anyway string) {
	t.Helper()
	command(t, "git", "clone", "-q", "--no-hardlinks", "..", folder)
	command(t, "git", "-C", folder, "checkout", "-q", strings.TrimSpace(string(command(t, "git", "rev-parse", "HEAD"))))
	changes := command(t, "git", "-C", "..", "diff", "--binary", "HEAD")
	if len(changes) == 0 {
		return ""
	}
	apply := exec.Command("git", "-C", folder, "apply", "--index", "-")
	apply.Stdin = bytes.NewReader(changes)
	if said, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return "--anyway"
}

// targets are the platforms of a release, as Go names them.
func targets(t *testing.T, folder string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "husk-v*.cdx.json"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s has no program with its bill of materials: %v", folder, err)
	}
	var all []string
	for _, path := range found {
		platform := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "husk-v"+next(t)+"-"), ".cdx.json")
		all = append(all, strings.Replace(strings.TrimSuffix(platform, "v7"), "-", "/", 1))
	}
	return strings.Join(all, " ")
}

// modules is where another user finds the modules that were downloaded here.
func modules(t *testing.T, world string) (proxy string) {
	t.Helper()
	download := filepath.Join(strings.TrimSpace(string(command(t, "go", "env", "GOMODCACHE"))), "cache/download")
	if os.Getuid() != 0 {
		return "file://" + download
	}
	// A home is closed to others. As links where that goes, which cost nothing.
	shown := filepath.Join(world, "downloaded")
	if exec.Command("cp", "-al", download, shown).Run() != nil {
		os.RemoveAll(shown)
		command(t, "cp", "-a", download, shown)
	}
	return "file://" + shown
}

// compare tells each file that two releases do not have alike: by its name, and where
// it is an archive of files, by theirs.
func compare(t *testing.T, first, second string) {
	t.Helper()
	one, other := contents(t, first), contents(t, second)
	for _, name := range one {
		if !slices.Contains(other, name) {
			t.Errorf("%s is in the first release alone", name)
			continue
		}
		a, b := filepath.Join(first, name), filepath.Join(second, name)
		before, err := os.Stat(a)
		after, e := os.Stat(b)
		if err = errors.Join(err, e); err != nil {
			t.Fatal(err)
		}
		switch {
		case before.Mode() != after.Mode():
			t.Errorf("%s: %v in the first release, %v in the second", name, before.Mode(), after.Mode())
		case bytes.Equal(read(t, a), read(t, b)):
		case strings.HasSuffix(name, ".minisig") && strings.HasPrefix(name, "husk-"), name == "SHA256SUMS", name == "SHA256SUMS.minisig":
			t.Errorf("%s differs, as what it tells of does, or is by another key than %s", name, key)
		default:
			t.Errorf("%s differs: %s", name, difference(a, b))
		}
	}
	for _, name := range other {
		if !slices.Contains(one, name) {
			t.Errorf("%s is in the second release alone", name)
		}
	}
}

// contents lists the files of a folder, by their names in it.
func contents(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", folder, len(names), err)
	}
	return names
}

// difference is what diffoscope says first, or cmp where that is not here.
func difference(a, b string) string {
	line := []string{"cmp", a, b}
	if _, err := exec.LookPath("diffoscope"); err == nil {
		line = []string{"diffoscope", "--no-progress", "--text", "-", a, b}
	}
	said, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if len(said) == 0 {
		return fmt.Sprint(err)
	}
	lines := strings.SplitAfterN(string(said), "\n", 41)
	return strings.Join(lines[:min(len(lines), 40)], "")
}

// TestCompareTellsWhatDiffers: the comparison of two releases can fail, and names the
// file.
func TestCompareTellsWhatDiffers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	a, b := filepath.Join(folder, "a"), filepath.Join(folder, "b")
	if err := errors.Join(os.WriteFile(a, []byte("one\n"), 0o600), os.WriteFile(b, []byte("two\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if said := difference(a, b); !strings.Contains(said, "two") && !strings.Contains(said, "differ") {
		t.Errorf("of two files that differ it says %q", said)
	}
}
