package upkeep

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// While the server runs, all of the store is read again and again, so that
// damage is known before somebody needs what is damaged. It goes in small
// parts with long pauses: a part is some milliseconds of work and of a
// snapshot, so that a round takes at most a few per cent of a core.
const (
	scrubPause = 250 * time.Millisecond // between the parts of a round
	scrubRest  = 6 * time.Hour          // between rounds
)

// damage is what the last round has found, or this one so far.
type damage struct {
	mu     sync.Mutex
	places map[string]bool
	header atomic.Bool // the store was opened by the header before the last
}

// maxPlaces bounds what is remembered and logged of one round.
const maxPlaces = 100

// add answers whether the place is new.
func (d *damage) add(place string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.places[place] || len(d.places) == maxPlaces {
		return false
	}
	if d.places == nil {
		d.places = map[string]bool{}
	}
	d.places[place] = true
	return true
}

func (d *damage) found() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.places) > 0
}

// keep forgets what is not in the round that has ended.
func (d *damage) keep(round map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for place := range d.places {
		if !round[place] {
			delete(d.places, place)
		}
	}
}

// noteHeader tells once where the store may be that of the commit before.
func (u *Upkeep) noteHeader() {
	if u.Store.Stats().Engine.OldHeader {
		u.damage.header.Store(true)
		u.Log.Error(OldHeader)
	}
}

// scrub goes round once. Damage that a request meets begins the next round at
// once, which tells whether that is in the file.
func (u *Upkeep) scrub(ctx context.Context) {
	round := map[string]bool{}
	report := func(err error) {
		place := err.Error()
		if len(round) < maxPlaces {
			round[place] = true
		}
		if u.damage.add(place) {
			u.Log.Error("the store is damaged: run 'husk check', and restore a backup", "place", place)
		}
	}
	pause := time.NewTicker(scrubPause)
	defer pause.Stop()
	var place []byte
	for {
		var err error
		if place, err = u.Store.Scrub(ctx, place, report); err != nil {
			u.warn(ctx, "looking the store over for damage broke off: it begins anew in "+u.scrubRest.String(), err)
			return
		}
		if place == nil {
			u.damage.keep(round)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
