//go:build ship

package dist

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"husk/db/dbtest"
)

// install is how one installs in a world.
const install = `sh '` + stick + `/install.sh'`

// whole fails the test where something is half written.
func (w *world) whole() {
	w.Helper()
	if left := w.ok(`find / -xdev \( -name '*.husk-new' -o -name installing -o -name installed.final \) -path '*husk*' 2>/dev/null; find /usr/local /etc -name '*.husk-new' 2>/dev/null || true`); left != "" {
		w.Errorf("this is left half done:\n%s", left)
	}
}

// TestInstall: root's way, from the stick to a service and back, with what stays.
func TestInstall(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	need(t, "systemd-analyze", "systemd")
	w := newWorld(t, unpackBundle(t))
	empty := w.state()
	dry := w.ok(install + ` --dry-run`)
	if now := w.state(); now != empty {
		t.Errorf("--dry-run has changed:\n%s", differ(empty, now))
	}
	said := w.ok(install)
	for _, words := range []string{"husk " + next(t) + " is installed: /usr/local/bin/husk", "NOT verified", "'husk passwd'", `Undo: sh "/usr/local/lib/husk/uninstall.sh"`} {
		if !strings.Contains(said, words) {
			t.Errorf("it does not say %q:\n%s", words, said)
		}
	}
	w.whole()
	for line := range strings.Lines(dry) {
		if place, ok := strings.CutPrefix(strings.TrimSpace(line), "would write "); ok {
			w.text(place)
		}
	}
	for _, place := range []string{"/usr/local/share/man/man1/husk-token-create.1", "/usr/local/share/bash-completion/completions/husk", "/usr/local/share/zsh/site-functions/_husk",
		"/usr/local/share/fish/vendor_completions.d/husk.fish", "/usr/local/share/doc/husk/html/index.html", "/usr/local/share/doc/husk/text/docs/airgap.md",
		"/usr/local/share/doc/husk/proxy/nginx.conf", "/usr/local/share/doc/husk/copyright", "/etc/sysusers.d/husk.conf", "/etc/systemd/system/husk.socket"} {
		w.text(place)
	}
	if unit := w.text("/etc/systemd/system/husk.service"); !strings.Contains(unit, "\nExecStart=\"/usr/local/bin/husk\" serve\n") {
		t.Errorf("the unit starts another program:\n%s", unit)
	}
	if out := w.ok(`systemd-analyze verify --man=no /etc/systemd/system/husk.service /etc/systemd/system/husk.socket 2>&1`); out != "" {
		t.Errorf("systemd does not like the units:\n%s", out)
	}
	w.ok(`systemd-analyze security --offline=true --no-pager --threshold=15 /etc/systemd/system/husk.service`)
	w.ok(`test "$(stat -c '%U %a' /var/lib/husk)" = 'husk 700'; test "$(stat -c '%U %a' /usr/local/bin/husk)" = 'root 755'
		test -L /etc/systemd/system/multi-user.target.wants/husk.service; test -L /etc/systemd/system/sockets.target.wants/husk.socket
		husk config check /etc/husk/husk.yaml; man -w husk-token-create`)

	first := w.state()
	w.ok(install)
	if now := w.state(); now != first {
		t.Errorf("a second install has changed:\n%s", differ(first, now))
	}

	w.ok(`echo 'correct horse battery staple' | husk passwd --password-stdin; husk user list | grep -q coco; echo '# mine' >>/etc/husk/husk.yaml; echo '# mine' >>/etc/systemd/system/husk.socket`)
	// One that installs again forgets nothing of what it keeps.
	if said = w.ok(install); !strings.Contains(said, "  /etc/systemd/system/husk.socket\n") || strings.Contains(said, "nothing was started") {
		t.Errorf("over a unit that was changed it says:\n%s", said)
	}
	said = w.ok(`sh /usr/local/lib/husk/uninstall.sh --dry-run`)
	w.text("/usr/local/bin/husk")
	if !strings.Contains(said, "would remove /usr/local/bin/husk\n") {
		t.Errorf("it does not say what it would remove:\n%s", said)
	}
	said = w.ok(`sh /usr/local/lib/husk/uninstall.sh`)
	for _, words := range []string{"husk is removed", "changed by hand", "  /etc/systemd/system/husk.socket\n", "/var/lib/husk stays", "/etc/husk/husk.yaml stays"} {
		if !strings.Contains(said, words) {
			t.Errorf("it does not say %q:\n%s", words, said)
		}
	}
	w.ok(`rm /etc/systemd/system/husk.socket; test -f /var/lib/husk/husk.db`)
	kept := differ(empty, w.state())
	for line := range strings.Lines(kept) {
		if !regexp.MustCompile(`^\+/(etc/husk|etc/husk/husk\.yaml|var/lib/husk|var/lib/husk/[\w.-]+|etc/(sysusers|tmpfiles)\.d|usr/local/share/bash-completion(/completions)?) `).MatchString(line) {
			t.Errorf("an uninstall leaves %s", line)
		}
	}
	w.refused(`sh '`+stick+`/uninstall.sh'`, 1, "nothing was installed", "dpkg -r husk")

	// Installed again, it finds what it kept; a purge takes that, and no backup.
	w.ok(install + `; husk user list | grep -q coco; husk backup --output /var/lib/husk/mine.tar; grep -q mine /etc/husk/husk.yaml`)
	said = w.ok(`sh '` + stick + `/uninstall.sh' --purge`)
	if !strings.Contains(said, "  /var/lib/husk\n") {
		t.Errorf("it does not say that the folder with a backup stays:\n%s", said)
	}
	w.ok(`test -f /var/lib/husk/mine.tar; test ! -e /var/lib/husk/husk.db; test ! -e /etc/husk`)
}

// TestInstallForOneself: what anybody may do, without root.
func TestInstallForOneself(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	w := newWorld(t, lightBundle(t))
	w.ok(`useradd --create-home ann; chown -R ann '` + stick + `'`)
	as := `setpriv --reuid ann --regid ann --init-groups env HOME=/home/ann `
	before := w.state()
	said := w.ok(as + install)
	for _, words := range []string{"installed: /home/ann/.local/bin/husk", "does not look into /home/ann/.local/bin", "systemctl --user enable --now husk.service"} {
		if !strings.Contains(said, words) {
			t.Errorf("it does not say %q:\n%s", words, said)
		}
	}
	w.whole()
	if unit := w.text("/home/ann/.config/systemd/user/husk.service"); !strings.Contains(unit, "\nExecStart=\"/home/ann/.local/bin/husk\" serve\n") {
		t.Errorf("the unit starts another program:\n%s", unit)
	}
	if out := w.ok(`mkdir -m 700 /run/ann; chown ann /run/ann; ` + as + `XDG_RUNTIME_DIR=/run/ann systemd-analyze --user verify --man=no /home/ann/.config/systemd/user/husk.service 2>&1`); out != "" {
		t.Errorf("systemd does not like the unit:\n%s", out)
	}
	w.ok(as + `sh -euc 'cd; husk=.local/bin/husk; echo "correct horse battery staple" | $husk passwd --password-stdin; $husk token create --quiet >token; test -s token; test -f .local/share/husk/husk.db'`)
	for line := range strings.Lines(differ(before, w.state())) {
		if !strings.HasPrefix(line, "+/home/ann/") || !strings.Contains(line, fmt.Sprintf(" %s", strings.TrimSpace(w.ok("id -u ann")))) {
			t.Errorf("it has changed %s", line)
		}
	}
	before = w.state()
	w.refused(as+install+` --prefix /usr/local`, 1, "/usr/local/lib/husk can't be written", "Permission denied")
	for _, folder := range []string{"/home/ann/.local/bin", "/home/ann/.local/lib/husk", "/home/ann/.config/systemd/user", "/home/ann/.local/share/man/man1"} {
		w.refused(`chmod 555 `+folder+`; `+as+install, 1, folder, " was")
		w.ok(`chmod 755 ` + folder)
		if now := w.state(); now != before {
			t.Errorf("without a right to %s it has changed:\n%s", folder, differ(before, now))
		}
	}
	w.ok(as + `sh /home/ann/.local/lib/husk/uninstall.sh; test -f /home/ann/.local/share/husk/husk.db; test ! -e /home/ann/.local/bin/husk; test ! -e /home/ann/.config/systemd/user/husk.service`)
}

// TestInstallAnywhere: whatever shell, tools, umask, language and folder there are.
func TestInstallAnywhere(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	need(t, "busybox", "busybox-static")
	dir := lightBundle(t)
	taken := dbtest.InTurn(2)
	for i, c := range []struct{ name, before, how string }{
		{"busybox alone", `mkdir /bb; busybox --install -s /bb; useradd --system --user-group husk; export PATH=/bb`, `/bb/sh '` + stick + `/install.sh'`},
		{"dash", ``, `dash '` + stick + `/install.sh'`},
		{"bash as bash", ``, `bash '` + stick + `/install.sh'`},
		{"zsh", `command -v zsh >/dev/null || ln -s bash /bin/zsh`, `zsh --emulate sh '` + stick + `/install.sh'`},
		{"from its folder", `cd '` + stick + `'`, `sh install.sh`},
		{"by its own name", `cd '` + stick + `'`, `./install.sh`},
		{"by a link", `ln -s '` + stick + `/install.sh' /opt/setup; export CDPATH=/`, `sh /opt/setup`},
		{"a umask that lets nobody in", `umask 077`, install},
		{"a umask that lets everybody in", `umask 000`, install},
		{"POSIXLY_CORRECT", `export POSIXLY_CORRECT=1`, install},
		{"another language", `export LC_ALL=tr_TR.UTF-8 LANGUAGE=tr`, install},
		{"a stick that can't be written to", `mount -o remount,ro,bind '` + stick + `' 2>/dev/null || mount -o remount,ro '` + stick + `'`, install},
		{"a stick from which nothing may be started", `mount -o remount,noexec '` + stick + `'; ! '` + stick + `/install.sh' 2>/dev/null`, install},
		{"settings of husk in the environment", `export HUSK_SERVER=http://127.0.0.1:1 HUSK_JSON=true HUSK_CONFIG=/nonexistent HUSK_ADDR=nowhere`, install},
	} {
		if !taken(i) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, dir)
			w.ok(`mount --bind '` + stick + `' '` + stick + `'`)
			before := w.state()
			w.ok(c.before + "\n" + c.how)
			w.whole()
			first := differ(before, w.state())
			for _, want := range []string{`\+/usr/local/bin/husk -rwxr-xr-x 0 `, `\+/usr/local/share/man/man1/husk\.1 -rw-r--r-- 0 `, `\+/etc/husk/husk\.yaml -rw-r--r-- 0 `, `\+/usr/local/lib/husk d(g)?rwxr-[sx]r-x 0`} {
				if !regexp.MustCompile(want).MatchString(first) {
					t.Errorf("there is no %s in\n%s", want, first)
				}
			}
			w.ok(`env -u HUSK_SERVER /usr/local/bin/husk version; sh /usr/local/lib/husk/uninstall.sh; test ! -e /usr/local/bin/husk; test ! -e /usr/local/lib/husk`)
		})
	}
}

// TestInstallOverOthers: what is another's stays, and the way is told.
func TestInstallOverOthers(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	w := newWorld(t, lightBundle(t))
	unchanged := func(script string, code int, words ...string) {
		t.Helper()
		before := w.state()
		w.refused(script, code, words...)
		if now := w.state(); now != before {
			t.Errorf("%s\nhas changed:\n%s", script, differ(before, now))
		}
		w.whole()
	}
	unchanged(install+` --what`, 2, "--what is unknown", "--help")
	unchanged(install+` --prefix`, 2, "--prefix wants a value")
	unchanged(install+` --prefix '/opt/$x'`, 1, "has a character")
	w.ok(`mkdir -p /opt/other/lib/husk; echo "$(sha256sum </etc/passwd | cut -c 1-64)  /etc/passwd" >/opt/other/lib/husk/installed; chown -R 4711 /opt/other`)
	unchanged(install+` --prefix /opt/other`, 1, "/opt/other/lib/husk is not yours")
	unchanged(`sh '`+stick+`/uninstall.sh' --prefix /opt/other`, 1, "/opt/other/lib/husk is not yours")
	w.ok(`rm -r /opt/other`)
	unchanged(install+` --prefix /home/service`, 1, "a service can't see a program in /home/service")
	w.ok(`mkdir -p /opt/p/bin/husk`)
	unchanged(install+` --prefix /opt/p`, 1, "/opt/p/bin/husk is a folder")
	w.ok(`rmdir /opt/p/bin/husk; printf '#!/bin/sh\necho another\n' >/opt/p/bin/husk; chmod 755 /opt/p/bin/husk`)
	unchanged(install+` --prefix /opt/p`, 1, "no husk that can be started")
	w.ok(`rm -r /opt/p; mkdir -p /usr/local/share/man/man1/husk.1`)
	unchanged(install, 1, "/usr/local/share/man/man1/husk.1 is a folder")
	w.ok(`rmdir /usr/local/share/man/man1/husk.1`)

	// What a package has put there is the package's.
	w.ok(`mv /var/lib/dpkg/status /var/lib/dpkg/status.kept; cp /var/lib/dpkg/status.kept /var/lib/dpkg/status
		printf '\nPackage: husk\nStatus: install ok installed\nMaintainer: x\nArchitecture: amd64\nVersion: 0.1.0\nDescription: x\n' >>/var/lib/dpkg/status`)
	unchanged(install, 1, ".deb package", "dpkg -i", "dpkg -r husk")
	w.ok(install + ` --no-service --prefix /opt/mine; test ! -e /etc/systemd/system/husk.service; test ! -e /etc/husk`)
	w.ok(`sh /opt/mine/lib/husk/uninstall.sh; test ! -e /opt/mine; mv /var/lib/dpkg/status.kept /var/lib/dpkg/status`)
	w.ok(`mkdir -p /opt/fake; printf '#!/bin/sh\ntest "$*" = "-q husk"\n' >/opt/fake/rpm; chmod 755 /opt/fake/rpm`)
	unchanged(`PATH=/opt/fake:$PATH; `+install, 1, ".rpm package", "rpm -U", "rpm -e husk")

	// Units that somebody wrote by hand, before and since.
	w.ok(`printf '[Service]\nExecStart=/usr/bin/husk serve\n' >/etc/systemd/system/husk.service`)
	mine := w.text("/etc/systemd/system/husk.service")
	if said := w.ok(install); !strings.Contains(said, "  /etc/systemd/system/husk.service\n") {
		t.Errorf("it does not say that the unit stays:\n%s", said)
	}
	if w.text("/etc/systemd/system/husk.service") != mine || !strings.Contains(w.text("/etc/systemd/system/husk.service.new"), "/usr/local/bin/husk") {
		t.Error("a unit that was there was replaced, or the other is not beside it")
	}
	w.ok(`mv /etc/systemd/system/husk.service.new /etc/systemd/system/husk.service; ` + install + `; test ! -e /etc/systemd/system/husk.service.new`)
	w.ok(`sh /usr/local/lib/husk/uninstall.sh; test ! -e /etc/systemd/system/husk.service`)
}

// otherRelease makes the stick hold another release: a program that says another version, one
// page more, one less, and a unit that is another.
func (w *world) otherRelease() {
	w.Helper()
	w.ok(`cd '` + stick + `'
		for program in bin/husk-*-linux-*; do gzip -dc "$program" >/tmp/program; printf other >>/tmp/program; gzip -c /tmp/program >"$program"; done; rm /tmp/program
		rm man/husk-audit-list.1; echo more >man/husk-more.1; echo '# other' >>systemd/husk.service; echo '# other' >>systemd/husk.yaml
		` + sums + `; rm -f SHA256SUMS.minisig`)
}

// TestInstallUpgrade: what is there is replaced, the program before is kept, and the
// settings stay.
func TestInstallUpgrade(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	w := newWorld(t, lightBundle(t))
	w.ok(`echo '#!/bin/sh' >/opt/systemctl; echo 'echo "$*" >>/tmp/asked' >>/opt/systemctl; chmod 755 /opt/systemctl; mkdir -p /run/systemd/system`)
	asked := func() string { return w.ok(`cat /tmp/asked; rm /tmp/asked`) }
	w.ok(`PATH=/opt:$PATH; ` + install)
	if got, want := asked(), "daemon-reload\nenable --now husk.socket husk.service\n"; got != want {
		t.Errorf("systemctl was asked for %q, want %q", got, want)
	}
	w.ok(`echo '# mine' >>/etc/husk/husk.yaml; sha256sum </usr/local/bin/husk >/tmp/first`)
	w.otherRelease()
	said := w.ok(`PATH=/opt:$PATH; ` + install)
	if !strings.Contains(said, "The program before it is kept: /usr/local/lib/husk/husk.before\n") {
		t.Errorf("it does not say where the program before is:\n%s", said)
	}
	if got, want := asked(), "daemon-reload\ntry-restart husk.service\n"; got != want {
		t.Errorf("systemctl was asked for %q, want %q", got, want)
	}
	w.whole()
	w.ok(`sha256sum </usr/local/lib/husk/husk.before | cmp - /tmp/first; tail -c 5 /usr/local/bin/husk | grep -qx other; husk version
		test ! -e /usr/local/share/man/man1/husk-audit-list.1; test -e /usr/local/share/man/man1/husk-more.1
		grep -q '# other' /etc/systemd/system/husk.service; grep -q '# mine' /etc/husk/husk.yaml; ! grep -q '# other' /etc/husk/husk.yaml`)
	// The same once more: the program before is still the one before.
	w.ok(`PATH=/opt:$PATH; ` + install + `; sha256sum </usr/local/lib/husk/husk.before | cmp - /tmp/first`)
	// The way back without a stick, as the page has it.
	w.ok(`cp /usr/local/lib/husk/husk.before /usr/local/bin/husk.new; mv /usr/local/bin/husk.new /usr/local/bin/husk; husk version`)
	w.ok(`printf '#!/bin/sh\necho "$*" >>/tmp/asked\n[ "$1" != try-restart ] || { echo "it does not start" >&2; exit 1; }\n' >/opt/systemctl`)
	w.refused(`PATH=/opt:$PATH; `+install, 1, "it does not start", "the service does not start", "systemctl status husk.service", "husk.before")
	w.ok(`rm /tmp/asked; printf '#!/bin/sh\necho "$*" >>/tmp/asked\n' >/opt/systemctl; PATH=/opt:$PATH sh /usr/local/lib/husk/uninstall.sh`)
	if got, want := asked(), "stop husk.socket husk.service\ndisable husk.socket husk.service\ndaemon-reload\n"; got != want {
		t.Errorf("systemctl was asked for %q, want %q", got, want)
	}
	if _, err := os.Lstat(filepath.Join(w.root, "/usr/local/lib/husk")); err == nil {
		t.Error("the record is left")
	}
}
