//go:build ship

package dist

import (
	"os/exec"
	"strings"
	"testing"
)

// lines runs the lines of a block on the machine, in root's folder. curl is this
// machine's, in the other one's network.
func (m *machine) lines(b installBlock) {
	m.t.Helper()
	for _, line := range typed(b.text) {
		if !strings.HasPrefix(line, "curl ") {
			m.sh("cd /root\n" + line)
			continue
		}
		need(m.t, "curl", "curl")
		if out, err := exec.Command("nsenter", "--target", m.leader, "--net", "--", "sh", "-euc", strings.Replace(line, "curl ", "curl -f --retry 5 --retry-connrefused ", 1)).CombinedOutput(); err != nil {
			m.t.Errorf("%s: %s: %v: %s", b, line, err, out)
		}
	}
	m.wantProfile(m.makeToken("first"))
	m.sh(`test "$(systemctl is-enabled husk.service)$(systemctl is-active husk.service)" = enabledactive`)
}

// sudo is for root, who types it out of habit.
const sudo = `printf '#!/bin/sh\nexec "$@"\n' >/usr/bin/sudo; chmod 755 /usr/bin/sudo`

// TestInstallLinesDeb runs the lines of both pages for a .deb, on a machine with
// systemd, and undoes the install as docs/install.md says. apt asks before it removes.
func TestInstallLinesDeb(t *testing.T) {
	t.Parallel()
	forThisProcessor(t)
	m := newMachine(t)
	m.put(packageOf(t, released(t), "deb"))
	m.boot()
	m.sh(sudo)
	undo, all := undoing(t, ".deb")
	for _, b := range installBlocks(t, "deb") {
		m.lines(b)
		m.sh("echo kept >/var/backups/husk/one")
		m.sh("yes | " + undo)
		if m.there("/usr/bin/husk") || !m.there("/var/lib/husk/husk.db") {
			t.Errorf("%s: '%s' took the store, or left the program", b, undo)
		}
		m.sh("yes | " + all)
		if m.there("/var/lib/husk") || m.there("/etc/husk") || !m.there("/var/backups/husk/one") {
			t.Errorf("%s: '%s' left the store or the settings, or took the backups", b, all)
		}
	}
}

// TestInstallLinesRPM does the same with a .rpm. There is no dnf on Debian, and what it
// would look for has other names there: rpm itself stands in for it.
func TestInstallLinesRPM(t *testing.T) {
	t.Parallel()
	forThisProcessor(t)
	m := newMachine(t)
	m.put(packageOf(t, released(t), "rpm"))
	m.sh("mkdir -p /etc/systemd/system-preset && echo 'disable *' >/etc/systemd/system-preset/00-none.preset")
	m.boot()
	m.sh(sudo + `
cat >/usr/bin/dnf <<'end'
#!/bin/sh
case $1 in install) shift; exec rpm --nodeps --install "$@" ;; remove) shift; exec rpm --nodeps --erase "$@" ;; esac
exit 64
end
chmod 755 /usr/bin/dnf`)
	undo, all := undoing(t, ".rpm")
	for _, b := range installBlocks(t, "rpm") {
		m.lines(b)
		m.sh(undo)
		if m.there("/usr/bin/husk") || !m.there("/var/lib/husk/husk.db") {
			t.Errorf("%s: '%s' took the store, or left the program", b, undo)
		}
		m.sh(all)
		if m.there("/var/lib/husk") || m.there("/etc/husk") {
			t.Errorf("%s: '%s' left the store or the settings", b, all)
		}
	}
}
