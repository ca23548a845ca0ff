package db_test

import (
	"fmt"
	"testing"
	"time"

	"husk/db"
)

// Tokens are counted by what is left of their life: each stands in one span, and at
// the edge one that ends at the very end of a span is in it.
func TestTokenLives(t *testing.T) {
	f := newStore(t)
	const day = 24 * time.Hour
	for _, left := range []time.Duration{0, time.Second, day, day + time.Second, 7 * day, 8 * day, 31 * day, 90 * day, 91 * day, 365 * day, 366 * day, 9999 * day} {
		f.mint(local, db.NewToken{Expires: f.now().Add(left + time.Minute).Unix()})
	}
	f.mint(local, db.NewToken{Expires: db.Never})
	f.advance(time.Minute)
	for _, c := range []struct {
		most int64
		want string
	}{
		{10_000, "[1 2 2 1 2 2 2 1]"},
		{2, "[1 2 2 1 2 2 2 1]"},
		{1, "[1 1+ 1+ 1 1+ 1+ 1+ 1]"},
	} {
		lives, err := f.TokenLivesUpTo(f.ctx, c.most)
		must(t, err)
		var got []string
		for _, l := range lives {
			text := fmt.Sprint(l.Count)
			if l.OrMore {
				text += "+"
			}
			got = append(got, text)
		}
		if fmt.Sprint(got) != c.want || !lives[0].Ended || lives[2].Under != 7*day || !lives[7].Never {
			t.Errorf("counting %d at most: %v, want %s", c.most, got, c.want)
		}
	}
}

// Where counting stops at one span alone, that has the rest of all.
func TestTokenLivesOfOneSpan(t *testing.T) {
	f := newStore(t)
	for range 5 {
		f.mint(local, db.NewToken{Expires: db.Never})
	}
	f.mint(local, db.NewToken{Expires: f.now().Add(time.Hour).Unix()})
	lives, err := f.TokenLivesUpTo(f.ctx, 2)
	if err != nil || lives[7].Count != 5 || lives[7].OrMore || lives[1].Count != 1 {
		t.Errorf("%+v, %v", lives, err)
	}
	f.broken = true
	must(t, f.PutRaw(f.ctx, "count", []byte("token"), []byte("many")))
	lives, err = f.TokenLivesUpTo(f.ctx, 2)
	if err != nil || lives[7].Count != 2 || !lives[7].OrMore {
		t.Errorf("with a damaged counter: %+v, %v", lives, err)
	}
}
