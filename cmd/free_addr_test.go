package cmd

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// lastPort counts the ports that were handed out, from where hardly another run of
// tests begins.
var lastPort = sync.OnceValue(func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(rand.Uint32N(ports))
	return n
})

// Ports that no system takes for a connection or for a listener that names none: those
// begin at 32768. A port that was free a moment ago would else be somebody's when a
// proxy is to listen on it, or be handed out twice.
const (
	firstPort = 12_000
	ports     = 20_000
)

// freeAddr is an address of this machine where nobody listens, and which no other
// test of this process gets.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range ports {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(firstPort+lastPort().Add(1)%ports)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// freePort is the port of a free address.
func freePort(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
