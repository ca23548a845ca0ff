// Package etcdtest runs real members of etcd on loopback, for tests.
package etcdtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
)

// Options of a cluster. The zero value is one member of the newest etcd.
type Options struct {
	Members int
	Program string   // "": see Any
	Args    []string // more of them, for each member
	CA      *CA      // its members speak TLS, and take who it has signed; nil: plain
}

// Cluster is some members on loopback.
type Cluster struct {
	Members []*Member
}

// Member is one of them.
type Member struct {
	Endpoint string // HOST:PORT for clients

	t    testing.TB
	tls  *tls.Config // nil: plain
	args []string
	path string
	log  bytes.Buffer
	mu   sync.Mutex
	cmd  *exec.Cmd // nil: it does not run
	done chan struct{}
}

// Start runs a cluster until the test's end, and returns once it answers.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	program := o.Program
	if program == "" {
		program = Any(t)
	}
	n := max(1, o.Members)
	ports := freePorts(t, 2*n)
	var cluster []string
	for i := range n {
		cluster = append(cluster, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, ports[2*i+1]))
	}
	c := &Cluster{}
	scheme, config, more := "http://", (*tls.Config)(nil), o.Args
	if o.CA != nil {
		server := o.CA.Issue(t, "member", time.Now().Add(time.Hour))
		scheme, config = "https://", &tls.Config{RootCAs: o.CA.Pool, Certificates: []tls.Certificate{server.TLS}}
		more = append([]string{"--client-cert-auth", "--trusted-ca-file", o.CA.File, "--cert-file", server.CertFile, "--key-file", server.KeyFile}, more...)
	}
	for i := range n {
		endpoint, peer := fmt.Sprintf("127.0.0.1:%d", ports[2*i]), fmt.Sprintf("http://127.0.0.1:%d", ports[2*i+1])
		client := scheme + endpoint
		m := &Member{t: t, path: program, tls: config, Endpoint: endpoint, args: append([]string{
			"--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(t.TempDir(), "data"), "--log-level", "error",
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-token", "husk-test",
		}, more...)}
		c.Members = append(c.Members, m)
		m.Run()
	}
	t.Cleanup(func() {
		for _, m := range c.Members {
			m.Kill()
		}
	})
	for _, m := range c.Members {
		m.Ready()
	}
	return c
}

// Endpoints are those of all members.
func (c *Cluster) Endpoints() (all []string) {
	for _, m := range c.Members {
		all = append(all, m.Endpoint)
	}
	return all
}

// Run starts a member that does not run.
func (m *Member) Run() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	cmd := exec.Command(m.path, m.args...)
	cmd.Stdout, cmd.Stderr = &m.log, &m.log
	cmd.Env = append(os.Environ(), "ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan struct{})
	m.cmd, m.done = cmd, done
	go func() { _ = cmd.Wait(); close(done) }()
}

// Ready waits until a member says that it has a leader.
func (m *Member) Ready() {
	m.t.Helper()
	url, transport := "http://"+m.Endpoint+"/health", &http.Transport{TLSClientConfig: m.tls}
	if m.tls != nil {
		url = "https://" + m.Endpoint + "/health"
	}
	defer transport.CloseIdleConnections()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-m.done:
			m.t.Fatalf("etcd has ended: %s", m.log.String())
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		r, err := transport.RoundTrip(req)
		if err == nil {
			r.Body.Close()
		}
		cancel()
		if err == nil && r.StatusCode == http.StatusOK {
			return
		}
	}
	m.t.Fatal("etcd does not come to be ready")
}

// Kill ends a member as a power cut does.
func (m *Member) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	<-m.done
	m.cmd = nil
}

// Stop has a member stand still, with its connections open.
func (m *Member) Stop() { m.signal(syscall.SIGSTOP) }

// Continue has it go on.
func (m *Member) Continue() { m.signal(syscall.SIGCONT) }

func (m *Member) signal(s syscall.Signal) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Any is the newest etcd where it was built or there is the time to build it, else the one
// that is installed.
func Any(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("etcd"); err == nil && os.Getenv("HUSK_LONG") == "" {
		if _, err := os.Stat(builtAt()); err != nil {
			return path
		}
	}
	return Newest(t)
}

// Debian is the path of Debian's etcd.
func Debian(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		Missing(t, "etcd is not installed: apt-get install etcd-server")
	}
	return path
}

var newest = sync.OnceValues(build)

// Newest is the path of the newest etcd, which is built where it was not yet.
func Newest(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat(builtAt()); err != nil {
		dbtest.TakesVeryLong(t, "the newest etcd is not built yet")
	}
	path, err := newest()
	if err != nil {
		Missing(t, err.Error())
	}
	return path
}

// source is the folder of dist/etcd.
func source() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "dist", "etcd")
}

// builtAt is where the program of dist/etcd is once it is built: the name has what it is
// made of.
func builtAt() string {
	sums, _ := os.ReadFile(filepath.Join(source(), "go.sum"))
	sum := sha256.Sum256(append(sums, runtime.Version()...))
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = filepath.Join(source(), ".cache")
	}
	return filepath.Join(dir, "husk-tests", "etcd-"+hex.EncodeToString(sum[:8]))
}

func build() (string, error) {
	path := builtAt()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	own := fmt.Sprintf("%s.%d", path, os.Getpid())
	cmd := exec.Command("go", "build", "-o", own, ".")
	cmd.Dir = source()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("etcd can't be built: %w: %s", err, said)
	}
	return path, os.Rename(own, path)
}

// Missing skips a test for what this machine does not have; under CI=true it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}
