package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"husk/db"
	"husk/db/bolt/bolttest"
	"husk/web/logtest"
)

// scrubbed is an Upkeep over a file that a test can damage.
type scrubbed struct {
	*Upkeep
	t      *testing.T
	engine db.Engine
	log    *logtest.Buffer
}

func newScrubbed(t *testing.T, damage ...func(path string)) *scrubbed {
	t.Helper()
	store := bolttest.Store(t, bolttest.Options{Damaged: func(path string) {
		for _, do := range damage {
			do(path)
		}
	}})
	p := &scrubbed{t: t, engine: store.Engine(), log: &logtest.Buffer{}}
	p.Upkeep = New(Config{Store: store, Log: slog.New(slog.NewTextHandler(p.log, nil))})
	return p
}

// begin runs it until the test ends.
func (p *scrubbed) begin() {
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	p.t.Cleanup(func() { cancel(); <-ended })
}

// flip changes a byte of a record in the file and returns how it was.
func (p *scrubbed) flip(bucket, key string) (whole []byte) {
	p.t.Helper()
	return bolttest.Flip(p.t, p.engine, bucket, key)
}

func (p *scrubbed) put(bucket, key string, sealed []byte) {
	p.t.Helper()
	if err := p.engine.Update(p.t.Context(), func(tx db.Tx) error { return tx.Put(bucket, []byte(key), sealed) }); err != nil {
		p.t.Fatal(err)
	}
}

// sound tells that no damage is known of, in all that is told of it.
func (p *scrubbed) sound() bool {
	p.t.Helper()
	warnings := p.StoreWarnings(nil)
	if told := len(warnings) == 1 && warnings[0].Code == eventDamaged; told != p.Damaged() || len(warnings) > 1 {
		p.t.Errorf("damaged is %t, and the warnings are %v", p.Damaged(), warnings)
	}
	return len(warnings) == 0
}

// Damage that nobody has asked for is found soon after the start, and the log
// names the place, once.
func TestScrubFindsWhatNobodyReads(t *testing.T) {
	for _, place := range [][2]string{{"audit", "\x00\x00\x00\x00\x00\x00\x00\x01"}, {"role", "user"}, {"count", "role"}} {
		t.Run(place[0], func(t *testing.T) {
			p := newScrubbed(t)
			if !p.sound() {
				t.Fatal("a sound store is not sound")
			}
			p.flip(place[0], place[1])
			p.begin()
			until(t, func() bool { return !p.sound() })
			p.scrub(t.Context())
			if n := p.log.Count("place="); n != 1 || !strings.Contains(p.log.String(), place[0]) {
				t.Errorf("the log tells %d times:\n%s", n, p.log)
			}
			if n := p.Store.Stats().Damaged; n < 2 {
				t.Errorf("%d damages are counted", n)
			}
		})
	}
}

// A sound store stays sound.
func TestScrubOfASoundStore(t *testing.T) {
	p := newScrubbed(t)
	p.scrub(t.Context())
	if !p.sound() || p.Store.Stats().Damaged != 0 || p.log.String() != "" {
		t.Errorf("a sound store:\n%s", p.log)
	}
}

// Damage that a request meets is looked for at once, and what is whole again
// is forgotten.
func TestDamageMetBeginsAScrub(t *testing.T) {
	p := newScrubbed(t)
	p.begin()
	until(t, func() bool { return p.sound() })
	whole := p.flip("user", db.SingleUser)
	if _, err := p.Store.User(t.Context(), db.SingleUser); !errors.Is(err, db.ErrDamaged) {
		t.Fatalf("a damaged user: %v", err)
	}
	until(t, func() bool { return !p.sound() })
	p.put("user", db.SingleUser, whole)
	whole = p.flip("role", "user")
	until(t, func() bool {
		_, _ = p.Store.Roles(t.Context())
		return !p.sound() && strings.Contains(p.log.String(), "role")
	})
	p.put("role", "user", whole)
	p.scrub(t.Context())
	until(t, p.sound)
}
