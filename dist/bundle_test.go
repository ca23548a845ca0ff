//go:build ship

package dist

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/web/chromiumtest"
)

// TestBundle: what the bundle holds, and that it says so of itself.
func TestBundle(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the bundle has %d bytes", info.Size())
	if info.Size() >= 150_000_000 {
		t.Errorf("the bundle has %d bytes, and is to have less than 150,000,000", info.Size())
	}
	name, number := "husk-v"+next(t), next(t)
	var names []string
	files := map[string][]byte{}
	f, err := os.Open(bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var when time.Time
	for in := tar.NewReader(f); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if when.IsZero() {
			when = h.ModTime
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(when) || h.Mode&0o022 != 0 {
			t.Errorf("%s tells of who made it: %+v", h.Name, h)
		}
		inside, ok := strings.CutPrefix(h.Name, name+"-airgap/")
		if !ok || h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
			t.Errorf("%s, of type %q, does not belong there", h.Name, h.Typeflag)
		}
		if h.Typeflag == tar.TypeReg {
			if files[inside], err = io.ReadAll(in); err != nil {
				t.Fatal(err)
			}
			if runs := h.Mode&0o111 != 0; runs != (inside == "verify" || inside == "install.sh" || inside == "uninstall.sh") {
				t.Errorf("%s has mode %o", inside, h.Mode)
			}
		}
	}
	var listed []string
	for line := range strings.Lines(string(files["SHA256SUMS"])) {
		listed = append(listed, strings.TrimSpace(line[min(66, len(line)):]))
	}
	if !slices.IsSorted(listed) || len(listed) != len(files)-2 {
		t.Errorf("SHA256SUMS is not sorted, or does not have all of the %d files but itself and its signature: %d", len(files), len(listed))
	}
	for _, want := range []string{"install.sh", "uninstall.sh", "verify", "common.sh", "README.txt", "GO_VERSION", "SHA256SUMS", "SHA256SUMS.minisig",
		"bin/" + name + "-linux-" + runtime.GOARCH + ".gz", "image/" + name + "-oci.tar", "sbom/" + name + "-linux-" + runtime.GOARCH + ".cdx.json", "source/" + name + "-source.tar.gz",
		"docs/html/index.html", "docs/text/README.md", "docs/text/docs/airgap.md", "man/husk.1", "proxy/nginx.conf", "systemd/husk.service", "systemd/husk.yaml",
		"completions/husk.bash", "completions/_husk", "completions/husk.fish", "licenses/go/LICENSE", "licenses/LICENSE"} {
		if len(files[want]) == 0 {
			t.Errorf("it has no %s", want)
		}
	}
	for pattern, least := range map[string]int{`^packages/husk_` + regexp.QuoteMeta(number) + `_\w+\.deb$`: 1, `^packages/husk-.*\.rpm$`: 1, `^man/husk-.*\.1$`: 40, `^docs/html/.*\.html$`: 20, `^docs/text/docs/.*\.md$`: 20} {
		n := 0
		for f := range files {
			if regexp.MustCompile(pattern).MatchString(f) {
				n++
			}
		}
		if n < least {
			t.Errorf("it has %d of %s, want %d", n, pattern, least)
		}
	}
	if got, _, _ := strings.Cut(string(files["GO_VERSION"]), "\n"); got != runtime.Version() && os.Getenv("HUSK_RELEASE") == "" {
		t.Errorf("GO_VERSION is %q, and this is %s", got, runtime.Version())
	}
	build, err := exec.Command("go", "version", "-m", filepath.Join(released(t), name+"-linux-"+runtime.GOARCH)).Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := regexp.MustCompile(`(?m)^\tdep\t(\S+)`).FindAllStringSubmatch(string(build), -1)
	if len(modules) < 10 {
		t.Fatalf("the program has the modules %v", modules)
	}
	for _, m := range modules {
		if !slices.ContainsFunc(names, func(f string) bool { return strings.HasPrefix(f, name+"-airgap/licenses/"+m[1]+"/") }) {
			t.Errorf("there is no licence of %s", m[1])
		}
	}
}

// TestBundleScripts: they are understood by the plainest shell, and shellcheck has
// nothing against them.
func TestBundleScripts(t *testing.T) {
	t.Parallel()
	dash, check := need(t, "dash", "dash"), need(t, "shellcheck", "shellcheck")
	for _, script := range []string{"verify", "install.sh", "uninstall.sh", "common.sh"} {
		if out, err := exec.Command(dash, "-n", "airgap/"+script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
		if script == "common.sh" {
			continue // it is looked at with those that source it
		}
		cmd := exec.Command(check, "-s", "sh", "-x", "dist/airgap/"+script)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v:\n%s", script, err, out)
		}
	}
}

// TestBundleVerify: sh verify, in a bundle that is as it was signed, and in ones that
// are not. What is wrong is told by its name.
func TestBundleVerify(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	need(t, "minisign", "minisign")
	key := keyText(t)
	dir := unpackBundle(t)
	name := "husk-v" + next(t)
	w := newWorld(t, dir)
	w.ok(`minisign -G -W -p /tmp/other.pub -s /tmp/other.key >/dev/null`)
	w.put("/tmp/key.pub", readFile(t, publicKey), 0o644)
	w.ok(`mkdir '/tmp/a stick'; cp -a '` + stick + `' '/tmp/a stick/whole'`)
	const verify = `sh '/mnt/stick/husk bundle/verify' `
	for _, how := range []string{verify + key, verify + `/tmp/key.pub`, `cd /tmp; ` + verify + `key.pub`, `cd '` + stick + `'; sh verify ` + key, `cd '` + stick + `'; ./verify ` + key,
		`umask 077; POSIXLY_CORRECT=1 LC_ALL=tr_TR.UTF-8 ` + verify + key, `ln -sf '` + stick + `/verify' /opt/verify; sh /opt/verify ` + key,
		`mkdir -p /bb; /bin/busybox --install -s /bb; PATH=/bb busybox ` + verify + key,
		`cd '` + stick + `'; minisign -V -q -p /tmp/key.pub -m SHA256SUMS && sha256sum -c --quiet SHA256SUMS; echo the bundle is its own`} {
		if said := w.ok(how); !strings.Contains(said, "bundle") {
			t.Errorf("%s says %q", how, said)
		}
	}
	if said := w.ok(verify + key); !strings.Contains(said, "v"+next(t)) || !strings.Contains(said, "own (bin/"+name+"-linux-") {
		t.Errorf("it does not say what it verified, and by what:\n%s", said)
	}
	w.refused(`sh '`+stick+`/verify'`, 2, "the public key is missing", "sh verify KEY")
	w.refused(verify+`--key`, 2, "--key is no key")
	w.refused(verify+key+` more`, 2, "one key")
	w.refused(verify+`/tmp/other.pub`, 7, "the key that was given")

	// A changed byte in one file of each kind, each by its name.
	kinds := map[string]bool{}
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		place, _ := filepath.Rel(dir, path)
		if kind := filepath.Dir(place) + filepath.Ext(place); err == nil && e.Type().IsRegular() && !kinds[kind] || filepath.Dir(place) == "." && err == nil && !e.IsDir() {
			kinds[filepath.Dir(place)+filepath.Ext(place)] = true
			if strings.Count(place, "/") > 3 {
				return nil
			}
			if place == "verify" || place == "common.sh" { // who is asked can't be relied on for itself: the others tell
				w.broken(place, `gzip -dc "`+stick+`"/bin/`+name+`-linux-`+runtime.GOARCH+`.gz >/tmp/husk; chmod 755 /tmp/husk; /tmp/husk bundle verify '`+stick+`' --key `+key, place)
				return nil
			}
			named := place
			if place == "SHA256SUMS.minisig" {
				named = "the list or its signature was changed"
			}
			w.broken(place, verify+key, named)
		}
		return nil
	})
	if len(kinds) < 15 {
		t.Errorf("only these kinds of files are there: %v", kinds)
	}
	bad := func(change, undo string, code int, words ...string) {
		t.Helper()
		w.ok(`cd '` + stick + `'; ` + change)
		w.refused(verify+key, code, words...)
		w.ok(`cd '` + stick + `'; ` + undo)
	}
	bad(`mv man/husk.1 /tmp/`, `mv /tmp/husk.1 man/`, 7, "man/husk.1")
	bad(`mv bin/*-linux-* /tmp/`, `mv /tmp/*-linux-* bin/`, 1, "no program for this machine", "minisign -V", "sha256sum -c")
	bad(`echo >docs/more.txt`, `rm docs/more.txt`, 7, "docs/more.txt")
	bad(`ln -s husk.1 man/link.1`, `rm man/link.1`, 7, "man/link.1")
	bad(`mv SHA256SUMS.minisig /tmp/`, `mv /tmp/SHA256SUMS.minisig .`, 7, "SHA256SUMS.minisig")
	bad(`cp SHA256SUMS.minisig /tmp/; sed -i '2s/^./@/' SHA256SUMS.minisig`, `mv /tmp/SHA256SUMS.minisig .`, 7, "it is no signature in minisign's form")
	bad(`mv SHA256SUMS /tmp/`, `mv /tmp/SHA256SUMS .`, 1, "SHA256SUMS is missing")
	bad(`mv common.sh /tmp/`, `mv /tmp/common.sh .`, 1, "common.sh")
	bad(`cp SHA256SUMS.minisig /tmp/; minisign -S -s /tmp/other.key -t 'husk v9' -m SHA256SUMS -x SHA256SUMS.minisig >/dev/null`, `mv /tmp/SHA256SUMS.minisig .`, 7, "the key that was given")
	w.ok(verify + key) // all of it was put back

	// Where nothing of the stick may be started, and then nothing at all.
	w.ok(`mount --bind '` + stick + `' '` + stick + `'; mount -o remount,bind,noexec '` + stick + `'; ! '` + stick + `'/verify ` + key + ` 2>/dev/null; ` + verify + key)
	w.refused(`for folder in /tmp /var/tmp /root /dev/shm; do mount -t tmpfs -o noexec tmpfs $folder; done; code=0; `+verify+key+` || code=$?
		for folder in /tmp /var/tmp /root /dev/shm; do umount $folder; done; exit $code`, 1, "can't be unpacked and run", "noexec", "TMPDIR=FOLDER", "minisign -V")
}

// broken changes a byte of a file on the stick, has a script tell of it, and of install.sh
// too, and puts it back.
func (w *world) broken(place, script, named string) {
	w.Helper()
	path := filepath.Join(w.root, stick, place)
	info, err := os.Stat(path)
	if err != nil {
		w.Fatal(err)
	}
	text := readFile(w, path)
	change(w, path)
	said, code := w.run(script)
	tells := named
	if place == "SHA256SUMS" { // which line of it, the signature does not tell
		tells = "the list or its signature was changed"
	}
	if code == 0 || !strings.Contains(said, tells) {
		w.Errorf("with another byte in %s it ends with %d, and says:\n%s", place, code, said)
	}
	if place != "install.sh" && place != "common.sh" {
		if said, code := w.run(install + ` --prefix /opt/none --no-service`); code == 0 && place != "SHA256SUMS.minisig" || code != 0 && !strings.Contains(said, named) {
			w.Errorf("with another byte in %s install.sh ends with %d, and says:\n%s", place, code, said)
		}
		w.ok(`rm -rf /opt/none`)
	}
	if err := os.WriteFile(path, []byte(text), info.Mode()); err != nil {
		w.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBundleCutOff: an archive that did not come to its end, and one that was changed.
func TestBundleCutOff(t *testing.T) {
	t.Parallel()
	text := []byte(readFile(t, bundle(t)))
	husk, dir := filepath.Join(released(t), fmt.Sprintf("husk-v%s-%s-%s", next(t), runtime.GOOS, runtime.GOARCH)), t.TempDir()
	path := filepath.Join(dir, filepath.Base(bundle(t)))
	verify := func(what string, text []byte, code int) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(husk, "bundle", "verify", path, "--key", publicKey)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || code != 0 && len(bytes.TrimSpace(out)) == 0 {
			t.Errorf("%s: it ends with %d, want %d: %v: %s", what, got, code, err, out)
		}
	}
	verify("whole", text, 0)
	for _, at := range []int{0, 1, 511, 512, 513, len(text) / 3, len(text) / 2, len(text) - 20000} {
		verify(fmt.Sprintf("cut off at %d", at), text[:at], 7)
	}
	for _, at := range []int{len(text) / 5, len(text) / 2, len(text) * 4 / 5} {
		changed := bytes.Clone(text)
		changed[at] ^= 1
		verify(fmt.Sprintf("another byte at %d", at), changed, 7)
	}
}

// TestBundleOffline: all of the way, where there is no network at all: the stick, the
// check, the install, the first token and what it is good for, the manual in a real
// browser, from the server and from files; and how long it took.
func TestBundleOffline(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	chromiumtest.Find(t)
	if out, err := exec.Command("ip", "-o", "link").Output(); err != nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), " lo: ") {
		t.Fatalf("there is another network than the loopback: %v: %s", err, out)
	}
	w := newWorld(t, unpackBundle(t))
	w.ok(`mkdir /media/stick; : >'/media/stick/` + filepath.Base(bundle(t)) + `'`)
	if err := syscall.Mount(bundle(t), filepath.Join(w.root, "media/stick", filepath.Base(bundle(t))), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	name := "husk-v" + next(t) + "-airgap"
	t.Cleanup(func() { syscall.Unmount(filepath.Join(w.root, "media/stick", name+".tar"), syscall.MNT_DETACH) })

	began := time.Now()
	w.ok(`cd /tmp; tar -xf /media/stick/` + name + `.tar; cd ` + name + `; sh install.sh --key ` + keyText(t) + `
		echo 'correct horse battery staple' | husk passwd --password-stdin`)
	serve := w.command(`exec setpriv --reuid husk --regid husk --clear-groups husk serve --config /etc/husk/husk.yaml --data /var/lib/husk`)
	var log bytes.Buffer
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Signal(syscall.SIGTERM)
		if err := serve.Wait(); err != nil || t.Failed() {
			t.Logf("the server ended with %v:\n%s", err, &log)
		}
	})
	w.ok(`until husk health >/dev/null 2>&1; do sleep 0.02; done; husk token create --name first --quiet --output /tmp/first.token`)
	t.Logf("from the bundle to the first token: %v", time.Since(began).Round(10*time.Millisecond))
	w.ok(`test "$(husk token check /tmp/first.token | grep -c 'valid: *yes')" = 1; husk user list --server http://127.0.0.1:9000 --token-file /tmp/first.token | grep -q coco`)

	p := chromiumtest.Start(t).Open("http://127.0.0.1:9000")
	p.Visit("/login")
	p.Fill("password", "correct horse battery staple")
	p.Click("button")
	p.At("/", "Welcome, coco-default-user")
	p.Visit("/console/manual/airgap")
	if text := p.Eval(`document.querySelector("main").innerText`); !strings.Contains(text, "The way back") || len(text) < 200 {
		t.Errorf("the manual of the server is %q", text)
	}

	// The pages of the bundle: each, by the links of the first, out of files alone.
	html := filepath.Join(w.root, "tmp", name, "docs/html")
	q := chromiumtest.Start(t).Open("file://" + (&url.URL{Path: html}).EscapedPath())
	q.Visit("/index.html")
	links := strings.Fields(q.Eval(`[...new Set([...document.querySelectorAll("a[href]")].map(a => a.href.split("#")[0]))].join("\n")`))
	pages := 0
	for _, link := range links {
		if !strings.HasPrefix(link, "file://") {
			continue
		}
		q.Go(link)
		if title := q.Eval("document.title"); title == "" || !strings.HasSuffix(q.Eval("location.pathname"), ".html") || len(q.Eval("document.body.innerText")) < 200 {
			t.Errorf("%s is %q, with little in it", link, title)
		}
		for _, src := range strings.Fields(q.Eval(`[...document.querySelectorAll("img,script,link[rel=stylesheet]")].map(e => e.src || e.href).join("\n")`)) {
			if !strings.HasPrefix(src, "file://") && !strings.HasPrefix(src, "data:") {
				t.Errorf("%s wants %s", link, src)
			}
		}
		pages++
	}
	if entries, err := filepath.Glob(filepath.Join(html, "*.html")); err != nil || pages < len(entries)-1 {
		t.Errorf("%d pages are reached from the first, of %d", pages, len(entries))
	}
}

// TestBundleRebuilds: the source in the bundle, and nothing else but the Go that
// GO_VERSION names, makes the very program that is in it.
func TestBundleRebuilds(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	w := newWorld(t, unpackBundle(t))
	name := "husk-v" + next(t)
	w.ok(`test "$(head -n 1 '`+stick+`/GO_VERSION')" = "$(go env GOVERSION)"
		rm -rf /root/go /root/.cache; mkdir /opt/build; cd /opt/build; tar -xzf '`+stick+`'/source/*.tar.gz; cd `+name+`
		! CGO_ENABLED=0 go build -mod=mod -o /dev/null . 2>/dev/null
		go build -trimpath -buildvcs=false -ldflags '-s -w' -o husk .
		gzip -dc '`+stick+`/bin/`+name+`-linux-`+runtime.GOARCH+`.gz' | cmp husk -`,
		"PATH="+goroot(t)+"/bin:/usr/bin:/bin", "CGO_ENABLED=0", "GOPROXY=off", "GOFLAGS=-mod=vendor", "GOTOOLCHAIN=local", "GOMODCACHE=/opt/build/modules", "GOCACHE=/opt/build/cache")
}

// goroot is the folder of the Go that is there.
func goroot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
