package cmd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"husk/db/dbtest/syscalls"
)

// Husk goes into networks that have no other one beside. Here the kernel is asked what the
// program asks of it: strace writes down each socket, each address, each file of a resolver
// and each program that is started, and reaches judges them.

// networkCalls are those by which a process can reach another, by whatever door: sockets,
// rings that make them without a call, programs that make them for it.
const networkCalls = "trace=%network,io_uring_setup,io_uring_enter,execve,execveat,open,openat,openat2"

// reach is what a program may reach. The zero value is nothing.
type reach struct {
	dials   []string // ADDRESS:PORT of TCP
	listens []string // the same; port 0 is any
	unix    []string // how the path of a local socket begins; one that has no path, with @
	names   bool     // a name has to be found: the files of resolvers are read
	asks    []string // with names: ADDRESS:PORT of UDP that may be asked for them
	runs    []string // programs
}

// resolverFiles say how a name is found.
var resolverFiles = regexp.MustCompile(`^/etc/(resolv\.conf|hosts|nsswitch\.conf|host\.conf|gai\.conf|networks|services|protocols)$|/nscd/|\.nss\.|libnss_`)

// beyond tells what of the calls goes beyond a reach. Of a trace without a call nothing
// could be told: that is told, too.
func (r reach) beyond(calls []*syscalls.Call) (all []string) {
	started := 0
	for _, c := range calls {
		why := ""
		switch c.Name {
		case "execve", "execveat":
			if started++; started > 1 && !slices.ContainsFunc(r.runs, func(p string) bool { return c.Contains(p) }) {
				why = "it runs another program"
			}
		case "open", "openat", "openat2":
			path := c.Named(min(1, len(c.Args)-1))
			if c.Name == "open" {
				path = c.Named(0)
			}
			if resolverFiles.MatchString(path) && !r.names {
				why = "it looks for a name"
			}
		case "socket":
			why = r.socket(c)
		case "connect":
			why = r.goes(c, 1)
		case "sendto":
			if len(c.Args) > 4 && c.Args[4] != "NULL" {
				why = r.goes(c, 4)
			}
		case "sendmsg", "sendmmsg":
			if text := strings.Join(c.Args, " "); strings.Contains(text, "sa_family=") {
				why = r.goes(&syscalls.Call{Args: []string{text}}, 0)
			}
		case "bind":
			why = r.takes(c)
		case "io_uring_setup", "io_uring_enter":
			why = "it has a ring, and what goes through that is not seen"
		}
		if why != "" {
			all = append(all, why+": "+c.String())
		}
	}
	if started == 0 {
		all = append(all, "nothing was traced")
	}
	return all
}

// socket judges a family. Those that are opened and used for nothing are found, too.
func (r reach) socket(c *syscalls.Call) string {
	kind := strings.Join(c.Args, " ")
	switch {
	case strings.HasPrefix(kind, "AF_UNIX "):
		return ""
	case !strings.HasPrefix(kind, "AF_INET ") && !strings.HasPrefix(kind, "AF_INET6 "):
		return "it asks the kernel about the network, or speaks to it in another way"
	case strings.Contains(kind, "SOCK_STREAM"), r.names && strings.Contains(kind, "SOCK_DGRAM"):
		return ""
	}
	return "it has a socket that is no TCP"
}

var (
	sockPath = regexp.MustCompile(`sun_path=(@?)"((?:[^"\\]|\\.)*)"`)
	sockPort = regexp.MustCompile(`sin6?_port=htons\((\d+)\)`)
	sockAddr = regexp.MustCompile(`inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"`)
)

// sockaddr reads an address as strace prints it.
func sockaddr(text string) (path, addr string) {
	if m := sockPath.FindStringSubmatch(text); m != nil {
		return m[1] + m[2], ""
	}
	port, host := sockPort.FindStringSubmatch(text), sockAddr.FindStringSubmatch(text)
	if port == nil || host == nil {
		return "", ""
	}
	return "", net.JoinHostPort(host[1]+host[2], port[1])
}

func (r reach) mayUnix(path string) bool {
	return slices.ContainsFunc(r.unix, func(p string) bool { return path != "" && strings.HasPrefix(path, p) })
}

// goes judges where a connection or a datagram goes.
func (r reach) goes(c *syscalls.Call, n int) string {
	text := strings.Join(c.Args[n:], " ")
	path, addr := sockaddr(text)
	switch host, port, _ := net.SplitHostPort(addr); {
	case strings.Contains(text, "sa_family=AF_UNSPEC"): // parts what was connected
		return ""
	case r.mayUnix(path), slices.Contains(r.dials, addr), slices.Contains(r.asks, addr):
		return ""
	case r.names && port == "9" && net.ParseIP(host).IsLoopback():
		return "" // Go asks the kernel by which way it would go to an address that was found; nothing is sent
	}
	return "it goes to who was not named"
}

// takes judges where a socket waits. Go finds out what IPv6 can do by binding to a free
// port of loopback, and lets it go without a listen.
func (r reach) takes(c *syscalls.Call) string {
	path, addr := sockaddr(strings.Join(c.Args[1:], " "))
	if r.mayUnix(path) || slices.Contains(r.listens, addr) || addr == "[::1]:0" || addr == "[::ffff:127.0.0.1]:0" {
		return ""
	}
	return "it waits where it was not told to"
}

// builtHusk is the program as it ships: static, without the C library.
var builtHusk = sync.OnceValues(func() (string, error) {
	dir, err := folderOfRun()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "husk")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "husk")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// shippedHusk is builtHusk, beside the tests of this run alone.
func shippedHusk(t *testing.T) string {
	t.Helper()
	path, err := builtHusk()
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "husk")
	if err := os.Link(path, at); err != nil {
		t.Fatal(err)
	}
	return at
}

// oddEnvironment is what other programs would go elsewhere by. Who is called by it has to
// be called by nobody.
func oddEnvironment(t *testing.T) []string {
	t.Helper()
	asked := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("somebody goes by the environment: %s %s", r.Method, r.URL)
	}))
	t.Cleanup(asked.Close)
	return []string{
		"HTTP_PROXY=" + asked.URL, "HTTPS_PROXY=" + asked.URL, "http_proxy=" + asked.URL, "https_proxy=" + asked.URL, "ALL_PROXY=" + asked.URL, "all_proxy=" + asked.URL, "NO_PROXY=",
		"SSL_CERT_FILE=/nowhere/ca.pem", "SSL_CERT_DIR=/nowhere", "GODEBUG=netdns=go", "LOCALDOMAIN=example.com", "RES_OPTIONS=attempts:9", "HOSTALIASES=/nowhere", "TZ=:Nowhere/At/All",
		"GOTELEMETRY=on", "GOPROXY=" + asked.URL, "OTEL_EXPORTER_OTLP_ENDPOINT=" + asked.URL, "NTP_SERVER=" + asked.Listener.Addr().String(), "SYSLOG=1",
	}
}

// traceNet runs a command of the program under strace.
func (p program) traceNet(t *testing.T, args ...string) (result, []*syscalls.Call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := p.command(ctx, args...)
	var stdout, stderr strings.Builder
	c.Stdout, c.Stderr = &stdout, &stderr
	file := filepath.Join(t.TempDir(), "trace")
	if err := syscalls.Trace(c, file, "-e", networkCalls); err != nil {
		t.Fatal(err)
	}
	_ = c.Run() // its code says how it ended
	return result{code: c.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}, readQuiet(t, file)
}

// readQuiet reads a trace once it is whole: strace is another process, and may write its
// last lines when the program has ended already.
func readQuiet(t *testing.T, file string) []*syscalls.Call {
	t.Helper()
	var calls []*syscalls.Call
	eventually(t, "that the trace is written", func() bool {
		text, err := os.ReadFile(file)
		if err != nil || len(text) == 0 || text[len(text)-1] != '\n' {
			return false
		}
		calls, err = syscalls.Read(file)
		return err == nil
	})
	return calls
}

// TestQuietSeesNoise: a program that is not quiet is found, whatever it does.
func TestQuietSeesNoise(t *testing.T) {
	needStrace(t)
	t.Parallel()
	l, err := net.ListenPacket("udp", "127.0.0.1:0") // it reads nothing: datagrams stay here
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	noisy, err := exec.LookPath("noisy")
	if err != nil {
		t.Fatal(err)
	}
	for name := range noises {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program{path: noisy, data: newData(t), env: []string{"TEST_NOISE=" + name, "TEST_NOISE_TO=" + l.LocalAddr().String()}}
			r, calls := p.traceNet(t, "version")
			if r.code != exitDone {
				t.Fatal(r)
			}
			if beyond := (reach{}).beyond(calls); len(beyond) == 0 != (name == "nothing") {
				t.Errorf("%q goes beyond", beyond)
			}
		})
	}
	if beyond := (reach{}).beyond(nil); len(beyond) == 0 {
		t.Error("where nothing was traced, all is well")
	}
}
