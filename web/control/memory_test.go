package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

type peerKey struct{}

// serve runs an HTTP server on l that answers with the request's body, and
// tells the peer in a header.
func serve(t *testing.T, l net.Listener) {
	t.Helper()
	srv := &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			p, _ := PeerOf(c)
			return context.WithValue(ctx, peerKey{}, p)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Peer", fmt.Sprintf("%#v", r.Context().Value(peerKey{})))
			_, _ = io.Copy(w, r.Body)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v", err)
		}
	})
}

func client(t *testing.T, m *Memory) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: m.DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func post(c *http.Client, body []byte) (peer string, got []byte, err error) {
	resp, err := c.Post("http://husk/", "text/plain", bytes.NewReader(body))
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	got, err = io.ReadAll(resp.Body)
	return resp.Header.Get("Peer"), got, err
}

func TestMemoryServesHTTP(t *testing.T) {
	m := NewMemory()
	serve(t, m)
	c := client(t, m)
	me := self()
	me.Offline = true
	if me.UID != os.Geteuid() || me.PID != os.Getpid() {
		t.Fatalf("this process is %#v", me)
	}
	want := fmt.Sprintf("%#v", me)
	for _, size := range []int{0, 1, 1 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		peer, got, err := post(c, body)
		if err != nil || !bytes.Equal(got, body) || peer != want {
			t.Errorf("%d bytes: got %d, peer %s, %v", size, len(got), peer, err)
		}
	}
}

func TestMemoryServesInParallel(t *testing.T) {
	m := NewMemory()
	serve(t, m)
	c := client(t, m)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			body := []byte(fmt.Sprint("request ", i))
			if _, got, err := post(c, body); err != nil || !bytes.Equal(got, body) {
				t.Errorf("request %d: %q, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

func TestMemoryDialEndsWithItsContext(t *testing.T) {
	m := NewMemory()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, err := m.DialContext(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody accepts: %v", err)
	}
	if _, err := m.DialContext(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the context has ended: %v", err)
	}
}

func TestMemoryDeadline(t *testing.T) {
	m := NewMemory()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := m.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	c, err := m.DialContext(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer (<-accepted).Close()
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v", err)
	}
}

func TestMemoryClose(t *testing.T) {
	m := NewMemory()
	errs := make(chan error, 2)
	go func() { _, err := m.Accept(); errs <- err }()
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a waiting Accept: %v", err)
	}
	if _, err := m.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := m.DialContext(context.Background(), "", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("DialContext: %v", err)
	}

	m = NewMemory()
	go func() { _, err := m.DialContext(context.Background(), "", ""); errs <- err }()
	_ = m.Close()
	if err := <-errs; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a waiting DialContext: %v", err)
	}
	if a := m.Addr(); a.Network() != "memory" || a.String() != "memory" {
		t.Errorf("Addr = %v", a)
	}
}
