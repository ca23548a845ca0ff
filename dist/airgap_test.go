//go:build ship

package dist

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"husk/db"
	"husk/db/bolt"
)

// TestAirgapPage runs every command of docs/airgap.md that needs no systemd, one after
// the other as they stand there: on the outside, with a stick, on the inside.
func TestAirgapPage(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	need(t, "minisign", "minisign")
	page := strings.ReplaceAll(readFile(t, "../docs/airgap.md"), "v0.2.0", "v"+next(t))
	page = strings.ReplaceAll(page, "linux-amd64", "linux-"+runtime.GOARCH)
	blocks := map[string]string{} // by the heading that they stand under
	heading := ""
	for _, m := range regexp.MustCompile("(?ms)^## ([^\n]+)$|^```sh\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		if m[1] != "" {
			heading = m[1]
		} else {
			blocks[heading] += m[2]
		}
	}
	order := []string{"The key", "Get it, and verify it on the outside", "Verify it on the inside", "Install it, up to the first token", "Upgrade", "The way back", "Make it yourself"}
	if len(blocks) != len(order) {
		t.Errorf("the page has commands under other headings than %q", order)
	}
	name := "husk-v" + next(t)
	w := newWorld(t, unpackBundle(t))
	w.ok(`mkdir -p /media/stick /opt/outside /opt/bin; gzip -dc '` + stick + `'/bin/*-linux-` + runtime.GOARCH + `.gz >/opt/bin/husk; chmod 755 /opt/bin/husk`)
	for _, file := range []string{name + "-airgap.tar", name + "-airgap.tar.minisig"} {
		w.ok(`: >/opt/outside/` + file)
		if err := syscall.Mount(filepath.Join(released(t), file), filepath.Join(w.root, "opt/outside", file), "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.put("/opt/outside/husk.pub", readFile(t, publicKey), 0o644)
	w.put("/etc/husk-release.pub", readFile(t, publicKey), 0o644)
	// A terminal is needed for passwords: here they come by a pipe. Nothing else differs.
	typed := strings.NewReplacer("\nhusk passwd\n", "\necho 'correct horse battery staple' | husk passwd --password-stdin\n",
		"minisign -G ", "printf 'secret\\nsecret\\n' | minisign -G ")
	prepared := map[string]string{ // what was there before, where the page does not make it
		"The key":      `cd "$(mktemp -d)"`,
		"Upgrade":      `sh install.sh`, // undone by the section before
		"The way back": `cp /usr/local/bin/husk /usr/local/lib/husk/husk.before; rm /usr/local/bin/husk`,
	}
	folder := "/opt/outside"
	for _, part := range order {
		said := w.ok("cd '"+folder+"'\n"+prepared[part]+"\n"+typed.Replace("\n"+blocks[part])+"pwd\n", "PATH=/opt/bin:"+goroot(t)+"/bin"+":"+strings.TrimPrefix(w.env[0], "PATH="))
		if part == "Verify it on the inside" {
			lines := strings.Fields(said)
			folder = lines[len(lines)-1]
		}
	}
	w.ok(`test -s /root/first.token; test -s /root/before.tar; husk version; test -f '` + folder + `/../build/` + name + `/husk'`)
}

// TestInstallOlderOverNewer: a program that can't read the store is refused before
// anything is replaced, by whatever way the store became newer.
func TestInstallOlderOverNewer(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	w := newWorld(t, unpackBundle(t))
	w.ok(install + `; echo 'correct horse battery staple' | husk passwd --password-stdin`)
	setSchema(t, filepath.Join(w.root, "var/lib/husk/husk.db"), fmt.Sprintf(`{"schema":%d,"created":"2030-01-02T03:04:05Z"}`, db.SchemaVersion+1))
	w.otherRelease()
	before := w.state()
	w.refused(install, 1, "/var/lib/husk", "newer husk", "husk.db.schema-N", "The way back", "nothing was changed")
	if now := w.state(); now != before {
		t.Errorf("it has changed:\n%s", differ(before, now))
	}
	w.whole()
	w.ok(install + ` --no-service --prefix /opt/client; /opt/client/bin/husk version`) // it has nothing to do with that store
	// One that is as it was at the upgrade, or damaged, keeps nobody from the older program.
	setSchema(t, filepath.Join(w.root, "var/lib/husk/husk.db"), fmt.Sprintf(`{"schema":%d,"created":"2030-01-02T03:04:05Z"}`, db.SchemaVersion))
	w.ok(install)
	w.ok(`echo damaged >/var/lib/husk/husk.db; ` + install)
}

// setSchema has a store say another schema of itself.
func setSchema(t *testing.T, path, text string) {
	t.Helper()
	e, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	sealed := func(value string) []byte { // as db/envelope.go has it
		sum := sha256.Sum256(fmt.Appendf(nil, "\x00\x04\x00\x06metaschema%s", value))
		return slices.Concat([]byte{1}, sum[:8], []byte(value))
	}
	if err := e.Update(t.Context(), func(tx db.Tx) error {
		if old, err := tx.Get("meta", []byte("schema")); err != nil || !bytes.Equal(old, sealed(string(old[9:]))) {
			t.Fatalf("the envelope is of another form: %q, %v", old, err)
		}
		return tx.Put("meta", []byte("schema"), sealed(text))
	}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err == nil {
		os.Chown(path, int(info.Sys().(*syscall.Stat_t).Uid), int(info.Sys().(*syscall.Stat_t).Gid))
	}
}
