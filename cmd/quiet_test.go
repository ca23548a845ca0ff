package cmd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// noises are what would make a program loud: each is one line that somebody might add.
var noises = map[string]func(string){
	"nothing":      func(string) {},
	"time server":  func(to string) { noise(net.Dial("udp", to)) },
	"update check": func(to string) { noise(http.Get("http://" + to + "/latest")) },
	"dns": func(to string) {
		noise((&net.Resolver{PreferGo: true, Dial: dialTo(to)}).LookupHost(context.Background(), "updates.example.com"))
	},
	"another socket": func(string) { noise(net.Dial("unix", "/run/systemd/journal/socket")) },
	"datagram": func(to string) {
		if c, err := net.ListenPacket("udp", "127.0.0.1:0"); err == nil {
			at, _ := net.ResolveUDPAddr("udp", to)
			noise(c.WriteTo([]byte("up"), at))
		}
	},
	"netlink": func(string) { noise(net.Interfaces()) },
	"program": func(string) { noise(exec.Command("/bin/true").Output()) },
	"listens": func(string) { noise(net.Listen("tcp", "127.0.0.1:0")) },
	"a name":  func(string) { noise(os.ReadFile("/etc/resolv.conf")) },
}

func noise(_ any, err error) { fmt.Fprintln(os.Stderr, "noise:", err) }

func dialTo(to string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, to)
	}
}

// asNoisy is husk with one line more. TestMain has it.
func asNoisy() {
	make := noises[os.Getenv("TEST_NOISE")]
	if os.Getenv("TEST_NOISE_LATER") == "" {
		make(os.Getenv("TEST_NOISE_TO"))
	} else {
		go func() { time.Sleep(100 * time.Millisecond); make(os.Getenv("TEST_NOISE_TO")) }()
	}
	os.Exit(Main(""))
}
