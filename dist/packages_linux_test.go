//go:build ship

package dist

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// packageOf is the package of a release for this machine.
func packageOf(t testing.TB, folder, kind string) string {
	t.Helper()
	name := map[string]string{"deb amd64": "*_amd64.deb", "deb arm64": "*_arm64.deb", "rpm amd64": "*.x86_64.rpm", "rpm arm64": "*.aarch64.rpm"}[kind+" "+runtime.GOARCH]
	found, err := filepath.Glob(filepath.Join(folder, name))
	if err != nil || name == "" || len(found) != 1 {
		t.Fatalf("%s has no one .%s for %s: %v, %v", folder, kind, runtime.GOARCH, found, err)
	}
	return found[0]
}

// firstRelease is the commit of release 0.1.0: the one before the one that these
// tests are of, with schema 3.
const firstRelease = "131feaac03d9ef34af006e89c2e76d7ff122459d"

// releasedBefore returns a folder with packages of the release before, its program
// and its pages in packages of the form that they have now.
func releasedBefore(t testing.TB) string {
	t.Helper()
	if exec.Command("git", "cat-file", "-e", firstRelease).Run() != nil {
		mustRun(t, "the commit of release 0.1.0 is not in this checkout: git fetch --unshallow")
	}
	before.once.Do(func() {
		if before.folder, before.err = os.MkdirTemp("", "husk-before"); before.err == nil {
			before.err = packBefore(before.folder)
		}
	})
	if before.err != nil {
		t.Fatal(before.err)
	}
	return filepath.Join(before.folder, "out")
}

func packBefore(work string) error {
	folder, source := filepath.Join(work, "out"), filepath.Join(work, "husk-v0.1.0")
	const script = `set -eu
mkdir -p "$OUT" "$TOOLS" "$SOURCE"
git -C .. archive ` + firstRelease + ` | tar -x -C "$SOURCE"
rm -r "$SOURCE/dist"
mkdir "$SOURCE/dist"
cp -r systemd proxy nginx caddy "$SOURCE/dist"
touch "$WORK/began"
(cd "$SOURCE" && go mod vendor && go build -mod=vendor -trimpath -buildvcs=false -ldflags '-s -w' -o "$OUT/husk-v0.1.0-linux-` + runtime.GOARCH + `" .)
(cd tools && go build -trimpath -o "$TOOLS/" tool)
bash steps/packages.sh`
	cmd := exec.Command("bash", "-c", script)
	cmd.Env = append(os.Environ(), "VERSION=v0.1.0", "NUMBER=0.1.0", "OUT="+folder, "WORK="+work, "SOURCE="+source, "TOOLS="+filepath.Join(work, "tools"),
		"TARGETS=linux/"+runtime.GOARCH, "SOURCE_DATE_EPOCH=1795953445", "CGO_ENABLED=0", "LC_ALL=C", "TZ=UTC")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("packages of 0.1.0: %w\n%s", err, out)
	}
	return nil
}

// apt installs as an administrator does, who is not there to answer.
func (m *machine) apt(args ...string) did {
	m.t.Helper()
	return m.run(append([]string{"apt-get", "-y", "-o", "Dpkg::Use-Pty=0"}, args...)...)
}

const nextStep = "Husk is installed, for 127.0.0.1:9000, and has no password yet. Next:\n  "

// makeToken makes a token by root's command, beside the server.
func (m *machine) makeToken(name string) string {
	m.t.Helper()
	return m.sh("husk token create --name " + name + " 2>/dev/null")
}

func (m *machine) wantProfile(token string) {
	m.t.Helper()
	if got := m.profile(token); !strings.Contains(got, `"administrator":true`) && !strings.Contains(got, `"roles"`) {
		m.t.Errorf("the token is not known: %s", got)
	}
}

// TestDeb is the life of a .deb on a machine with systemd: it is installed, serves,
// survives a broken package, goes and comes back with its data, and is purged.
func TestDeb(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	deb := m.put(packageOf(t, released(t), "deb"))
	m.boot()

	began := time.Now()
	if d := m.apt("install", deb); d.code != 0 || !strings.Contains(d.out, nextStep+"sudo husk passwd\n") {
		t.Fatalf("%d, and does not tell the next step:\n%s", d.code, d.out)
	}
	token := m.makeToken("first")
	t.Logf("from the package to the first token: %v", time.Since(began).Round(10*time.Millisecond))
	wantServing(m, token)
	wantUnits(m)

	wantBrokenRefused(m, deb, "dpkg", "-i")
	m.wantProfile(token)

	// What it knows stays when it goes, and is there when it comes back.
	m.sh("echo '# mine' >>/etc/husk/husk.yaml; echo kept >/var/backups/husk/one")
	if d := m.apt("remove", "husk"); d.code != 0 || m.processes() != "" || m.there("/usr/bin/husk") || m.there("/var/lib/husk/husk.sock") {
		t.Fatalf("it was not removed: %d\n%s", d.code, d.out)
	}
	for _, path := range []string{"/var/lib/husk/husk.db", "/etc/husk/husk.yaml", "/var/backups/husk/one"} {
		if !m.there(path) {
			t.Errorf("remove took %s with it", path)
		}
	}
	if d := m.apt("install", deb); d.code != 0 || strings.Contains(d.out, "Next:") || !strings.Contains(m.sh("cat /etc/husk/husk.yaml"), "# mine") {
		t.Errorf("it did not come back as it was: %d\n%s", d.code, d.out)
	}
	m.wantProfile(token)

	// An administrator's word outlives the package that is installed anew.
	m.ok("systemctl", "disable", "--now", "husk.socket", "husk.service")
	m.ok("dpkg", "-i", deb)
	if m.pid() != "0" || m.run("systemctl", "is-enabled", "husk.service").code == 0 {
		t.Error("what was disabled is enabled again, or runs")
	}

	// Purge asks nothing, and keeps backups.
	d := m.apt("purge", "husk")
	if d.code != 0 || m.there("/var/lib/husk") || m.there("/etc/husk") || !m.there("/var/backups/husk/one") || !strings.Contains(d.out, "the backups in /var/backups/husk stay") {
		t.Errorf("purge: %d\n%s", d.code, d.out)
	}
	if left := m.sh("find / -xdev -name 'husk*' ! -path '/root/*' ! -path '/var/backups/*'"); left != "" {
		t.Errorf("purge left:\n%s", left)
	}

	// Where another program has the address, the package is there all the same, and
	// says so; once the address is free, the service takes it.
	m.ok("systemd-run", "--quiet", "--unit=other", "systemd-socket-activate", "-l", "127.0.0.1:9000", "/bin/cat")
	if d := m.apt("install", deb); d.code != 0 || !strings.Contains(d.out, "husk did not start; 'systemctl status husk.socket husk.service' tells why") {
		t.Errorf("beside another program: %d\n%s", d.code, d.out)
	}
	m.sh("systemctl stop other; for i in $(seq 300); do systemctl is-active --quiet husk.service && exit; sleep 0.1; done; exit 1")
	m.wantProfile(m.makeToken("late"))
}

// wantBrokenRefused installs what is left of a package that was cut short, and one
// of which one byte was changed on the way. What is there goes on.
func wantBrokenRefused(m *machine, path string, install ...string) {
	t := m.t
	t.Helper()
	running, version := m.pid(), m.sh("husk version")
	whole, err := os.ReadFile(m.root + path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(whole)
	changed[len(changed)*3/4] ^= 1
	for name, text := range map[string][]byte{"cut": whole[:len(whole)/2], "changed": changed} {
		broken := "/root/" + name + filepath.Ext(path)
		if err := os.WriteFile(m.root+broken, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if d := m.run(append(install, broken)...); d.code == 0 {
			t.Errorf("a package that was %s was installed:\n%s", name, d.out)
		}
		if got := m.sh("husk version"); got != version || m.pid() != running {
			t.Errorf("after one that was %s it is %s, process %s; before %s, process %s", name, got, m.pid(), version, running)
		}
	}
}

// processes are the users of all that runs the program.
func (m *machine) processes() string {
	m.t.Helper()
	return m.sh(`for p in /proc/[0-9]*; do case $(readlink $p/exe) in /usr/bin/husk*) stat -c %U $p ;; esac; done`)
}

// wantServing looks at a server that was just installed: who runs it, what it owns,
// and whether it answers.
func wantServing(m *machine, token string) {
	t := m.t
	t.Helper()
	for path, want := range map[string]string{
		"/var/lib/husk": "700 husk husk", "/var/backups/husk": "700 husk husk", "/var/lib/husk/husk.db": "600 husk husk",
		"/etc/husk": "755 root root", "/etc/husk/husk.yaml": "644 root root", "/usr/bin/husk": "755 root root",
	} {
		if got := m.owner(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := m.processes(); got != "husk" {
		t.Errorf("the server runs as %q", got)
	}
	for _, unit := range []string{"husk.socket", "husk.service"} {
		if got := m.sh("systemctl is-enabled " + unit + "; systemctl is-active " + unit); got != "enabled\nactive" {
			t.Errorf("%s is %q", unit, got)
		}
	}
	m.wantProfile(token)
	m.ok("husk", "health")
	// A password, by who stands at the machine; it is asked for at a sign-in.
	m.sh("printf 'a long enough passphrase\\n' | husk passwd --password-stdin")
	if log := m.sh("journalctl --no-pager -o cat -u husk.service"); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, `"level":"WARN"`) {
		t.Errorf("its log complains:\n%s", log)
	}
}

// wantUnits has systemd look at every unit and file of its that the package has.
func wantUnits(m *machine) {
	t := m.t
	t.Helper()
	units := strings.Fields(m.sh("ls /usr/lib/systemd/system/husk*"))
	if len(units) != 2 {
		t.Errorf("the units are %v", units)
	}
	for _, unit := range units {
		if out := m.ok("systemd-analyze", "verify", "--man=no", unit); out != "" {
			t.Errorf("%s: %s", unit, out)
		}
	}
	m.ok("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", "/usr/lib/systemd/system/husk.service")
	m.ok("systemctl", "reload", "husk.service")
	level := regexp.MustCompile(`Overall exposure level for husk.service: ([\d.]+)`).FindStringSubmatch(m.ok("systemd-analyze", "security", "--no-pager", "--threshold=15", "husk.service"))
	if level == nil {
		t.Fatal("systemd does not say how exposed it is")
	}
	t.Logf("exposure: %s", level[1])
	m.ok("systemd-sysusers", "--dry-run", "/usr/lib/sysusers.d/husk.conf")
	m.ok("systemd-tmpfiles", "--create", "husk.conf")
}

// knocks asks the server again and again, each time on a connection of its own,
// until stop, and returns what it was answered. What is slow is no failure: the
// socket holds it while the server is replaced.
func (m *machine) knocks() (stop func() (asked int, refused string)) {
	m.t.Helper()
	if err := os.WriteFile(m.root+"/root/knock", []byte(`#!/bin/bash
until [ -e /root/enough ]; do
  if exec 3<>/dev/tcp/127.0.0.1/9000 && printf 'GET /livez HTTP/1.0\r\nHost: 127.0.0.1:9000\r\n\r\n' >&3 && IFS= read -r line <&3 && [[ $line == *' 200 '* ]]; then
    echo ok
  else
    echo "not answered: $line"
  fi
  exec 3>&-
  sleep 0.02
done
`), 0o755); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan string)
	go func() { done <- m.runFor(5*time.Minute, "/root/knock").out }()
	return func() (int, string) {
		if err := os.WriteFile(m.root+"/root/enough", nil, 0o644); err != nil {
			m.t.Error(err)
		}
		out := <-done
		return strings.Count(out, "ok\n"), strings.ReplaceAll(out, "ok\n", "")
	}
}

// TestDebUpgrade goes from the release before to this one with data, and back.
func TestDebUpgrade(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	old, deb := m.put(packageOf(t, releasedBefore(t), "deb")), m.put(packageOf(t, released(t), "deb"))
	m.boot()
	if d := m.apt("install", old); d.code != 0 {
		t.Fatal(d.out)
	}
	m.ok("husk", "user", "create", "ann@example.com", "--no-password")
	// By the owner of the folder, as the old release would be used.
	token := m.sh("runuser -u husk -- husk token create --data /var/lib/husk --name old 2>/dev/null")
	m.ok("husk", "backup", "--output", "/root/before.tar")

	wantOldOnAFullDisk(m, deb, token)
	stop := m.knocks()
	running := m.pid()
	d := m.apt("install", deb)
	if d.code != 0 || strings.Contains(d.out, "Next:") || m.pid() == running || m.pid() == "0" {
		t.Errorf("the upgrade: %d, process %s\n%s", d.code, m.pid(), d.out)
	}
	m.wantProfile(token)
	if asked, refused := stop(); asked < 10 || refused != "" {
		t.Errorf("of %d requests while it was replaced, these failed:\n%s", asked, refused)
	}
	if got := m.sh("husk user list; husk version"); !strings.Contains(got, "ann@example.com") || !strings.Contains(got, "husk "+next(t)) {
		t.Errorf("after the upgrade:\n%s", got)
	}
	if got := m.owner("/var/lib/husk/husk.db.schema-3"); got != "600 husk husk" {
		t.Errorf("the copy of the old store is %s", got)
	}
	m.ok("husk", "user", "create", "late@example.com", "--no-password")
	wantRefused(m, m.apt("--allow-downgrades", "install", old))
	m.wantProfile(token)

	// Back, as the refusal says it, and the page.
	back := wayBack(t, m.apt("--allow-downgrades", "install", old).out)
	page, err := os.ReadFile("../docs/service.md")
	if err != nil || !strings.Contains(string(page), strings.ReplaceAll(back, "  ", "")) {
		t.Errorf("docs/service.md has another way back than:\n%s", back)
	}
	m.sh(back)
	if d := m.apt("--allow-downgrades", "install", old); d.code != 0 {
		t.Fatalf("the way back: %d\n%s", d.code, d.out)
	}
	m.sh("systemctl start husk.socket husk.service")
	m.wantProfile(token)
	if got := m.sh("husk version; husk user list"); !strings.Contains(got, "husk 0.1.0") || !strings.Contains(got, "ann@") || strings.Contains(got, "late@") {
		t.Errorf("back:\n%s", got)
	}

	// Again, and removed in between: no husk is there to tell what the store is.
	m.ok("dpkg", "-i", deb)
	m.wantProfile(token)
	m.ok("dpkg", "-r", "husk")
	d = m.run("dpkg", "-i", old)
	if d.code == 0 || !strings.Contains(d.out, refusalOfOld) || m.there("/usr/bin/husk") {
		t.Errorf("an old husk over a newer store: %d\n%s", d.code, d.out)
	}
	m.sh("set +e\n" + wayBack(t, d.out)) // there are no units to stop
	m.ok("dpkg", "-i", old)
	m.wantProfile(token)
	m.ok("dpkg", "-i", deb)
	m.wantProfile(token)

	// And by a backup.
	m.ok("systemctl", "stop", "husk.socket", "husk.service")
	m.ok("husk", "restore", "/root/before.tar")
	m.ok("dpkg", "-i", old)
	m.ok("systemctl", "start", "husk.socket", "husk.service")
	m.wantProfile(token)
}

// wantOldOnAFullDisk upgrades where there is no room for the new program beside the
// old one: what is there goes on.
func wantOldOnAFullDisk(m *machine, deb, token string) {
	t := m.t
	t.Helper()
	running := m.pid()
	m.sh(`size=$(du -sk /usr/bin | cut -f 1)
mount -t tmpfs -o size=$((size + 4000))k full /mnt
cp -a /usr/bin/. /mnt
mount --bind /mnt /usr/bin`)
	if d := m.run("dpkg", "-i", deb); d.code == 0 || !strings.Contains(d.out, "No space left on device") {
		t.Errorf("on a full disk: %d\n%s", d.code, d.out)
	}
	if got := m.sh("husk version; dpkg-query -W -f '${Version} ${Status}' husk"); !strings.Contains(got, "husk 0.1.0 ") || !strings.HasSuffix(got, "0.1.0 install ok installed") || m.pid() != running {
		t.Errorf("after a full disk it is %q, process %s, which was %s", got, m.pid(), running)
	}
	m.wantProfile(token)
	m.sh("umount -l /usr/bin; umount -l /mnt")
}

const refusalOfOld = "is not installed: the store in /var/lib/husk is of schema 5, of a newer husk, and this one reads schemas up to 3."

// wantRefused looks at what an older package left that was refused: all of it.
func wantRefused(m *machine, d did) {
	t := m.t
	t.Helper()
	if d.code == 0 || !strings.Contains(d.out, refusalOfOld) || !strings.Contains(d.out, "Nothing was changed.") {
		t.Errorf("an older husk over a newer store: %d\n%s", d.code, d.out)
	}
	if got := m.sh("husk version; systemctl is-active husk.service husk.socket"); !strings.Contains(got, "husk "+next(t)) || !strings.HasSuffix(got, "active\nactive") || m.pid() == "0" {
		t.Errorf("what was there is %q, process %s", got, m.pid())
	}
	if m.there("/var/lib/husk/husk.db.schema-5") {
		t.Error("a refused package moved the store")
	}
}

// wayBack is what a refusal tells to type.
func wayBack(t testing.TB, refusal string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(refusal) {
		if strings.HasPrefix(line, "  systemctl stop") || strings.HasPrefix(line, "  husk restore /") || strings.HasPrefix(line, "  mv ") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 2 {
		t.Fatalf("it does not tell the way back:\n%s", refusal)
	}
	return strings.Join(lines, "")
}

// TestDebWithoutSystemd installs where no systemd runs, as images of containers
// and of machines are made, and where there is none; what is installed serves.
func TestDebWithoutSystemd(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]string{
		"chroot":  "true",
		"without": "dpkg --force-all --purge systemd systemd-sysv dbus libpam-systemd 2>/dev/null; ! command -v systemd-sysusers",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			deb := m.put(packageOf(t, released(t), "deb"))
			d := m.run("sh", "-c", prepare+" && DEBIAN_FRONTEND=noninteractive dpkg -i "+deb)
			if d.code != 0 || !strings.Contains(d.out, nextStep+"start husk.socket and husk.service, then: sudo husk passwd\n") {
				t.Fatalf("%d, and does not tell the next step:\n%s", d.code, d.out)
			}
			for path, want := range map[string]string{"/var/lib/husk": "700 husk husk", "/var/backups/husk": "700 husk husk"} {
				if got := m.owner(path); got != want {
					t.Errorf("%s is %s, want %s", path, got, want)
				}
			}
			if got := m.sh("getent passwd husk"); !strings.HasSuffix(got, ":/var/lib/husk:/usr/sbin/nologin") {
				t.Errorf("the user is %q", got)
			}
			for _, link := range []string{"/etc/systemd/system/sockets.target.wants/husk.socket", "/etc/systemd/system/multi-user.target.wants/husk.service"} {
				if !m.there(link) {
					t.Errorf("%s is not there: it would not start with the machine", link)
				}
			}
			// With the command and the environment of the unit, as the user of it.
			m.sh(`cd /
unit=/usr/lib/systemd/system/husk.service
start=$(sed -n 's/^ExecStart=//p' $unit) env=$(sed -n 's/^Environment=//p' $unit)
env $env setpriv --reuid husk --regid husk --clear-groups --no-new-privs $start 2>/tmp/log &
for i in $(seq 100); do husk health >/dev/null 2>&1 && break; sleep 0.1; done
husk health || { cat /tmp/log; exit 1; }
husk token create --name one | husk token check | grep -q '^valid: *yes'
kill $!; wait`)
			m.ok("dpkg", "-r", "husk")
			if !m.there("/var/lib/husk/husk.db") {
				t.Error("remove took the store with it")
			}
			m.ok("dpkg", "-P", "husk")
			if m.there("/var/lib/husk") || m.there("/etc/husk") {
				t.Error("purge left something")
			}
		})
	}
}
