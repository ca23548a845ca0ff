package cmd

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"husk/db/dbtest"
	"husk/web/api"
)

// What docs/containers.md says is tried as far as a container goes without an
// engine: the first process of a namespace, in a root that is read-only and has
// nothing but husk, with a volume at /data, and an environment that names no
// home. The network is the machine's.

// asContainer has the test binary turn into that first process. Its value is
// the folder that becomes the root.
const asContainer = "TEST_HUSK_CONTAINER"

func init() {
	root := os.Getenv(asContainer)
	if root == "" {
		return
	}
	err := enterContainer(root, os.Getenv("TEST_HUSK_UID"), os.Getenv("TEST_HUSK_CAPABILITIES") != "none")
	fmt.Fprintln(os.Stderr, "no container:", err)
	os.Exit(99)
}

// enterContainer makes the root and becomes husk in it. It returns where that
// fails.
func enterContainer(root, uid string, capable bool) error {
	mounts := []struct {
		what, where, kind string
		flags             uintptr
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{root, root, "", syscall.MS_BIND | syscall.MS_REC},
		{"proc", root + "/proc", "proc", 0},
		{filepath.Join(root, "../volume"), root + "/data", "", syscall.MS_BIND},
		{"", root, "", syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY},
	}
	for _, library := range libraries() { // a test binary may need some; husk does not
		mounts = append(mounts, mounts[1])
		mounts[len(mounts)-1].what, mounts[len(mounts)-1].where = library, root+library
	}
	for _, m := range mounts {
		if err := syscall.Mount(m.what, m.where, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.where, err)
		}
	}
	id, err := strconv.Atoi(uid)
	if err == nil {
		err = errors.Join(syscall.Chroot(root), syscall.Chdir("/"))
	}
	if err == nil && !capable {
		err = dropCapabilities()
	}
	if err == nil && id != 0 {
		err = errors.Join(syscall.Setgroups(nil), syscall.Setgid(id), syscall.Setuid(id))
	}
	if err != nil {
		return err
	}
	env := []string{"HUSK_DATA=" + os.Getenv("HUSK_DATA"), "HUSK_ADDR=127.0.0.1:0", asDaemon + "=1", "GORACE=atexit_sleep_ms=0"}
	return syscall.Exec(os.Args[1], os.Args[1:], env)
}

// libraries are the folders of this machine with them.
func libraries() (folders []string) {
	for _, folder := range []string{"/lib", "/lib64", "/usr/lib", "/usr/lib64"} {
		if _, err := os.Stat(folder); err == nil {
			folders = append(folders, folder)
		}
	}
	return folders
}

// dropCapabilities takes all of them from the thread that goes on, and from
// what it becomes.
func dropCapabilities() error {
	runtime.LockOSThread()
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return err
		}
	}
	var none [2]unix.CapUserData
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
}

// container is what an engine is told.
type container struct {
	uid    int    // 0: root
	data   string // HUSK_DATA; "": /data
	owner  int    // of the volume
	group  int
	mode   os.FileMode // of the volume
	bare   bool        // no capabilities
	mapped int         // root is this user outside; 0: root is root
	husk   string      // the program; "": the test binary
}

// start starts a program in a container.
func (c container) start(t *testing.T, line ...string) *server {
	t.Helper()
	if os.Getuid() != 0 {
		prerequisite(t, "only root makes containers here")
	}
	s := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if c.mapped != 0 {
		s.Cloneflags |= syscall.CLONE_NEWUSER
		s.UidMappings = []syscall.SysProcIDMap{{HostID: c.mapped, Size: 65536}}
		s.GidMappings, s.GidMappingsEnableSetgroups = s.UidMappings, true
		s.Credential = &syscall.Credential{} // root of the namespace
	}
	capabilities := "all"
	if c.bare {
		capabilities = "none"
	}
	e := exec.Command("/proc/self/exe", line...)
	e.Env = []string{asContainer + "=" + c.folder(t), "TEST_HUSK_UID=" + strconv.Itoa(c.uid), "TEST_HUSK_CAPABILITIES=" + capabilities, "HUSK_DATA=" + cmp.Or(c.data, "/data")}
	e.Dir, e.SysProcAttr = "/", s
	return run(t, e)
}

// folder makes what becomes the root, with the volume beside it. Other users
// find the way to it.
func (c container) folder(t *testing.T) (root string) {
	t.Helper()
	base, err := os.MkdirTemp("", "husk-container")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	root, volume := filepath.Join(base, "root"), filepath.Join(base, "volume")
	err = os.Chmod(base, 0o755)
	for _, folder := range append(libraries(), "/proc", "/data") {
		err = errors.Join(err, os.MkdirAll(root+folder, 0o755))
	}
	err = errors.Join(err, putHusk(c.husk, filepath.Join(root, "husk")), os.Mkdir(volume, 0o700), os.Chown(volume, c.owner, c.group), os.Chmod(volume, c.mode), os.Chown(root, c.mapped, c.mapped))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// putHusk puts a program, or a link to it, at path.
func putHusk(program, path string) (err error) {
	if program == "" {
		program, err = os.Executable()
	}
	if err != nil || os.Link(program, path) == nil {
		return err
	}
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o755)
}

// exec runs a program beside the server, as an engine does in a container that
// runs.
func (c container) exec(s *server, stdin string, line ...string) result {
	s.t.Helper()
	enter := []string{"-t", strconv.Itoa(s.cmd.Process.Pid), "-p", "-m", "-r", "-S", strconv.Itoa(c.uid), "-G", strconv.Itoa(c.uid)}
	if c.mapped != 0 {
		enter = append(enter, "-U")
	}
	e := exec.Command("nsenter", append(enter, line...)...)
	e.Env = []string{"HUSK_DATA=" + cmp.Or(c.data, "/data"), asDaemon + "=1", "GORACE=atexit_sleep_ms=0"}
	var stdout, stderr bytes.Buffer
	e.Stdin, e.Stdout, e.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := e.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return result{e.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// image is what dist/container/Dockerfile says of how husk is run.
type image struct {
	uid, data        string
	start, healthy   []string
	build, buildFrom string
}

func readImage(t *testing.T) (i image) {
	t.Helper()
	text, err := os.ReadFile("../dist/container/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	list := func(pattern string) (words []string) {
		m := regexp.MustCompile("(?m)^" + pattern + "$").FindSubmatch(text)
		if m == nil {
			t.Fatalf("the Dockerfile has no %s", pattern)
		}
		if m[1][0] != '[' {
			return []string{string(m[1])}
		}
		if err := json.Unmarshal(m[1], &words); err != nil {
			t.Fatalf("%s: %v", m[0], err)
		}
		return words
	}
	i.uid, i.data = list(`USER (\d+):\d+`)[0], list(`ENV HUSK_DATA=(\S+)`)[0]
	i.start = append(list(`ENTRYPOINT (\[.*\])`), list(`CMD (\[.*\])`)...)
	i.healthy = list(`HEALTHCHECK .* CMD (\[.*\])`)
	i.build, i.buildFrom = list(`RUN (.* go build .*)`)[0], list(`FROM golang:(\S+) AS build`)[0]
	return i
}

// built builds husk as the image has it, where there is time for that.
func (i image) built(t *testing.T) (program string) {
	t.Helper()
	if os.Getenv("HUSK_LONG") == "" || dbtest.Race { // nothing built here has the detector
		return ""
	}
	program = filepath.Join(t.TempDir(), "husk")
	c := exec.Command("sh", "-c", strings.Replace(i.build, "/out/husk", program, 1))
	c.Dir = ".."
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", i.build, err, out)
	}
	if out, err := exec.Command("ldd", program).CombinedOutput(); err == nil {
		t.Errorf("the image's program needs what the image has not:\n%s", out)
	}
	return program
}

// TestTheImageIsTheRelease: it is built as the README says, with the Go that
// go.mod asks for.
func TestTheImageIsTheRelease(t *testing.T) {
	i := readImage(t)
	readme, err := os.ReadFile("../README.md")
	module, e := os.ReadFile("../go.mod")
	if err = errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
	if line := strings.Replace(i.build, "/out/husk", "husk", 1); !strings.Contains(string(readme), "\n"+line+"\n") {
		t.Errorf("the README has no %s", line)
	}
	if !strings.Contains(string(module), "\ngo "+i.buildFrom+".") {
		t.Errorf("go.mod does not ask for Go %s", i.buildFrom)
	}
}

// TestTheImage: what the image starts serves, knows its own, and ends as an
// engine wants it to.
func TestTheImage(t *testing.T) {
	t.Parallel()
	i := readImage(t)
	uid, err := strconv.Atoi(i.uid)
	if err != nil {
		t.Fatal(err)
	}
	c := container{uid: uid, data: i.data, owner: uid, group: uid, mode: 0o755, husk: i.built(t)}
	s := c.start(t, i.start...)
	s.ready()
	if r := c.exec(s, "", i.healthy...); r.code != exitDone || !strings.Contains(r.stdout, "running server") {
		t.Errorf("the image's health check: %v", r)
	}
	if r := c.exec(s, "tin cup on the shelf\n", "/husk", "passwd", "--password-stdin"); r.code != exitDone {
		t.Errorf("passwd beside it: %v", r)
	}
	if r := c.exec(s, "", "/husk", "backup", "--output", "-"); r.code != exitDone || !strings.HasPrefix(r.stdout, "manifest.json\x00") {
		t.Errorf("a backup on stdout: exit code %d, %d bytes: %s", r.code, len(r.stdout), r.stderr)
	}
	if _, err := s.client("").Login(t.Context(), api.Login{Password: "tin cup on the shelf"}); err != nil {
		t.Error(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reload", func() bool { return strings.Contains(s.log.String(), `"reloaded"`) })
	if code, took := s.stop(syscall.SIGTERM); code != exitDone || took > handoverPatience {
		t.Errorf("SIGTERM ended it with %d after %v:\n%s", code, took, &s.log)
	}
}

// TestVolumes: whoever runs, with whose volume.
func TestVolumes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		container
		serves bool
		says   string
		owns   int // outside
	}{
		"of a user without a name":        {container{uid: 4711, owner: 4711, group: 4711, mode: 0o700}, true, "", 4711},
		"of a group":                      {container{uid: 65532, data: "/data/husk", group: 65532, mode: 0o775 | os.ModeSetgid}, true, "", 65532},
		"of another than root":            {container{owner: 65532, group: 65532, mode: 0o700}, true, "", 65532},
		"of root without capabilities":    {container{bare: true, mode: 0o700}, true, "", 0},
		"of root of a namespace":          {container{mapped: 100000, owner: 100000, group: 100000, mode: 0o700}, true, "", 100000},
		"of a user of a namespace":        {container{mapped: 100000, uid: 65532, owner: 165532, group: 165532, mode: 0o700}, true, "", 165532},
		"of another than that root":       {container{mapped: 100000, owner: 165532, group: 165532, mode: 0o700}, true, "", 165532},
		"of root, which husk is not":      {container{uid: 65532, mode: 0o755}, false, "no access to the store in /data: permission denied", 0},
		"of a user whom it can't become":  {container{bare: true, owner: 65532, group: 65532, mode: 0o700}, false, "/data belongs to uid 65532, and root may not become that user here", 0},
		"of a user outside the namespace": {container{mapped: 100000, owner: 4711, group: 4711, mode: 0o700}, false, "/data", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.start(t, "/husk", "serve")
			if !c.serves {
				if code := s.exit(); code != exitDenied || !strings.Contains(s.log.String(), c.says) {
					t.Errorf("it ends with %d:\n%s", code, &s.log)
				}
				return
			}
			s.ready()
			if r := c.exec(s, "", "/husk", "token", "create", "--quiet"); r.code != exitDone {
				t.Errorf("a command beside it: %v", r)
			}
			if strings.Contains(s.log.String(), `"WARN"`) {
				t.Errorf("it warns:\n%s", &s.log)
			}
			if owner := c.ownerOf(t, s); owner != c.owns {
				t.Errorf("the store belongs to %d, not to %d", owner, c.owns)
			}
			s.end()
		})
	}
}

// ownerOf is whose the store is, seen from outside.
func (c container) ownerOf(t *testing.T, s *server) int {
	t.Helper()
	info, err := os.Stat(fmt.Sprintf("/proc/%d/root%s/husk.db", s.cmd.Process.Pid, cmp.Or(c.data, "/data")))
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}
