//go:build attack

package cmd

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The figures of an attack on the sign-in, which these tests hold to.
const (
	attackConnections = 100
	attackAddresses   = 4000
	ownerTries        = 100
	ownerPatience     = 2 * time.Second // of one with a device cookie
	browserPatience   = 10 * time.Second
	leastWithCookie   = ownerTries * 95 / 100
	leastWithout      = ownerTries / 2
)

const (
	ownerEmail    = "owner@example.com"
	ownerPassword = "seven crates of apricots"
)

// attackers are where an attack comes from, by number.
var attackers = map[string]func(i int) string{
	"a network of IPv6":     func(i int) string { return fmt.Sprintf("2001:db8:66:%x::1", i) },
	"many networks":         func(i int) string { return fmt.Sprintf("10.%d.%d.7", i>>8, i&255) },
	"many networks of IPv6": func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) },
}

// TestAttackOnTheSignIn: with the shipped defaults, the attacker beside on the
// same processors, the owner signs in while a hundred connections from 4,000
// addresses try wrong passwords: with a device cookie within 2 s in 95 of 100
// tries; without one, from an address that was never seen, in at least half,
// while other accounts are tried; and while the owner's own is, from where the
// owner signed in before.
//
//	go test -tags attack ./cmd -run AttackOnTheSignIn -v -timeout 30m
func TestAttackOnTheSignIn(t *testing.T) {
	for where, address := range attackers {
		for target, email := range map[string]func() string{
			"others":    func() string { return fmt.Sprintf("user%d@example.com", rand.IntN(1000)) },
			"the owner": func() string { return ownerEmail },
		} {
			t.Run(where+" on "+target, func(t *testing.T) {
				d := newDefender(t)
				device := d.tryOnce(home, "").device
				if device == "" {
					t.Fatal("the owner can't sign in before the attack")
				}
				defer d.attack(address, email)()
				with := d.tries(t, "with a device cookie", func(int) (string, string) { return elsewhere(0), device })
				if n := with.within(ownerPatience); n < leastWithCookie {
					t.Errorf("with a device cookie %d of %d came through within %v", n, ownerTries, ownerPatience)
				}
				from := func(i int) (string, string) { return elsewhere(i + 1), "" }
				if target == "the owner" {
					from = func(int) (string, string) { return home, "" }
				}
				without := d.tries(t, "without one", from)
				if n := without.within(browserPatience); n < leastWithout {
					t.Errorf("without one %d of %d came through", n, ownerTries)
				}
			})
		}
	}
}

const home = "198.51.100.7"

// elsewhere are addresses of networks that nobody else asks from.
func elsewhere(i int) string { return fmt.Sprintf("203.%d.113.9", i) }

// defender is a server with an owner, behind a proxy that the test is.
type defender struct {
	*server
	client *http.Client
}

func newDefender(t *testing.T) *defender {
	p := program{data: newData(t), stdin: ownerPassword + "\n"}
	p.ok(t, "user", "create", ownerEmail, "--role", "admin", "--password-stdin")
	s := p.serve(t, "--trusted-proxy", "127.0.0.1/32")
	return &defender{s, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// tried is what came of a try of the owner.
type tried struct {
	ok     bool
	status int
	took   time.Duration
	device string // the cookie that was set
}

func (d *defender) tryOnce(address, device string) (out tried) {
	ctx, cancel := context.WithTimeout(d.t.Context(), browserPatience)
	defer cancel()
	began := time.Now()
	response, err := d.ask(ctx, d.client, address, device, ownerEmail, ownerPassword)
	out.took = time.Since(began)
	if err != nil {
		return out
	}
	defer response.Body.Close()
	out.status, out.ok = response.StatusCode, response.StatusCode == http.StatusOK
	for _, c := range response.Cookies() {
		if strings.HasSuffix(c.Name, "husk_device") {
			out.device = c.Name + "=" + c.Value
		}
	}
	return out
}

func (d *defender) ask(ctx context.Context, client *http.Client, address, cookie, email, password string) (*http.Response, error) {
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
	r, err := http.NewRequestWithContext(ctx, "POST", d.url()+"/account/login", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", address)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return client.Do(r)
}

type allTried []tried

func (all allTried) within(patience time.Duration) (n int) {
	for _, one := range all {
		if one.ok && one.took <= patience {
			n++
		}
	}
	return n
}

func (d *defender) tries(t *testing.T, what string, from func(i int) (address, device string)) (all allTried) {
	statuses := map[int]int{}
	var took []time.Duration
	for i := range ownerTries {
		one := d.tryOnce(from(i))
		all = append(all, one)
		statuses[one.status]++
		took = append(took, one.took)
	}
	slices.Sort(took)
	t.Logf("%s: %d of %d within %v, %d within %v; answers %v; median %v, 95th %v, longest %v", what,
		all.within(ownerPatience), ownerTries, ownerPatience, all.within(browserPatience), browserPatience, statuses,
		took[len(took)/2].Round(time.Millisecond), took[len(took)*95/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	return all
}

// attack begins to try wrong passwords, as fast as they are answered; stop
// ends it.
func (d *defender) attack(address func(i int) string, email func() string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var answered [600]atomic.Int64
	for range attackConnections {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				response, err := d.ask(ctx, client, address(rand.IntN(attackAddresses)), "", email(), "wrong and long")
				if err != nil {
					continue
				}
				answered[response.StatusCode].Add(1)
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		})
	}
	began := time.Now()
	return func() {
		cancel()
		all.Wait()
		took := time.Since(began)
		for status := range answered {
			if n := answered[status].Load(); n > 0 {
				d.t.Logf("the attackers were answered %d %d times, %.0f a second", status, n, float64(n)/took.Seconds())
			}
		}
	}
}
