package web

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// While the server runs, all of the store is read again and again, so that
// damage is known before somebody needs what is damaged. It goes in small
// parts with long pauses: a part is some milliseconds of work and of a
// snapshot, so that a round takes at most a few per cent of a core.
const (
	patrolPause = 250 * time.Millisecond // between the parts of a round
	patrolRest  = 6 * time.Hour          // between rounds
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

const headerText = "one of the two headers of the store was damaged when it was opened: the last change before that may be missing; compare with 'husk audit list'"

// noteHeader tells once where the store may be that of the commit before.
func (s *Server) noteHeader() {
	if s.Store.Stats().Engine.OldHeader {
		s.damage.header.Store(true)
		s.log.Error(headerText)
	}
}

// patrol goes round until ctx ends. Damage that a request met begins the next
// round at once: it tells whether that is in the file.
func (s *Server) patrol(ctx context.Context) {
	for {
		s.background(func() { s.patrolRound(ctx) })
		rest := time.NewTimer(s.patrolRest)
		select {
		case <-ctx.Done():
		case <-rest.C:
		case <-s.Store.DamageMet():
		}
		rest.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (s *Server) patrolRound(ctx context.Context) {
	round := map[string]bool{}
	report := func(err error) {
		place := err.Error()
		if len(round) < maxPlaces {
			round[place] = true
		}
		if s.damage.add(place) {
			s.log.Error("the store is damaged", "place", place)
		}
	}
	pause := time.NewTicker(patrolPause)
	defer pause.Stop()
	var place []byte
	for {
		var err error
		if place, err = s.Store.Scrub(ctx, place, report); err != nil {
			if ctx.Err() == nil {
				s.log.Warn("the store could not be looked over", "error", fmt.Sprint(err))
			}
			return
		}
		if place == nil {
			s.damage.keep(round)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
