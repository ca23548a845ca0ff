//go:build attack && linux

package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"husk/web/api"
)

// The attacks of one who is signed in, against a server with the settings that
// it comes with:
//
//	go test -tags attack ./cmd -run TestAttackInsider -v
const (
	attackTries    = 30_000
	attackCallers  = 16
	attackFileMost = 48 << 20  // bytes of the data file in the end
	attackRSSMost  = 256 << 20 // bytes of memory at any time
)

// insider is one ordinary user against a running server, and another who only
// wants to work.
type insider struct {
	*server
	t        *testing.T
	data     string
	ann, bob api.LoggedIn
	http     *http.Client
	admin    *api.Client
}

func newInsider(t *testing.T) *insider {
	p := program{data: newData(t), stdin: "four unrelated words here\n"}
	p.ok(t, "passwd", "--password-stdin")
	for _, name := range []string{"ann", "bob"} {
		p.ok(t, "user", "create", name+"@example.com", "--password-stdin")
	}
	token := p.ok(t, "token", "create", "--quiet")
	a := &insider{server: p.serve(t), t: t, data: p.data}
	a.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	a.admin = a.client(token)
	a.ann, a.bob = a.signIn("ann"), a.signIn("bob")
	return a
}

func (a *insider) signIn(name string) api.LoggedIn {
	a.t.Helper()
	in, err := a.client("").Login(a.t.Context(), api.Login{Email: name + "@example.com", Password: "four unrelated words here"})
	if err != nil {
		a.t.Fatal(err)
	}
	return in
}

func (a *insider) as(in api.LoggedIn) *api.Client {
	return &api.Client{Base: a.url(), JWT: in.AccessToken, HTTP: a.http}
}

// tally counts what came of an attack.
type tally struct{ done, quota, gone atomic.Int64 }

// flood calls f from many at once, n times in all. A refusal for a quota has to
// say how long to wait.
func (a *insider) flood(what string, n int, f func(ctx context.Context, i int) error) *tally {
	a.t.Helper()
	var count tally
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range attackCallers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				err := f(a.t.Context(), int(i))
				var e *api.Error
				switch {
				case err == nil:
					count.done.Add(1)
				case errors.As(err, &e) && e.Status == http.StatusTooManyRequests && e.RetryAfter > 0:
					count.quota.Add(1)
				case errors.As(err, &e) && e.Status == http.StatusNotFound:
					count.gone.Add(1)
				default:
					a.t.Errorf("%s: %v", what, err)
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	a.t.Logf("%s: %d tries in %.1f s: %d done, %d refused by a quota, %d of what was gone; file %.1f MB, memory %.0f MB",
		what, n, took.Seconds(), count.done.Load(), count.quota.Load(), count.gone.Load(), float64(a.file())/1e6, float64(a.memory("VmHWM"))/1e6)
	if most := 600 + int64(took.Minutes()*600) + 1; count.done.Load() > most {
		a.t.Errorf("%s: %d were done in %v, more than %d", what, count.done.Load(), took, most)
	}
	return &count
}

func (a *insider) file() int64 {
	info, err := os.Stat(filepath.Join(a.data, embedded.file))
	if err != nil {
		a.t.Fatal(err)
	}
	return info.Size()
}

func (a *insider) memory(line string) int64 { return memoryOf(a.t, a.cmd.Process.Pid, line) }

// beside works as bob until stop, and tells how long the slowest in a hundred
// took.
func (a *insider) beside() (stop func()) {
	ctx, cancel := context.WithCancel(a.t.Context())
	var working sync.WaitGroup
	var looks, changes []time.Duration
	bob := a.as(a.bob)
	working.Go(func() {
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			began := time.Now()
			_, err := bob.Profile(a.t.Context())
			looked := time.Now()
			var made api.TokenCreated
			if err == nil {
				made, err = bob.CreateToken(a.t.Context(), api.NewToken{})
			}
			changed := time.Now()
			if err == nil {
				_, err = bob.DeleteToken(a.t.Context(), made.ID)
			}
			if err != nil {
				a.t.Errorf("another user: %v", err)
				return
			}
			looks, changes = append(looks, looked.Sub(began)), append(changes, changed.Sub(looked))
		}
	})
	return func() {
		cancel()
		working.Wait()
		slices.Sort(looks)
		slices.Sort(changes)
		a.t.Logf("another user beside it: of %d, at 99 of 100 a check took %v, a change %v", len(looks), looks[len(looks)*99/100], changes[len(changes)*99/100])
		if p99 := changes[len(changes)*99/100]; p99 > 2*time.Second {
			a.t.Errorf("another user's change took %v", p99)
		}
	}
}

func TestAttackInsider(t *testing.T) {
	a := newInsider(t)
	began, fileBefore := time.Now(), a.file()
	ann := a.as(a.ann)
	stop := a.beside()

	var mu sync.Mutex
	var tokens []api.TokenCreated
	ends := began.AddDate(1, 0, 0).Unix()
	minted := a.flood("mint", attackTries, func(ctx context.Context, i int) error {
		k, err := ann.CreateToken(ctx, api.NewToken{Name: fmt.Sprint("token ", i), ExpireIn: ends})
		if err == nil {
			mu.Lock()
			tokens = append(tokens, k)
			mu.Unlock()
		}
		return err
	})
	if minted.quota.Load() == 0 {
		t.Error("nothing was refused")
	}
	with := func(i int) *api.Client { // each time another credential
		return &api.Client{Base: a.url(), Token: tokens[i%len(tokens)].AccessToken, HTTP: a.http}
	}
	id := func(i int) string { return tokens[len(tokens)/2+i%(len(tokens)/2)].ID }
	half := len(tokens) / 2
	a.flood("rotate, rename, update, by many credentials", attackTries, func(ctx context.Context, i int) (err error) {
		switch c := with(i % half); i % 3 {
		case 0:
			_, err = c.RotateToken(ctx, id(i), api.Rotate{})
		case 1:
			_, err = c.UpdateToken(ctx, id(i), api.TokenUpdate{Name: fmt.Sprint("name ", i)})
		default:
			_, err = c.CreateToken(ctx, api.NewToken{})
		}
		return err
	})
	a.flood("mint and delete", attackTries, func(ctx context.Context, i int) error {
		k, err := ann.CreateToken(ctx, api.NewToken{})
		if err == nil {
			_, err = ann.DeleteToken(ctx, k.ID)
		}
		return err
	})
	a.flood("delete what is not there", attackTries, func(ctx context.Context, i int) error {
		_, err := ann.DeleteToken(ctx, "00000000-0000-4000-8000-000000000000")
		return err
	})
	var newest atomic.Pointer[api.LoggedIn]
	newest.Store(&a.ann)
	a.flood("sign in", 200, func(ctx context.Context, i int) error {
		in, err := (&api.Client{Base: a.url(), HTTP: a.http}).Login(ctx, api.Login{Email: "ann@example.com", Password: "four unrelated words here"})
		if err == nil {
			newest.Store(&in)
		}
		var e *api.Error
		if errors.As(err, &e) && e.Status == http.StatusServiceUnavailable {
			return &api.Error{Status: http.StatusNotFound} // busy, which is no quota
		}
		return err
	})
	sessions, err := a.admin.SearchSessions(t.Context(), api.ListOptions{Filter: map[string]string{"user": "ann@example.com"}, Size: 1})
	if err != nil || sessions.Hits.Total.Value > 100 {
		t.Errorf("there are %d sessions, %v", sessions.Hits.Total.Value, err)
	}
	stop()
	// Nothing of it may grow by more than what one user may change.
	acts := a.entries()
	if most := int64(2*600+1200*time.Since(began).Minutes()+1)*3 + 1000; acts > most {
		t.Errorf("the audit log has %d entries, more than %d", acts, most)
	}
	t.Logf("file from %.1f to %.1f MB in %v, %d entries of the audit log", float64(fileBefore)/1e6, float64(a.file())/1e6, time.Since(began).Round(time.Second), acts)
	if n := a.file(); n > attackFileMost {
		t.Errorf("the file has %d bytes", n)
	}
	a.lists(a.as(*newest.Load()))
	if n := a.memory("VmHWM"); n > attackRSSMost {
		t.Errorf("the server had %d MB of memory", n>>20)
	}
}

func (a *insider) entries() int64 {
	head, err := a.admin.AuditHead(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	return int64(head.Seq)
}

// lists asks for all that there is, from six at once and by readers that take
// nothing, where every token is as large as one can be.
func (a *insider) lists(ann *api.Client) {
	ips := make([]string, 100)
	for i := range ips {
		ips[i] = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0xaa, 0xaa, 0xbb, 0xbb, 0xcc, 0xcc, 0xdd, 0xdd, 0xee, 0xee, 0xff, byte(i)}).String() + "/128"
	}
	big := api.NewToken{Name: strings.Repeat("<", 200), Description: strings.Repeat("<", 1000), AllowedIPs: ips,
		AllowedPaths: []string{"/" + strings.Repeat("<", 300)}, Owner: "ann@example.com"}
	for range 1000 {
		if _, err := a.admin.CreateToken(a.t.Context(), big); err != nil {
			a.t.Fatal(err)
		}
	}
	a.t.Logf("before the lists: memory %.0f MB, at most %.0f MB", float64(a.memory("VmRSS"))/1e6, float64(a.memory("VmHWM"))/1e6)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			for range 10 {
				path := []string{"/auth/access_token/_cat", "/auth/access_token/_search?size=1000"}[i%2]
				r, _ := http.NewRequestWithContext(a.t.Context(), "GET", a.url()+path, nil)
				r.Header.Set("Authorization", "Bearer "+ann.JWT)
				answer, err := a.http.Do(r)
				if err != nil {
					a.t.Error(err)
					return
				}
				n, err := io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if err != nil || answer.StatusCode != 200 && answer.StatusCode != 503 {
					a.t.Errorf("%s: %d, %d bytes, %v", path, answer.StatusCode, n, err)
				}
			}
		})
	}
	all.Wait()
	a.t.Logf("six at once: memory %.0f MB, at most %.0f MB", float64(a.memory("VmRSS"))/1e6, float64(a.memory("VmHWM"))/1e6)
	for range 64 {
		c := a.dial()
		fmt.Fprintf(c, "GET /auth/access_token/_search?size=1000 HTTP/1.1\r\nHost: husk\r\nAuthorization: Bearer %s\r\n\r\n", ann.JWT)
		c.(*net.TCPConn).SetReadBuffer(1)
	}
	began := time.Now()
	for range 200 {
		if _, err := a.as(a.bob).SearchTokens(a.t.Context(), api.ListOptions{Size: 1000}); err != nil {
			a.t.Errorf("another user's list beside readers that take nothing: %v", err)
		}
	}
	a.t.Logf("beside 64 readers that take nothing 200 lists of another user took %v: memory %.0f MB, at most %.0f MB", time.Since(began), float64(a.memory("VmRSS"))/1e6, float64(a.memory("VmHWM"))/1e6)
}
