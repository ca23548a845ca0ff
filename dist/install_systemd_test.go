//go:build ship

package dist

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInstallUnderSystemd: with a real systemd, which is process 1 of a namespace, the
// service is started by an install, is another process after an upgrade, and is gone
// after an uninstall.
func TestInstallUnderSystemd(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	need(t, "/lib/systemd/systemd", "systemd")
	curl := need(t, "curl", "curl")
	w := newWorld(t, unpackBundle(t))
	w.ok(`mkdir /opt/out`)
	w.put("/etc/systemd/system/probe.service", `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/probe
StandardOutput=file:/opt/out/said
StandardError=file:/opt/out/said
`, 0o644)
	w.put("/opt/probe", install+`; echo "installed $?"
echo first $(systemctl is-active husk.service husk.socket) $(systemctl is-enabled husk.service husk.socket)
echo 'correct horse battery staple' | husk passwd --password-stdin
husk token create --name first --quiet --output /tmp/first.token && husk user list --server http://127.0.0.1:9000 --token-file /tmp/first.token | grep -c coco
echo user $(ps -o user= -C husk)
before=$(systemctl show -p MainPID husk.service)
cp /usr/local/bin/husk /tmp/other; printf other >>/tmp/other; mv /tmp/other /usr/local/bin/husk
`+install+`; echo "upgraded $?"
`+curl+` -s http://127.0.0.1:9000/livez; echo
[ "$before" = "$(systemctl show -p MainPID husk.service)" ] || echo another $(systemctl is-active husk.service)
sh /usr/local/lib/husk/uninstall.sh; echo "uninstalled $?"
echo last $(systemctl is-active husk.service husk.socket; systemctl is-enabled husk.service 2>&1)
touch /opt/out/done
`, 0o755)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Its folders of the kernel are those of its own namespaces.
	manager := exec.CommandContext(ctx, "unshare", "--pid", "--cgroup", "--mount", "--fork", "--kill-child", "sh", "-euc", `cd "$0"
		mount -t proc proc proc; mount -t sysfs sysfs sys || mount --rbind /sys sys; mount -t tmpfs tmpfs sys/fs/cgroup; mount -t cgroup2 cgroup2 sys/fs/cgroup
		exec chroot . /lib/systemd/systemd --system --unit=probe.service --log-target=console --log-level=warning`, w.root)
	manager.Env = append(append([]string{}, w.env...), "container=probe")
	var log strings.Builder
	manager.Stdout, manager.Stderr = &log, &log
	manager.WaitDelay = 5 * time.Second
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Wait() }()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if _, err := os.Stat(filepath.Join(w.root, "opt/out/done")); err == nil {
			break
		}
		select {
		case <-tick.C:
			continue
		case err := <-ended:
			t.Fatalf("systemd has ended: %v: %s", err, &log)
		}
	}
	said := w.text("/opt/out/said")
	cancel()
	<-ended
	rest := said
	for _, want := range []string{"The service runs, at http://127.0.0.1:9000", "installed 0\n", "first active active enabled enabled\n", "\n1\n", "user husk\n",
		"upgraded 0\n", `{"status":"ok"}`, "another active\n", "uninstalled 0\n", "last inactive inactive "} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("it does not come to %q:\n%s\n%s", want, said, &log)
		}
		rest = after
	}
	if strings.Contains(rest, "enabled") {
		t.Errorf("the service is enabled still:\n%s", said)
	}
}
