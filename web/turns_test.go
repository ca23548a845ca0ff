package web_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"husk/db"
)

// A large answer of every list waits for its turn, which is that of the one who
// asks; small ones and those of others do not.
func TestLargeAnswersHaveTheirTurn(t *testing.T) {
	s := newServer(t)
	admin, other := s.single(), s.newUser("other@example.com", db.RoleAdmin)
	var ends []func()
	for range 2 {
		end, err := s.TakeTurn(t.Context(), admin.id)
		must(t, err)
		ends = append(ends, end)
	}
	large := []string{"/auth/access_token/_cat", "/security/permission", "/security/rule"}
	for _, path := range lists {
		large = append(large, path+"?size=101")
		s.do("GET", path+"?size=100", "", admin.session()).want(200)
	}
	for _, path := range large {
		s.do("GET", path, "", other.session()).want(200)
		answered := make(chan int, 1)
		go func() {
			answered <- s.do("GET", path, "", admin.session()).status
		}()
		for holders := 0; holders != 3; {
			select {
			case status := <-answered:
				t.Fatalf("%s did not wait: %d", path, status)
			default:
				holders, _ = s.Turns(admin.id)
			}
		}
		ends[0]()
		if status := <-answered; status != 200 {
			t.Errorf("%s: %d when its turn had come", path, status)
		}
		end, err := s.TakeTurn(t.Context(), admin.id)
		must(t, err)
		ends[0] = end
	}
	ends[0]()
	ends[1]()
	if holders, users := s.Turns(admin.id); holders != 0 || users != 0 {
		t.Errorf("%d have a turn, %d users are known, and nobody asks", holders, users)
	}
}

// Who waits does not wait for ever, and is forgotten.
func TestTurnGivenUp(t *testing.T) {
	s := newServer(t)
	for range 2 {
		end, err := s.TakeTurn(t.Context(), "ann")
		must(t, err)
		defer end()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.TakeTurn(ctx, "ann"); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third turn: %v", err)
	}
	if holders, _ := s.Turns("ann"); holders != 2 {
		t.Errorf("%d have a turn or wait", holders)
	}
}
