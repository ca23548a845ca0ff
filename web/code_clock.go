package web

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"husk/db"
	"husk/web/api"
	"husk/web/factor"
	"husk/web/fold"
)

// Codes of programs tell what time it is there. Of one that is wrong here it is looked
// whether it is right some way off, for an administrator: who tries it learns nothing of
// that, and waits no longer for it. Of many it is seen whether the clock of this machine
// is the one that is off. All of it is in memory alone, and of this node.

// codeClocks is what codes told of clocks.
type codeClocks struct {
	mu    sync.Mutex
	off   map[string]codeTime // by user: of the last one that was far off, until one is taken
	codes []codeTime          // the last few of everybody, the newest last
}

type codeTime struct {
	user  string
	steps int64 // that the program is ahead
	at    time.Time
}

const (
	maxClocksOff  = 1000 // users of whom a code that was far off is remembered
	codesKept     = 50
	codesLatest   = 10 // without so many nothing is said, and these have to agree with the others
	codesLife     = 7 * 24 * time.Hour
	clockOffLife  = 24 * time.Hour
	severalUsers  = 3   // fewer may be wrong together
	behindShare   = 0.5 // a code of the next step never comes from a clock that goes with ours
	aheadShare    = 0.9 // one of the step before does, from whoever types slowly
	clockAhead    = "ahead"
	clockBehind   = "behind"
	codeOneSide   = "clock_one_side"
	stepOfSeconds = int64(factor.Period / time.Second)
)

// took notes a code that was good. Whatever was off is not any more.
func (c *codeClocks) took(user string, steps int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.off, user)
	c.note(codeTime{user, steps, now})
}

// wasOff notes a code that is right for another time.
func (c *codeClocks) wasOff(user string, steps int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off == nil {
		c.off = map[string]codeTime{}
	}
	if _, there := c.off[user]; !there && len(c.off) >= maxClocksOff {
		c.dropOldest()
	}
	one := codeTime{user, steps, now}
	c.off[user] = one
	c.note(one)
}

func (c *codeClocks) dropOldest() {
	var oldest codeTime
	for _, one := range c.off {
		if oldest.user == "" || one.at.Before(oldest.at) {
			oldest = one
		}
	}
	delete(c.off, oldest.user)
}

func (c *codeClocks) note(one codeTime) {
	if len(c.codes) == codesKept {
		c.codes = append(c.codes[:0], c.codes[1:]...)
	}
	c.codes = append(c.codes, one)
}

// forget is for who has another secret, or none.
func (c *codeClocks) forget(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.off, user)
}

// offOf is by how many seconds a user's program seems ahead; 0: nothing is known.
func (c *codeClocks) offOf(user string, now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	one, ok := c.off[user]
	if !ok || now.Sub(one.at) > clockOffLife {
		return 0
	}
	return one.steps * stepOfSeconds
}

// oneSide tells on which side of the programs' clocks this machine's seems to be, by
// how many codes of how many users; "": on none. Each user counts alike, however often
// they sign in: one phone that is off is no machine that is.
func (c *codeClocks) oneSide(now time.Time) (side string, codes, users int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.codes) > 0 && now.Sub(c.codes[0].at) > codesLife {
		c.codes = c.codes[1:]
	}
	if len(c.codes) < codesLatest {
		return "", 0, 0
	}
	latest := c.codes[len(c.codes)-codesLatest:]
	before, after, users := shares(c.codes)
	beforeLately, afterLately, _ := shares(latest)
	switch {
	case min(after, afterLately) > behindShare:
		return clockBehind, len(c.codes), users
	case min(before, beforeLately) >= aheadShare:
		return clockAhead, len(c.codes), users
	}
	return "", 0, 0
}

// shares are how much of the users' codes comes from before the present step, and from
// after it, from 0 to 1.
func shares(codes []codeTime) (before, after float64, users int) {
	type sum struct{ before, after, all float64 }
	of := map[string]sum{}
	for _, one := range codes {
		s := of[one.user]
		s.all++
		switch {
		case one.steps < 0:
			s.before++
		case one.steps > 0:
			s.after++
		}
		of[one.user] = s
	}
	for _, s := range of {
		before += s.before / s.all
		after += s.after / s.all
	}
	n := float64(len(of))
	return before / n, after / n, len(of)
}

// noteCode notes what a code of a program tells of its clock, whether it is good or
// wrong; one that was used before tells nothing.
func (s *Server) noteCode(u *db.User, secret []byte, digits string, step int64, ok bool, now time.Time) {
	if ok {
		s.clocks.took(u.ID, step-factor.Step(now), now)
		return
	}
	far, found := factor.FindTOTP(secret, digits, now)
	if !found {
		return
	}
	steps := far - factor.Step(now)
	s.clocks.wasOff(u.ID, steps, now)
	s.folds.Line(slog.LevelWarn, "a code is right for another time: the clock of the program that made it, or of this machine, seems off", "", fold.Source{Actor: u.ID},
		"user", u.ID, "program_ahead", (time.Duration(steps) * factor.Period).String())
}

// clockWarnings tells where the clock of this machine seems to be the one that is off.
func (s *Server) clockWarnings() []api.Warning {
	side, codes, users := s.clocks.oneSide(s.Store.Now())
	if side == "" {
		return nil
	}
	text := fmt.Sprintf("most codes of programs come from one side of the time here: the clock of this machine seems to be %s, by the last %d codes of %d users; compare it with one that is right, and have it set by NTP", side, codes, users)
	if users < severalUsers {
		text += " (they are few: it may be their programs' clocks, too)"
	}
	return []api.Warning{{Code: codeOneSide, Text: text, Values: map[string]string{"side": side, "codes": strconv.Itoa(codes), "users": strconv.Itoa(users)}}}
}
