//go:build ship

package dist

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"husk/db/dbtest"
)

// cut is an install that is over an earlier one, with a store and settings, and is not
// to come to its end. The disks are small, so that they can be full.
func cut(t *testing.T, unpacked string) (w *world) {
	w = newWorld(t, unpacked)
	w.disk("/usr/local", 120<<20)
	w.disk("/etc/systemd/system", 1<<20)
	w.disk("/etc/husk", 1<<20)
	w.ok(install + ` && echo 'correct horse battery staple' | husk passwd --password-stdin && echo '# mine' >>/etc/husk/husk.yaml`)
	w.otherRelease()
	return w
}

// works fails the test where what is there does not work as a whole.
func (w *world) works() {
	w.Helper()
	w.ok(`husk version; husk check; husk config check /etc/husk/husk.yaml; grep -q '# mine' /etc/husk/husk.yaml
		SYSTEMD_UNIT_PATH=/etc/systemd/system: systemd-analyze verify --man=no /etc/systemd/system/husk.service /etc/systemd/system/husk.socket
		test -x /usr/local/lib/husk/uninstall.sh`)
}

// TestInstallOnAFullDisk: wherever the disk is full, what was there is as it was to the
// byte, and an install with space again comes to its end.
func TestInstallOnAFullDisk(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	need(t, "systemd-analyze", "systemd")
	w := cut(t, lightBundle(t))
	before := w.state()
	failed, taken := 0, dbtest.InTurn(2)
	for i, c := range []struct {
		where string
		left  int // blocks of 4 KiB
	}{
		{"/usr/local", 0}, {"/usr/local", 1}, {"/usr/local", 2}, {"/usr/local", 20}, {"/usr/local", 300}, {"/usr/local", 1000}, {"/usr/local", 5000},
		{"/usr/local", 8000}, {"/etc/systemd/system", 0}, {"/etc/systemd/system", 1},
	} {
		if !taken(i) {
			continue
		}
		w.ok(fmt.Sprintf(`cat /dev/zero >%[1]s/fill 2>/dev/null || true; truncate -s -%[2]d %[1]s/fill`, c.where, c.left*4096))
		said, code := w.run(install)
		w.ok(`rm ` + c.where + `/fill`)
		if code == 0 {
			t.Errorf("with %d blocks left in %s it came to its end", c.left, c.where)
			continue
		}
		failed++
		if !regexp.MustCompile(`(?i)no space left`).MatchString(said) || !strings.Contains(said, "as it was") || !strings.Contains(said, c.where) {
			t.Errorf("with %d blocks left in %s it says:\n%s", c.left, c.where, said)
		}
		w.whole()
		if now := w.state(); now != before {
			t.Fatalf("with %d blocks left in %s it has changed:\n%s", c.left, c.where, differ(before, now))
		}
	}
	w.works()
	w.ok(install + `; tail -c 5 /usr/local/bin/husk | grep -qx other`)
	w.whole()
	w.works()

	// A first one leaves nothing at all.
	w.ok(`sh /usr/local/lib/husk/uninstall.sh --purge`)
	before = w.state()
	for _, left := range []int{0, 1, 3, 100, 2000} {
		w.ok(fmt.Sprintf(`cat /dev/zero >/usr/local/fill 2>/dev/null || true; truncate -s -%d /usr/local/fill`, left*4096))
		w.refused(install, 1, "o space left", "taken away again")
		w.ok(`rm /usr/local/fill`)
		if now := w.state(); now != before {
			t.Fatalf("a first one with %d blocks left has changed:\n%s", left, differ(before, now))
		}
	}
	// One whose folder for small files is full takes another; where all are, nothing is
	// installed.
	w.ok(`mkdir /tmp/small; mount -t tmpfs -o size=4096 tmpfs /tmp/small; echo >/tmp/small/fill; cat /dev/zero >>/tmp/small/fill 2>/dev/null || true`)
	w.ok(`export TMPDIR=/tmp/small; ` + install + `; sh /usr/local/lib/husk/uninstall.sh --purge`)
	w.refused(`for folder in /tmp /var/tmp /root /dev/shm; do mount -t tmpfs -o size=4096 tmpfs $folder; cat /dev/zero >$folder/fill 2>/dev/null || true; done
		code=0; `+install+` || code=$?; for folder in /tmp /var/tmp /root /dev/shm; do umount $folder; done; exit $code`, 1, "can't be unpacked and run in /tmp", "TMPDIR=FOLDER")
	if now := w.state(); now != before {
		t.Errorf("without a place for small files it has changed:\n%s", differ(before, now))
	}
}

// TestInstallKilled: at each step that changes something, kill -9. What is there then is
// whole and works; another run finishes it, and one that takes it away leaves nothing.
func TestInstallKilled(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	need(t, "systemd-analyze", "systemd")
	w := cut(t, lightBundle(t))
	// A stand-in for each program that changes something counts, and at its turn kills
	// who called it: before it does anything itself, or after.
	w.ok(`mkdir /opt/killers`)
	for _, name := range []string{"mkdir", "cat", "chmod", "mv", "rm", "sync", "systemctl"} {
		w.put("/opt/killers/"+name, `#!/bin/sh
read -r left </tmp/left; left=$((left - 1)); printf '%s\n' "$left" >/tmp/left
[ "$left" != 0 ] || [ ! -f /tmp/before ] || { kill -9 "$(/bin/cat /tmp/victim)"; exit 1; }
PATH=/usr/local/bin:/usr/bin:/bin `+name+` "$@"; code=$?
[ "$left" != 0 ] || kill -9 "$(/bin/cat /tmp/victim)"
exit $code
`, 0o755)
	}
	killed := func(script, turn string, count int) (code int) {
		_, code = w.run(fmt.Sprintf(`echo %d >/tmp/left; rm -f /tmp/before; %s; PATH=/opt/killers:$PATH; sh -c 'echo $$ >/tmp/victim; exec %s'`, count, turn, script))
		return code
	}
	const inst = `sh "` + stick + `/install.sh"`
	count := func(script string) int {
		t.Helper()
		w.ok(`echo 1000000 >/tmp/left; echo 0 >/tmp/victim; PATH=/opt/killers:$PATH; ` + script)
		left, err := strconv.Atoi(strings.TrimSpace(w.ok(`cat /tmp/left`)))
		if err != nil {
			t.Fatal(err)
		}
		return 1000000 - left
	}
	keep := func(name string) {
		w.ok(`rm -rf /opt/` + name + `; mkdir /opt/` + name + `; cp -a /usr/local /etc/systemd/system /etc/husk /opt/` + name)
	}
	back := func(name string) {
		w.ok(`find /usr/local /etc/systemd/system /etc/husk -mindepth 1 -delete; cp -a /opt/` + name + `/local/. /usr/local/; cp -a /opt/` + name + `/system/. /etc/systemd/system/; cp -a /opt/` + name + `/husk/. /etc/husk/`)
	}
	keep("first")
	first := w.state()
	all := count(inst)
	done := w.state()
	old, made := files(first), files(done)
	t.Logf("an install has %d steps", all)
	beside, within, from := 2, 29, 1+rand.IntN(9) // some 6 seconds each
	if dbtest.Whole() {
		beside, within, from = 3, 17, 1
	}
	for _, turn := range []string{"touch /tmp/before", "true"} {
		for at := from; at <= all; {
			back("first")
			if code := killed(inst, turn, at); code != 137 && at < all {
				t.Fatalf("killed at %d it ended with %d", at, code)
			}
			for path, is := range files(w.state()) {
				if is != old[path] && is != made[path] && !regexp.MustCompile(`\.husk-new$|/lib/husk/(installing|installed(\.final)?)$`).MatchString(path) {
					t.Errorf("killed at %d (%s) there is %s, which is neither what was there nor what was to be: %s", at, turn, path, is)
				}
			}
			w.works()
			if at%3 == 0 {
				w.ok(`cp -a /usr/local /opt/cut; sh /usr/local/lib/husk/uninstall.sh; test ! -e /usr/local/bin/husk; test ! -e /usr/local/lib/husk; test ! -e /etc/systemd/system/husk.service
					find /usr/local -mindepth 1 -delete; cp -a /opt/cut/. /usr/local/; rm -r /opt/cut`)
			}
			w.ok(inst)
			w.whole()
			if now := w.state(); now != done {
				t.Fatalf("killed at %d (%s), and run again, it is not what it would have been:\n%s", at, turn, differ(done, now))
			}
			if t.Failed() {
				return
			}
			if at < all-100 {
				at += 1 + all/beside // in the writing beside one is like the other
			} else {
				at += within
			}
		}
	}
	// An uninstall that was killed is finished by another.
	steps := count(`sh /usr/local/lib/husk/uninstall.sh`)
	for at := 1; at < steps; at += 1 + steps/4 {
		back("first")
		killed(`sh /usr/local/lib/husk/uninstall.sh`, "true", at)
		if _, code := w.run(`test -e /usr/local/lib/husk/installed`); code == 0 {
			w.ok(`sh "` + stick + `/uninstall.sh"`)
		}
		w.ok(`test ! -e /usr/local/bin/husk; test ! -e /usr/local/lib/husk; test ! -e /etc/systemd/system/husk.service; grep -q '# mine' /etc/husk/husk.yaml; test -f /var/lib/husk/husk.db`)
	}
}

// files are the lines of a state that tell of regular files, by path.
func files(state string) map[string]string {
	is := map[string]string{}
	for line := range strings.SplitSeq(state, "\n") {
		if path, rest, ok := strings.Cut(line, " -"); ok {
			is[path] = rest
		}
	}
	return is
}

// TestInstallTwiceAtOnce: the second is told to wait, and the first is not disturbed.
func TestInstallTwiceAtOnce(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	w := newWorld(t, lightBundle(t))
	w.ok(`mkdir /opt/slow; printf '#!/bin/sh\n[ ! -f /tmp/wait ] || { echo >/tmp/waits; while [ -f /tmp/wait ]; do sleep 0.05; done; }\nexec /bin/mv "$@"\n' >/opt/slow/mv; chmod 755 /opt/slow/mv`)
	said := w.ok(`touch /tmp/wait; (PATH=/opt/slow:$PATH; ` + install + ` >/tmp/said 2>&1; echo $? >/tmp/code) & until [ -f /tmp/waits ]; do sleep 0.05; done
		` + install + ` && echo TWICE || true; rm /tmp/wait; wait; cat /tmp/code`)
	if !strings.Contains(said, "another install.sh (process ") || strings.Contains(said, "TWICE") || !strings.HasSuffix(said, "\n0\n") {
		t.Errorf("two at once:\n%s", said)
	}
	w.ok(`husk version`)
	w.whole()
}
