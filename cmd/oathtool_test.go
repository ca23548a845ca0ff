//go:build unix

package cmd

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"husk/db/dbtest"
	"husk/web/api"
)

// oathtool makes the code of a secret, at a clock that libfaketime has set aside.
func oathtool(t *testing.T, secret string, ahead time.Duration) string {
	t.Helper()
	tool, err := exec.LookPath("oathtool")
	if err != nil {
		prerequisite(t, "oathtool is missing: apt-get install oathtool")
	}
	args := []string{tool, "--totp", "--base32", "-"}
	if ahead != 0 {
		faketime, err := exec.LookPath("faketime")
		if err != nil {
			prerequisite(t, "faketime is missing: apt-get install faketime")
		}
		args = append([]string{faketime, "-f", fmt.Sprintf("%+ds", int(ahead.Seconds()))}, args...)
	}
	c := exec.Command(args[0], args[1:]...)
	c.Stdin = strings.NewReader(secret + "\n")
	out, err := c.CombinedOutput()
	code := strings.TrimSpace(string(out))
	if err != nil || len(code) != 6 {
		t.Fatalf("oathtool: %v: %s", err, out)
	}
	return code
}

// earlyInStep waits until so much of the present half minute is left that nothing of
// the next few requests is of the next one.
func earlyInStep(t *testing.T) {
	t.Helper()
	eventually(t, "a new half minute begins", func() bool { return time.Now().Unix()%30 < 15 })
}

// confirm puts the secret into use that was begun, and returns the recovery codes.
func (a *account) confirm(code string) []string {
	a.t.Helper()
	var made api.NewRecoveryCodes
	if status, refused := a.ask("PUT", "/account/totp", api.ConfirmTOTP{Code: code}, &made); status != http.StatusOK {
		a.t.Fatalf("PUT /account/totp: %d %s\n%s", status, refused, &a.log)
	}
	return made.Codes
}

// TestOathtool has another program make the codes for a secret that this one made, and
// shows a code again to a server that was killed since.
func TestOathtool(t *testing.T) {
	t.Parallel()
	dbtest.TakesVeryLong(t, "codes of oathtool, across a kill")
	p := program{data: newData(t)}
	ann := p.account(t, "ann@example.com")
	ann.server = p.serve(t)
	ann.begin()
	earlyInStep(t)
	recovery := ann.confirm(oathtool(t, ann.secret, -30*time.Second))
	if status, refused := ann.signIn(""); status != http.StatusForbidden || refused != "second_factor_required" {
		t.Errorf("without a code: %d %s", status, refused)
	}
	code := oathtool(t, ann.secret, 0)
	if status, refused := ann.signIn(code); status != http.StatusOK {
		t.Fatalf("oathtool's code: %d %s\n%s", status, refused, &ann.log)
	}
	if status, refused := ann.signIn(code); status != http.StatusForbidden || refused != "login_failed" {
		t.Errorf("the same code again: %d %s", status, refused)
	}
	ann.kill()
	ann.server = p.serve(t)
	if status, refused := ann.signIn(code); status != http.StatusForbidden || refused != "login_failed" {
		t.Errorf("the same code after a kill: %d %s", status, refused)
	}
	if status, refused := ann.signIn(oathtool(t, ann.secret, 30*time.Second)); status != http.StatusOK {
		t.Errorf("a newer code after a kill: %d %s", status, refused)
	}
	if status, refused := ann.signIn(recovery[3]); status != http.StatusOK {
		t.Errorf("a recovery code: %d %s", status, refused)
	}
	ann.kill()
	ann.server = p.serve(t)
	if status, refused := ann.signIn(recovery[3]); status != http.StatusForbidden || refused != "login_failed" {
		t.Errorf("the same recovery code after a kill: %d %s", status, refused)
	}
	if log := ann.log.String(); strings.Contains(log, ann.secret) || strings.Contains(log, recovery[3]) {
		t.Error("the log has a secret")
	}
	ann.stop(syscall.SIGTERM)
}

// TestClocksSetAside has oathtool live at other times than the server: a step to either
// side is taken, two are not, and an administrator is told where it comes from.
func TestClocksSetAside(t *testing.T) {
	t.Parallel()
	dbtest.TakesVeryLong(t, "clocks that libfaketime sets aside")
	p := program{data: newData(t)}
	people := []*account{p.account(t, "ann@example.com"), p.account(t, "bob@example.com"), p.account(t, "eve@example.com")}
	s := p.serve(t, "--login-attempts", "50", "--login-address-attempts", "500")
	for _, a := range people {
		a.server = s
		a.begin()
		earlyInStep(t)
		a.confirm(oathtool(t, a.secret, -30*time.Second))
	}
	ann := people[0]
	earlyInStep(t)
	for _, c := range []struct {
		ahead time.Duration
		taken bool
	}{{-time.Minute, false}, {time.Minute, false}, {30 * time.Second, true}} {
		status, refused := ann.signIn(oathtool(t, ann.secret, c.ahead))
		if taken := status == http.StatusOK; taken != c.taken || !taken && refused != "login_failed" {
			t.Errorf("a code of %s ahead: %d %s", c.ahead, status, refused)
		}
	}
	if shown := p.ok(t, "user", "show", ann.email); strings.Contains(shown, "clock of codes") {
		t.Errorf("a code was taken since:\n%s", shown)
	}
	for range 6 {
		for _, a := range people {
			earlyInStep(t)
			if status, refused := a.signIn(oathtool(t, a.secret, 5*time.Minute)); status != http.StatusForbidden || refused != "login_failed" {
				t.Fatalf("a code of five minutes ahead: %d %s", status, refused)
			}
		}
	}
	if shown := p.ok(t, "user", "show", ann.email); !strings.Contains(shown, "5m0s ahead of this server") {
		t.Errorf("user show says\n%s", shown)
	}
	r := p.want(t, exitInvalid, "health", "--verbose", "--json")
	if !strings.Contains(r.stdout, `"clock_one_side"`) || !strings.Contains(r.stdout, `"side": "behind"`) && !strings.Contains(r.stdout, `"side":"behind"`) {
		t.Errorf("health says %v", r)
	}
	s.says("a code is right for another time")
	s.stop(syscall.SIGTERM)
}
