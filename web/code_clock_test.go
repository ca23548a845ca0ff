package web

import (
	"context"
	"errors"
	"fmt"
	"husk/db"
	"testing"
	"time"

	"husk/web/factor"
	"husk/web/password"
)

// codesOf notes codes, each as a user and how many steps the program is ahead.
func codesOf(c *codeClocks, at time.Time, codes ...codeTime) {
	for _, one := range codes {
		c.took(one.user, one.steps, at)
	}
}

func repeated(times int, steps int64, users ...string) (all []codeTime) {
	for i := range times {
		all = append(all, codeTime{user: users[i%len(users)], steps: steps})
	}
	return all
}

// mixed has some codes among others, evenly.
func mixed(rare, often []codeTime) (all []codeTime) {
	every := len(often) / max(1, len(rare))
	for i, one := range often {
		if i%every == 0 && i/every < len(rare) {
			all = append(all, rare[i/every])
		}
		all = append(all, one)
	}
	return all
}

func TestClockOneSide(t *testing.T) {
	three := []string{"ann", "bob", "eve"}
	for name, c := range map[string]struct {
		codes []codeTime
		want  string
	}{
		"nothing":                      {nil, ""},
		"too few":                      {repeated(codesLatest-1, 1, three...), ""},
		"all of the next step":         {repeated(codesLatest, 1, three...), clockBehind},
		"all far ahead":                {repeated(30, 10, three...), clockBehind},
		"all of the step before":       {repeated(30, -1, three...), clockAhead},
		"all of now":                   {repeated(50, 0, three...), ""},
		"two of three type slowly":     {mixed(repeated(15, 0, three...), repeated(30, -1, three...)), ""},
		"half of the next step":        {mixed(repeated(15, 1, three...), repeated(15, 0, three...)), ""},
		"most of the next step":        {mixed(repeated(9, 0, three...), repeated(36, 1, three...)), clockBehind},
		"one who signs in often":       {mixed(repeated(6, 0, "bob", "eve"), repeated(42, 1, "ann")), ""},
		"one alone":                    {repeated(codesLatest, 1, "ann"), clockBehind},
		"the clock was set since":      {append(repeated(40, 1, three...), repeated(10, 0, three...)...), ""},
		"the clock is wrong since now": {append(repeated(40, 0, three...), repeated(10, 1, three...)...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			clocks, now := &codeClocks{}, time.Unix(1_800_000_000, 0)
			codesOf(clocks, now, c.codes...)
			if side, codes, users := clocks.oneSide(now); side != c.want {
				t.Errorf("%q by %d codes of %d", side, codes, users)
			}
			if side, _, _ := clocks.oneSide(now.Add(codesLife + time.Second)); side != "" {
				t.Errorf("a week later: %q", side)
			}
		})
	}
}

func TestClocksOffAreBounded(t *testing.T) {
	c, now := &codeClocks{}, time.Unix(1_800_000_000, 0)
	for i := range 3 * maxClocksOff {
		c.wasOff(fmt.Sprint(i), 10, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(c.off) != maxClocksOff || len(c.codes) != codesKept {
		t.Errorf("%d users and %d codes are kept", len(c.off), len(c.codes))
	}
	if c.offOf("0", now) != 0 || c.offOf(fmt.Sprint(3*maxClocksOff-1), now) != 300 {
		t.Error("it is not the oldest that goes")
	}
	if c.offOf(fmt.Sprint(3*maxClocksOff-1), now.Add(25*time.Hour)) != 0 {
		t.Error("it is told after a day")
	}
}

func TestCodesAreCountedByResult(t *testing.T) {
	m := newMeasured(t, nil)
	digits, recovery := &factor.Code{TOTP: "123456"}, &factor.Code{Recovery: &factor.RecoveryCode{}}
	m.tally.countCode(digits, true, false, nil)
	m.tally.countCode(digits, true, true, nil)
	m.tally.countCode(digits, false, false, nil)
	m.tally.countCode(digits, false, false, nil)
	m.tally.countCode(recovery, true, false, nil)
	m.tally.countCode(recovery, false, false, password.ErrBusy)
	m.tally.countCode(recovery, false, false, errors.New("disk"))
	m.tally.countCode(recovery, false, false, context.Canceled)
	for of, want := range map[factorCount]float64{
		{"totp", factorOK}: 1, {"totp", factorUsed}: 1, {"totp", factorWrong}: 2, {"totp", factorError}: 0,
		{"recovery", factorOK}: 1, {"recovery", factorBusy}: 1, {"recovery", factorError}: 1, {"recovery", factorWrong}: 0, {"passkey", factorOK}: 0,
	} {
		if got := m.value(t, "husk_second_factor_total", "method", of.method, "result", of.result); got != want {
			t.Errorf("%v: %v, want %v", of, got, want)
		}
	}
}

func TestAskingForAFactorIsNoRefusal(t *testing.T) {
	if got := loginResult(false, errUnproved(&db.User{})); got != loginFactor {
		t.Errorf("it counts as %s", got)
	}
}
