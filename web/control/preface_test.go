package control

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// FuzzPreface: what begins with the line is handed on without it, byte for byte,
// however it comes in pieces; of anything else nothing is, and one line is said.
func FuzzPreface(f *testing.F) {
	for _, text := range []string{
		preface, preface + "GET / HTTP/1.1\r\n\r\n", preface + preface, "HUSK-CONTROL 1\r\n", "HUSK-CONTROL 2\n", "HUSK-CONTROL 1", "", "\n",
		"GET / HTTP/1.1\r\nHost: husk\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", " " + preface, "\x00",
	} {
		f.Add([]byte(text), uint8(len(text)%7))
		f.Add([]byte(text), uint8(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		c := &scripted{in: text, piece: int(piece) + 1}
		got, err := io.ReadAll(&prefaced{Conn: c, state: errNotYet})
		if err != nil {
			t.Errorf("Read = %v", err)
		}
		rest, ok := bytes.CutPrefix(text, []byte(preface))
		want := preface
		switch {
		case !ok && bytes.HasPrefix([]byte(preface), text):
			rest, want = nil, "" // it is gone
		case !ok:
			rest, want = nil, refusal
			if c.read > len(preface)+refusedBytes {
				t.Errorf("%d bytes were read", c.read)
			}
		}
		if !bytes.Equal(got, rest) || c.out.String() != want {
			t.Errorf("%q: handed on %q, answered %q", text, got, c.out.String())
		}
	})
}

// scripted is a connection that has sent in, and gives it in pieces.
type scripted struct {
	net.Conn
	in    []byte
	piece int
	read  int
	out   bytes.Buffer
}

func (s *scripted) SetReadDeadline(time.Time) error { return nil }

func (s *scripted) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), s.piece)], s.in[s.read:])
	s.read += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) { return s.out.Write(p) }

// A client waits no longer than it was told to, or than it wants to.
func TestGreetEnds(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() { _, _ = io.Copy(io.Discard, server) }() // and says nothing
	if err := greet(t.Context(), client, time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrNoServer) {
		t.Errorf("greet = %v", err)
	}
}
