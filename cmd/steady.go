package cmd

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"husk/web/listen"
)

// What a server has to say must not end or hold it. Its reader may have left (a
// pipe to head), may be stopped (a pager, a full disk behind a log collector), or
// may be slower than those who make it say something. Then lines are lost, and
// once they can be told again, so is how many there were.

const (
	// steadyPatience is how long who says something waits for it to be written:
	// as a rule it is, so that a crash loses no line that came before it.
	steadyPatience = 100 * time.Millisecond
	// drainPatience is how long one who ends waits for what is not written yet.
	drainPatience = time.Second
	// maxUnwritten bounds what waits for a reader that is stopped, in bytes.
	maxUnwritten = 1 << 20
)

// steady is a writer that never fails and never holds its callers for long.
type steady struct {
	out      io.Writer
	patience time.Duration
	room     int                   // bytes that may wait
	tell     func(lost int) []byte // the line about lines that were lost; nil: none

	mu      sync.Mutex
	waiting []*saying
	size    int  // of what waits, the one that is being written included
	lost    int  // lines, since the last that was told
	torn    bool // the last write ended within a line
	working bool // somebody writes
	stalled bool // and has not come on for patience
}

// saying is one Write on its way.
type saying struct {
	text    []byte
	written chan struct{} // closed when it is written, or lost
}

func newSteady(out io.Writer) *steady {
	return &steady{out: out, patience: steadyPatience, room: maxUnwritten}
}

// Write takes a line, or more. Its error is always nil.
func (s *steady) Write(p []byte) (int, error) {
	w, wait := s.add(p)
	if !wait {
		return len(p), nil
	}
	late := time.NewTimer(s.patience)
	defer late.Stop()
	select {
	case <-w.written:
	case <-late.C:
		s.mu.Lock()
		s.stalled = s.working
		s.mu.Unlock()
	}
	return len(p), nil
}

func (s *steady) add(p []byte) (w *saying, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size+len(p) > s.room {
		s.lost++
		return nil, false
	}
	w = &saying{bytes.Clone(p), make(chan struct{})}
	s.waiting, s.size = append(s.waiting, w), s.size+len(p)
	if !s.working {
		s.working = true
		go listen.Guard(slog.New(slog.DiscardHandler), s.work)
	}
	return w, !s.stalled
}

// work writes until nothing waits.
func (s *steady) work() {
	for w := s.next(); w != nil; w = s.next() {
		n, err := s.out.Write(w.text)
		s.wrote(w, n, err)
	}
}

// next returns what is to be written next: of lines that were lost first. It is
// nil where nothing waits, and nobody is at work then.
func (s *steady) next() (w *saying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.working, s.stalled, s.waiting = false, false, nil
		return nil
	}
	w, s.waiting = s.waiting[0], s.waiting[1:]
	if s.torn { // it begins on a line of its own
		w.text = append([]byte("\n"), w.text...)
		s.size++
	}
	return w
}

func (s *steady) wrote(w *saying, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size -= len(w.text)
	s.stalled = false
	close(w.written)
	if err != nil {
		s.lost++
		s.torn = s.torn || n > 0
		return
	}
	s.torn = false
	s.tellLost()
}

// tellLost puts the line about lost ones before all that waits. s.mu is held.
func (s *steady) tellLost() {
	if s.lost == 0 || s.tell == nil {
		return
	}
	text := s.tell(s.lost)
	s.lost = 0
	s.waiting, s.size = append([]*saying{{text, make(chan struct{})}}, s.waiting...), s.size+len(text)
}

// drain waits for what waits to be written, for so long at most.
func (s *steady) drain(patience time.Duration) error {
	last := &saying{nil, make(chan struct{})}
	s.mu.Lock()
	idle := !s.working
	if !idle {
		s.waiting = append(s.waiting, last)
	}
	s.mu.Unlock()
	if idle {
		return nil
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-last.written:
		return nil
	case <-late.C:
		return errors.New("the log was not written to its end")
	}
}
