//go:build ship

package dist

import (
	"strings"
	"testing"
)

// rpm runs rpm inside. What it would install it for, Debian has by other names.
func (m *machine) rpm(args ...string) did {
	m.t.Helper()
	return m.run(append([]string{"rpm", "--nodeps"}, args...)...)
}

// TestRPM is the life of a .rpm beside a systemd: from the release before, with
// data, to this one and back, and away.
func TestRPM(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	old, rpm := m.put(packageOf(t, releasedBefore(t), "rpm")), m.put(packageOf(t, released(t), "rpm"))
	// As where it is at home: what is installed starts when it is told to.
	m.sh("mkdir -p /etc/systemd/system-preset && echo 'disable *' >/etc/systemd/system-preset/00-none.preset")
	m.boot()

	d := m.rpm("--install", old)
	if d.code != 0 || !strings.Contains(d.out, nextStep+"sudo systemctl enable --now husk.socket husk.service && sudo husk passwd\n") {
		t.Fatalf("%d, and does not tell the next step:\n%s", d.code, d.out)
	}
	if m.pid() != "0" || m.run("systemctl", "is-enabled", "husk.service").code == 0 {
		t.Error("it was started against the preset")
	}
	m.ok("systemctl", "enable", "--now", "husk.socket", "husk.service")
	token := m.makeToken("old")
	m.ok("husk", "user", "create", "ann@example.com", "--no-password")

	stop := m.knocks()
	running := m.pid()
	if d := m.rpm("--upgrade", rpm); d.code != 0 || strings.Contains(d.out, "Next:") || m.pid() == running {
		t.Errorf("the upgrade: %d\n%s", d.code, d.out)
	}
	if asked, refused := stop(); asked < 10 || refused != "" {
		t.Errorf("of %d requests while it was replaced, these failed:\n%s", asked, refused)
	}
	m.sh("rm /root/enough")
	wantServing(m, token)
	wantUnits(m)
	if d := m.rpm("--verify", "husk"); d.code != 0 {
		t.Errorf("what is installed is not what was packed:\n%s", d.out)
	}
	if got := m.owner("/var/lib/husk/husk.db.schema-3"); got != "600 husk husk" {
		t.Errorf("the copy of the old store is %s", got)
	}
	// Anew, over itself.
	m.ok("rpm", "--nodeps", "--upgrade", "--force", rpm)
	m.wantProfile(token)

	d = m.rpm("--upgrade", "--oldpackage", old)
	wantRefused(m, d)
	m.sh(wayBack(t, d.out))
	if d := m.rpm("--upgrade", "--oldpackage", old); d.code != 0 {
		t.Fatalf("the way back: %d\n%s", d.code, d.out)
	}
	m.ok("systemctl", "start", "husk.socket", "husk.service")
	m.wantProfile(token)
	m.ok("rpm", "--nodeps", "--upgrade", rpm)
	m.wantProfile(token)

	wantBrokenRefused(m, rpm, "rpm", "--nodeps", "--upgrade", "--force")
	m.wantProfile(token)

	m.sh("echo '# mine' >>/etc/husk/husk.yaml")
	d = m.rpm("--erase", "husk")
	if d.code != 0 || m.processes() != "" || m.there("/usr/bin/husk") || !m.there("/var/lib/husk/husk.db") || !m.there("/etc/husk/husk.yaml.rpmsave") || !strings.Contains(d.out, "the store in /var/lib/husk stays") {
		t.Errorf("erase: %d\n%s", d.code, d.out)
	}
	// No husk is there to tell what the store is.
	if d := m.rpm("--install", old); d.code == 0 || !strings.Contains(d.out, refusalOfOld) || m.there("/usr/bin/husk") {
		t.Errorf("an old husk over a newer store: %d\n%s", d.code, d.out)
	}
	if d := m.rpm("--install", rpm); d.code != 0 || strings.Contains(d.out, "Next:") {
		t.Errorf("it did not come back: %d\n%s", d.code, d.out)
	}
	m.ok("systemctl", "start", "husk.socket", "husk.service")
	m.wantProfile(token)
}
