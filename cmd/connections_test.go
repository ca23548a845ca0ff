//go:build unix

package cmd

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// What is kept back is there however few descriptors there are.
func TestRoomForConnections(t *testing.T) {
	for descriptors, want := range map[int]int{3: 1, 64: 16, 256: 160, 1024: 832, 4096: 3776, 1 << 20: 1<<20 - 320} {
		if got := roomFor(descriptors); got != want {
			t.Errorf("of %d descriptors %d are for connections, want %d", descriptors, got, want)
		}
	}
}

// closed fails unless the server closes a connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || !strings.Contains(err.Error(), "reset") && err != io.EOF {
		t.Errorf("the connection is not closed: %d bytes, %v", n, err)
	}
}

// The settings arrive where connections are accepted, with TLS too, and the
// control socket has connections of its own.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	files := newPairFiles(t, goodPair(t, "good"))
	for _, args := range [][]string{
		{"--max-connections", "2"},
		{"--max-connections", "2", "--tls-cert", files.cert, "--tls-key", files.key},
		{"--max-connections", "0", "--max-connections-per-address", "2"},
	} {
		p := program{data: newData(t)}
		s := p.serve(t, args...)
		first := s.dial()
		s.dial()
		s.dial()
		closed(t, first)
		eventually(t, "the log tells of it", func() bool { return strings.Contains(s.log.String(), "connections were closed to make room") })
		p.ok(t, "user", "list")
		s.end()
	}
}

// A low limit of open files bounds connections, and is warned of.
func TestLowDescriptorLimit(t *testing.T) {
	t.Parallel()
	husk, err := exec.LookPath("husk")
	if err != nil {
		t.Fatal(err)
	}
	for limit, warns := range map[int]bool{200: true, 4096: false} {
		p := program{data: newData(t)}
		c := p.command(context.Background(), "serve", "--addr", "127.0.0.1:0")
		c.Path, c.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" serve --addr 127.0.0.1:0`, limit), husk}
		s := run(t, c)
		s.ready()
		if got := strings.Contains(s.log.String(), `"the limit of open files is low`); got != warns {
			t.Errorf("with %d descriptors it warns: %v\n%s", limit, got, &s.log)
		}
		s.end()
	}
}
