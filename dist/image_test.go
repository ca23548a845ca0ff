//go:build ship

package dist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the image says is read by skopeo, and what is in it unpacked by umoci, as
// whoever has no other program of the same library.

// imageUser is who the image runs as.
const imageUser = 65532

// imageConfig is what Husk's image says of how it is run.
type imageConfig struct {
	Architecture string
	OS           string
	Created      time.Time
	Config       struct {
		User            string
		Env, Entrypoint []string
		Cmd             []string
		ExposedPorts    map[string]struct{}
		Labels          map[string]string
		Healthcheck     struct {
			Test                           []string
			Interval, Timeout, StartPeriod time.Duration
		}
	}
}

// command runs a program of the machine, and returns what it prints.
func command(t testing.TB, line ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s%s", line, err, &stdout, &stderr)
	}
	return stdout.Bytes()
}

// archive is the image of the release.
func archive(t testing.TB) string {
	return filepath.Join(released(t), "husk-v"+next(t)+"-oci.tar")
}

// architectures are those of the image that the release has, as Go names them.
func architectures(t testing.TB) (all []string) {
	for _, cpu := range []string{"amd64", "arm64"} {
		if _, err := os.Stat(programFor(t, "linux-"+cpu)); err == nil {
			all = append(all, cpu)
		}
	}
	if len(all) == 0 {
		t.Fatal("the release has no program for an image")
	}
	return all
}

// programFor is the path of that of the release for a platform, as linux-armv7.
func programFor(t testing.TB, platform string) string {
	return filepath.Join(released(t), "husk-v"+next(t)+"-"+platform)
}

func configOf(t *testing.T, cpu string) (c imageConfig) {
	t.Helper()
	// Without --raw skopeo shows what is in the OCI's form alone.
	text := command(t, need(t, "skopeo", "skopeo"), "inspect", "--override-os", "linux", "--override-arch", cpu, "--config", "--raw", "oci-archive:"+archive(t))
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return c
}

// TestImageIsThatOfTheDockerfile: who builds an image has the same as who loads that
// of the release.
func TestImageIsThatOfTheDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("container/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	all := func(pattern string) (found []string) {
		for _, m := range regexp.MustCompile("(?m)^"+pattern+"$").FindAllSubmatch(text, -1) {
			found = append(found, string(m[1]))
		}
		if len(found) == 0 {
			t.Fatalf("the Dockerfile has no %s", pattern)
		}
		return found
	}
	list := func(pattern string) (words []string) {
		if err := json.Unmarshal([]byte(all(pattern)[0]), &words); err != nil {
			t.Fatal(err)
		}
		return words
	}
	times := regexp.MustCompile(`HEALTHCHECK --interval=(\S+) --timeout=(\S+) --start-period=(\S+) `).FindStringSubmatch(string(text))
	if times == nil {
		t.Fatal("the Dockerfile has no HEALTHCHECK with its times")
	}
	for _, cpu := range architectures(t) {
		c := configOf(t, cpu)
		for what, is := range map[string][2]any{
			"architecture": {c.OS + "/" + c.Architecture, "linux/" + cpu},
			"USER":         {c.Config.User, all(`USER (\S+)`)[0]},
			"this user":    {c.Config.User, fmt.Sprintf("%d:%d", imageUser, imageUser)},
			"ENV":          {c.Config.Env, all(`ENV (\S+)`)},
			"ENTRYPOINT":   {c.Config.Entrypoint, list(`ENTRYPOINT (\[.*\])`)},
			"CMD":          {c.Config.Cmd, list(`CMD (\[.*\])`)},
			"EXPOSE":       {c.Config.ExposedPorts, map[string]struct{}{all(`EXPOSE (\d+)`)[0] + "/tcp": {}}},
			"HEALTHCHECK":  {c.Config.Healthcheck.Test, append([]string{"CMD"}, list(`HEALTHCHECK .* CMD (\[.*\])`)...)},
			"its times":    {fmt.Sprint(c.Config.Healthcheck.Interval, c.Config.Healthcheck.Timeout, c.Config.Healthcheck.StartPeriod), strings.Join(times[1:], " ")},
		} {
			if !reflect.DeepEqual(is[0], is[1]) {
				t.Errorf("%s: %s of the image is %v, of the Dockerfile %v", cpu, what, is[0], is[1])
			}
		}
	}
}

// TestImageSaysWhatItIs: the release and its commit in labels and annotations, one
// name, and the date of the commit.
func TestImageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	stamp := strings.Fields(string(command(t, "tar", "-xzOf", filepath.Join(released(t), "husk-v"+next(t)+"-source.tar.gz"), "husk-v"+next(t)+"/cmd/release.txt")))
	if len(stamp) != 5 {
		t.Fatalf("the source says of itself %q", stamp)
	}
	commit, date := stamp[2], stamp[4]
	want := map[string]string{
		"org.opencontainers.image.title": "husk", "org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.version": next(t),
		"org.opencontainers.image.revision": commit, "org.opencontainers.image.created": date,
	}
	for _, cpu := range architectures(t) {
		c := configOf(t, cpu)
		for key, value := range want {
			if c.Config.Labels[key] != value {
				t.Errorf("%s: label %s is %q, not %q", cpu, key, c.Config.Labels[key], value)
			}
		}
		if c.Created.Format(time.RFC3339) != date {
			t.Errorf("%s: made at %v, not at %s", cpu, c.Created, date)
		}
	}
	var index struct {
		MediaType   string
		Annotations map[string]string
		Manifests   []struct {
			Platform    struct{ Architecture, OS string }
			Annotations map[string]string
		}
	}
	text := command(t, need(t, "skopeo", "skopeo"), "inspect", "--raw", "oci-archive:"+archive(t)+":localhost/husk:"+next(t))
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	for key, value := range want {
		if index.Annotations[key] != value {
			t.Errorf("annotation %s is %q, not %q", key, index.Annotations[key], value)
		}
	}
	var found []string
	for _, m := range index.Manifests {
		found = append(found, m.Platform.Architecture)
	}
	if !slices.Equal(found, architectures(t)) {
		t.Errorf("the index has %v, and the release programs for %v", found, architectures(t))
	}
}

// TestImageForDocker: engines without an index find each architecture by a tag of
// its own, and the same layers.
func TestImageForDocker(t *testing.T) {
	t.Parallel()
	for _, cpu := range architectures(t) {
		tag := ":localhost/husk:" + next(t) + "-" + cpu
		var docker, oci struct {
			Architecture string
			Layers       []string
		}
		skopeo := need(t, "skopeo", "skopeo")
		// A docker-archive has the layers unpacked: what is compared is their content.
		folder := t.TempDir()
		command(t, skopeo, "copy", "--insecure-policy", "docker-archive:"+archive(t)+tag, "dir:"+filepath.Join(folder, "docker"))
		command(t, skopeo, "copy", "--insecure-policy", "--override-arch", cpu, "--dest-decompress", "oci-archive:"+archive(t), "dir:"+filepath.Join(folder, "oci"))
		for from, into := range map[string]any{"docker": &docker, "oci": &oci} {
			if err := json.Unmarshal(command(t, skopeo, "inspect", "dir:"+filepath.Join(folder, from)), into); err != nil {
				t.Fatal(err)
			}
		}
		if docker.Architecture != cpu || len(docker.Layers) != 1 || !reflect.DeepEqual(docker, oci) {
			t.Errorf("%s: Docker loads %+v, who knows an index %+v", cpu, docker, oci)
		}
	}
}

// unpacked is the root of the image for an architecture.
func unpacked(t *testing.T, cpu string) (root string) {
	t.Helper()
	// Where other users find the way.
	base, err := os.MkdirTemp("", "husk-image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, need(t, "skopeo", "skopeo"), "copy", "--insecure-policy", "--override-os", "linux", "--override-arch", cpu, "oci-archive:"+archive(t), "oci:"+filepath.Join(base, "layout")+":husk")
	if os.Getuid() != 0 {
		mustRun(t, "only root unpacks files of others")
	}
	command(t, need(t, "umoci", "umoci"), "unpack", "--image", filepath.Join(base, "layout")+":husk", filepath.Join(base, "bundle"))
	return filepath.Join(base, "bundle", "rootfs")
}

// TestImageHasTheReleasedProgram: it, the folders that it writes to, the licences,
// and nothing else.
func TestImageHasTheReleasedProgram(t *testing.T) {
	t.Parallel()
	for _, cpu := range architectures(t) {
		root := unpacked(t, cpu)
		command(t, "cmp", filepath.Join(root, "husk"), programFor(t, "linux-"+cpu))
		entries, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, fmt.Sprint(e.Name(), " ", info.Sys().(*syscall.Stat_t).Uid, " ", info.Mode().Perm()))
		}
		if want := []string{"backups 65532 -rwxr-xr-x", "data 65532 -rwxr-xr-x", "husk 0 -rwxr-xr-x", "licenses 0 -rwxr-xr-x"}; !slices.Equal(names, want) {
			t.Errorf("%s: the image has\n%s\nand not\n%s", cpu, strings.Join(names, "\n"), strings.Join(want, "\n"))
		}
		for _, licence := range []string{"LICENSE", "go.etcd.io/bbolt/LICENSE", "golang.org/x/crypto/LICENSE"} {
			if _, err := os.Stat(filepath.Join(root, "licenses", licence)); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestImageStarts: each architecture, as the user of the image, in a root that is
// read-only and has nothing else, with no capabilities; where it is not that of the
// machine, in qemu.
func TestImageStarts(t *testing.T) {
	t.Parallel()
	for _, cpu := range architectures(t) {
		t.Run(cpu, func(t *testing.T) {
			t.Parallel()
			root := unpacked(t, cpu)
			c := configOf(t, cpu)
			line := append(slices.Clone(c.Config.Entrypoint), c.Config.Cmd...)
			health := c.Config.Healthcheck.Test[1:]
			if by := emulator(t, cpu); by != "" {
				if err := os.WriteFile(filepath.Join(root, "qemu"), read(t, by), 0o755); err != nil {
					t.Fatal(err)
				}
				line, health = append([]string{"/qemu"}, line...), append([]string{"/qemu"}, health...)
			}
			enter := []string{"unshare", "--mount", "--net", "sh", "-ec",
				`ip link set lo up; mount --bind "$1" "$1"; for folder in data backups; do mount --bind "$1/$folder" "$1/$folder"; done
				mount -o remount,bind,ro "$1"; cd "$1"; shift; exec setpriv --no-new-privs chroot --userspec=` + c.Config.User + ` . "$@"`, "sh", root}
			need(t, "ip", "iproute2")
			s := exec.Command(enter[0], append(enter[1:], line...)...)
			s.Env = append(slices.Clone(c.Config.Env), "PATH="+os.Getenv("PATH"))
			var log bytes.Buffer
			s.Stdout, s.Stderr = &log, &log
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				s.Process.Kill()
				s.Wait()
			}()
			healthy := func() ([]byte, error) {
				h := exec.Command("chroot", append([]string{"--userspec=" + c.Config.User, root}, health...)...)
				h.Env = s.Env
				return h.CombinedOutput()
			}
			wait(t, func() error {
				out, err := healthy()
				if err != nil || !bytes.Contains(out, []byte("running server")) {
					return fmt.Errorf("husk health: %w: %s\n%s", errors.Join(err), out, &log)
				}
				return nil
			})
			info, err := os.Stat(filepath.Join(root, "data/husk/husk.db"))
			if err != nil {
				t.Fatal(err)
			}
			if owner := info.Sys().(*syscall.Stat_t).Uid; owner != imageUser {
				t.Errorf("the store is that of %d", owner)
			}
		})
	}
}

// emulator is what starts a program of an architecture, as Go names it, here; "": the
// machine does.
func emulator(t testing.TB, cpu string) string {
	t.Helper()
	machine := strings.TrimSpace(string(command(t, "uname", "-m")))
	names := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "arm": "arm", "armv7": "arm", "386": "i386"}
	if names[cpu] == machine || cpu == "386" && machine == "x86_64" {
		return ""
	}
	return need(t, "qemu-"+names[cpu]+"-static", "qemu-user-static")
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wait asks until there is no error any more.
func wait(t testing.TB, ask func() error) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestProgramsOfOtherMachines: each program for Linux says its version, serves and
// answers, in qemu where this is another machine.
func TestProgramsOfOtherMachines(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, cpu := range []string{"amd64", "arm64", "armv7", "386"} {
		path := programFor(t, "linux-"+cpu)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		tried++
		t.Run(cpu, func(t *testing.T) {
			t.Parallel()
			line := []string{path}
			if by := emulator(t, cpu); by != "" {
				line = []string{by, path}
			}
			data := t.TempDir()
			goarch := strings.TrimSuffix(cpu, "v7")
			if said := string(command(t, append(slices.Clone(line), "version")...)); !strings.HasPrefix(said, "husk "+next(t)+" (") || !strings.Contains(said, "linux/"+goarch+")") {
				t.Errorf("it says %s", said)
			}
			s := exec.Command(line[0], append(line[1:], "serve", "--data", data, "--addr", "127.0.0.1:"+strconv.Itoa(freePort(t)))...)
			var log bytes.Buffer
			s.Stderr = &log
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			address := strings.TrimPrefix(s.Args[len(s.Args)-1], "127.0.0.1:")
			wait(t, func() error {
				answer, err := http.Get("http://127.0.0.1:" + address + "/health")
				if err != nil {
					return err
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				if err != nil || answer.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"`+next(t)+`"`)) {
					return fmt.Errorf("/health: %d %s %w", answer.StatusCode, body, err)
				}
				return nil
			})
			if err := s.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := s.Wait(); err != nil {
				t.Errorf("SIGTERM: %v\n%s", err, &log)
			}
		})
	}
	if tried == 0 {
		t.Fatal("the release has no program for Linux")
	}
}

// freePort is one that nobody listens at on loopback. Another may take it meanwhile;
// then the server says so.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
