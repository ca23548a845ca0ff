package listen

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is a pool with a clock that is turned by hand, and connections from
// anywhere.
type crowd struct {
	*testing.T
	*Pool
	now time.Time
	log bytes.Buffer
}

func newCrowd(t *testing.T, limits Limits) *crowd {
	c := &crowd{T: t, now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	limits.Now, limits.Door = func() time.Time { return c.now }, "address"
	limits.Log = slog.New(slog.NewTextHandler(&c.log, nil))
	c.Pool = NewPool(limits)
	return c
}

// far is the served end of a connection from an address.
type far struct {
	net.Conn
	remote net.Addr
}

func (f *far) RemoteAddr() net.Addr { return f.remote }

// guest is a connection with the client's end.
type guest struct {
	*Conn
	client net.Conn
}

// comes takes a connection from an address, a second after the one before.
func (c *crowd) comes(address string) *guest {
	c.Helper()
	c.now = c.now.Add(time.Second)
	client, served := net.Pipe()
	c.Cleanup(func() { client.Close() })
	return &guest{c.take(&far{served, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 4711))}), client}
}

// sends has the server read so many bytes.
func (g *guest) sends(t *testing.T, n int) {
	t.Helper()
	go g.client.Write(make([]byte, n))
	if _, err := io.ReadFull(g.Conn, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// asked brings a connection through a request, to rest.
func (g *guest) asked() *guest {
	g.Note(http.StateActive)
	g.Note(http.StateIdle)
	return g
}

// hasOnly fails unless these are open, of all, and the others closed.
func (c *crowd) hasOnly(all []*guest, open ...int) {
	c.Helper()
	want := map[int]bool{}
	for _, i := range open {
		want[i] = true
	}
	for i, g := range all {
		_ = g.Conn.Conn.SetReadDeadline(time.Now().Add(-time.Second))
		_, err := g.Conn.Conn.Read(make([]byte, 1))
		if is := err != io.ErrClosedPipe; is != want[i] {
			c.Errorf("connection %d from %s: open is %v", i, g.network, is)
		}
		_ = g.Conn.Conn.SetReadDeadline(time.Time{})
	}
	if len(c.open) != len(open) {
		c.Errorf("%d connections are known, of %d", len(c.open), len(open))
	}
}

// The one that has been idle for longest goes first, although others are older.
func TestTheOldestIdleConnectionGoesFirst(t *testing.T) {
	c := newCrowd(t, Limits{Total: 4})
	all := []*guest{c.comes("192.0.2.1"), c.comes("192.0.2.2"), c.comes("192.0.2.3"), c.comes("192.0.2.4")}
	all[0].Note(http.StateActive)
	all[2].asked()
	c.now = c.now.Add(time.Second)
	all[1].asked()
	all = append(all, c.comes("192.0.2.5"))
	c.hasOnly(all, 0, 1, 3, 4)
	all = append(all, c.comes("192.0.2.6"))
	c.hasOnly(all, 0, 3, 4, 5)
	if s := c.Stats(); s.Open != 4 || s.Closed["total"] != 2 || s.Closed["address"] != 0 {
		t.Errorf("%+v", s)
	}
}

// Where none is idle the one goes whose request takes longest: slow senders
// make room for who comes next. What has sent a byte of its next request is
// not idle any more.
func TestSlowSendersMakeRoom(t *testing.T) {
	c := newCrowd(t, Limits{Total: 3})
	all := []*guest{c.comes("192.0.2.1").asked(), c.comes("192.0.2.2"), c.comes("192.0.2.3")}
	all[1].sends(t, 10)
	c.now = c.now.Add(time.Second)
	all[0].sends(t, 1)
	all[2].Note(http.StateActive)
	all = append(all, c.comes("192.0.2.4"))
	c.hasOnly(all, 0, 2, 3)
	all = append(all, c.comes("192.0.2.5"))
	c.hasOnly(all, 0, 3, 4)
	all = append(all, c.comes("192.0.2.6"))
	c.hasOnly(all, 3, 4, 5)
}

// Who has most gives first, busy or not; who has few keeps even what is idle.
func TestWhoHasMostGivesFirst(t *testing.T) {
	c := newCrowd(t, Limits{Total: 4})
	all := []*guest{c.comes("192.0.2.1").asked(), c.comes("2001:db8::1"), c.comes("2001:db8::ffff:1"), c.comes("2001:db8:0:1::1")}
	all[1].Note(http.StateActive)
	all[2].Note(http.StateActive)
	all = append(all, c.comes("192.0.2.2"))
	c.hasOnly(all, 0, 2, 3, 4)
}

func TestCapByAddress(t *testing.T) {
	c := newCrowd(t, Limits{PerNetwork: 2, Trusted: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.9") }})
	all := []*guest{
		c.comes("192.0.2.1"), c.comes("::ffff:192.0.2.1").asked(), c.comes("192.0.2.1"), // the idle one goes
		c.comes("2001:db8::1"), c.comes("2001:db8::2"), c.comes("2001:db8::3"), // the oldest goes
		c.comes("2001:db8:0:1::1"),
		c.comes("192.0.2.9"), c.comes("192.0.2.9"), c.comes("192.0.2.9"), // a proxy has many
	}
	c.hasOnly(all, 0, 2, 4, 5, 6, 7, 8, 9)
	if s := c.Stats(); s.Closed["address"] != 2 || s.Closed["total"] != 0 {
		t.Errorf("%+v", s)
	}
}

// A proxy has most connections, and they are everybody's: others go first.
func TestTrustedProxiesGiveLast(t *testing.T) {
	c := newCrowd(t, Limits{Total: 3, PerNetwork: 1, Trusted: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.9") }})
	all := []*guest{c.comes("192.0.2.9").asked(), c.comes("192.0.2.9").asked(), c.comes("192.0.2.1")}
	all = append(all, c.comes("192.0.2.9"))
	c.hasOnly(all, 0, 1, 3)
	all = append(all, c.comes("192.0.2.2"))
	c.hasOnly(all, 1, 3, 4)
}

// A stream that somebody with rights asked for is no slow request, until it
// has ended.
func TestHeldConnectionsGiveLast(t *testing.T) {
	c := newCrowd(t, Limits{Total: 2})
	all := []*guest{c.comes("192.0.2.1"), c.comes("192.0.2.2")}
	all[0].Note(http.StateActive)
	all[0].Hold()
	all = append(all, c.comes("192.0.2.3"))
	c.hasOnly(all, 0, 2)
	all[0].Note(http.StateIdle)
	all = append(all, c.comes("192.0.2.4"))
	c.hasOnly(all, 2, 3)
}

// What has ended takes no room.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	c := newCrowd(t, Limits{Total: 2, PerNetwork: 2, Memory: 1 << 20})
	all := []*guest{c.comes("192.0.2.1"), c.comes("192.0.2.1")}
	all[0].sends(t, 5<<10)
	all[0].Close()
	all[0].Close()
	all[0].Note(http.StateClosed)
	all = append(all, c.comes("192.0.2.1"))
	c.hasOnly(all, 1, 2)
	all[1].Close()
	all[2].Close()
	if len(c.open) != 0 || len(c.networks) != 0 || c.weight.Load() != 0 {
		t.Errorf("%d connections, %d networks and %d bytes are known", len(c.open), len(c.networks), c.weight.Load())
	}
	if s := c.Stats(); s.Closed["total"]+s.Closed["address"]+s.Closed["memory"] != 0 {
		t.Errorf("%+v", s)
	}
}

// Half-read headers weigh: of those who have as many connections, the heaviest
// goes. What is small weighs nothing, nor does what was read.
func TestHalfReadHeadersAreBounded(t *testing.T) {
	const more = 4 << 10 // beyond what is free
	c := newCrowd(t, Limits{Memory: 3 * headerWeight * more})
	all := []*guest{c.comes("192.0.2.1"), c.comes("192.0.2.2"), c.comes("192.0.2.3"), c.comes("192.0.2.4")}
	all[0].sends(t, freeBytes)
	all[1].sends(t, freeBytes+more)
	all[2].sends(t, freeBytes+2*more)
	c.hasOnly(all, 0, 1, 2, 3)
	all[3].sends(t, freeBytes+1)
	c.hasOnly(all, 0, 1, 3)

	all[1].Note(http.StateActive) // its header is whole
	if w := c.weight.Load(); w != headerWeight {
		t.Errorf("%d bytes are held", w)
	}
	all = append(all, c.comes("192.0.2.5"))
	all[4].sends(t, freeBytes+3*more-2)
	c.hasOnly(all, 0, 1, 3, 4)
	all[4].Note(http.StateActive)
	all[4].asked()
	all[4].sends(t, freeBytes)
	if w := c.weight.Load(); w != headerWeight {
		t.Errorf("%d bytes are held after a request", w)
	}
	if s := c.Stats(); s.Closed["memory"] != 1 {
		t.Errorf("%+v", s)
	}
}

// What was closed for its header is held until its server has let go of it.
// Where that is too much others wait with what they have read, unless they are
// closed too; and nothing is read of what is closed.
func TestHeadersOfClosedConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const beyond = 4 << 10
		c := newCrowd(t, Limits{Memory: headerWeight * beyond})
		reads := func(g *guest, n int) <-chan error {
			go g.client.Write(make([]byte, n))
			read := make(chan error, 1)
			go func() {
				_, err := io.ReadFull(g.Conn, make([]byte, n))
				read <- err
			}()
			synctest.Wait()
			return read
		}
		heavy := c.comes("192.0.2.1")
		if err := <-reads(heavy, freeBytes+beyond+1); err != net.ErrClosed {
			t.Fatalf("what is too heavy is read: %v", err)
		}
		waits, leaves := c.comes("192.0.2.2"), c.comes("192.0.2.3")
		read, closed := reads(waits, 1), reads(leaves, 1)
		if len(read) != 0 || len(closed) != 0 {
			t.Fatal("nobody waits")
		}
		leaves.Close()
		if err := <-closed; err != net.ErrClosed {
			t.Errorf("what is closed is read: %v", err)
		}
		heavy.Close()
		heavy.Close()
		if err := <-read; err != nil {
			t.Errorf("who waited reads %v", err)
		}
		if n := c.ending.Load(); n != 0 {
			t.Errorf("%d bytes are thought to be held", n)
		}

		busy := c.comes("192.0.2.4")
		busy.Note(http.StateActive) // its handler may take its time
		<-reads(busy, 1<<20)
		if n := c.ending.Load(); n != 0 || c.Stats().Closed["memory"] != 2 {
			t.Errorf("%d bytes of a handler's are waited for, %+v", n, c.Stats())
		}
	})
}

// Bodies weigh less than headers, and one that is streamed no more than what
// may be in memory of it.
func TestBodiesAreBounded(t *testing.T) {
	c := newCrowd(t, Limits{Memory: 1 << 40})
	g := c.comes("192.0.2.1")
	g.Note(http.StateActive)
	g.sends(t, freeBytes+1000)
	if w := c.weight.Load(); w != 1000*bodyWeight {
		t.Errorf("1000 bytes weigh %d", w)
	}
	g.sends(t, 1<<20)
	if w := c.weight.Load(); w != bodyBytes*bodyWeight {
		t.Errorf("a long body weighs %d", w)
	}
}

// What is passed on weighs as much as the buffers, until the connection is idle.
func TestWhatIsPassedOnIsNotKept(t *testing.T) {
	c := newCrowd(t, Limits{Memory: 1 << 40})
	g := c.comes("192.0.2.1")
	g.Note(http.StateActive)
	g.PassOn()
	g.sends(t, freeBytes+1<<20)
	if w := c.weight.Load(); w != passWeight {
		t.Errorf("a long body weighs %d", w)
	}
	g.Note(http.StateIdle)
	g.Note(http.StateActive)
	g.sends(t, freeBytes+1<<20)
	if w := c.weight.Load(); w != bodyBytes*bodyWeight {
		t.Errorf("the next body weighs %d", w)
	}
}

// The requests of HTTP/2 that a connection has at once weigh each.
func TestStreamsAreBounded(t *testing.T) {
	c := newCrowd(t, Limits{Memory: 3*streamWeight + streamBody})
	all := []*guest{c.comes("192.0.2.1"), c.comes("192.0.2.2")}
	ends := []func(){all[0].Stream(false), all[0].Stream(true), all[1].Stream(false)}
	c.hasOnly(all, 0, 1)
	ends = append(ends, all[1].Stream(false))
	c.hasOnly(all, 1)
	for _, end := range ends {
		end()
	}
	if w := c.weight.Load(); w != 0 {
		t.Errorf("%d bytes are held after all", w)
	}
}

// The log has one line a minute, with all that was closed meanwhile.
func TestOneWarningAMinute(t *testing.T) {
	c := newCrowd(t, Limits{Total: 2, PerNetwork: 1})
	lines := func() int { return strings.Count(c.log.String(), "\n") }
	c.comes("192.0.2.1")
	c.Tell()
	if lines() != 0 {
		t.Errorf("it told of nothing:\n%s", &c.log)
	}
	c.comes("192.0.2.1") // it is told of this one
	for range 50 {
		c.comes("192.0.2.1")
	}
	if lines() != 1 || !strings.Contains(c.log.String(), "level=WARN") || !strings.Contains(c.log.String(), `over_total=0 over_address=1 over_memory=0 open=1 most_from=192.0.2.1 its_connections=1`) {
		t.Errorf("the log has\n%s", &c.log)
	}
	c.comes("192.0.2.2")
	c.comes("192.0.2.3") // over the total
	c.now = c.now.Add(time.Minute)
	c.Tell()
	c.Tell()
	if lines() != 2 || !strings.Contains(c.log.String(), "over_total=1 over_address=50 over_memory=0") {
		t.Errorf("the log has\n%s", &c.log)
	}
}

func TestOf(t *testing.T) {
	c := newCrowd(t, Limits{})
	g := c.comes("192.0.2.1")
	if Of(g.Conn) != g.Conn || Of(tls.Server(g.Conn, &tls.Config{})) != g.Conn || From(Context(t.Context(), tls.Server(g.Conn, &tls.Config{}))) != g.Conn {
		t.Error("it is not found")
	}
	other := Of(g.client)
	if other != nil || From(t.Context()) != nil || Context(t.Context(), g.client) != t.Context() {
		t.Error("there is something where nothing is")
	}
	other.Note(http.StateIdle)
	other.Hold()
	other.Stream(true)()
}
