//go:build unix

package cmd

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sluice is a writer that waits until it is opened.
type sluice struct {
	open chan struct{}
	mu   sync.Mutex
	err  error
	cut  int // bytes that are written in spite of err
	text bytes.Buffer
}

func (g *sluice) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		n, _ := g.text.Write(p[:min(g.cut, len(p))])
		return n, g.err
	}
	return g.text.Write(p)
}

func (g *sluice) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

func (g *sluice) fail(err error, cut int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err, g.cut = err, cut
}

func newGated() (*steady, *sluice) {
	g := &sluice{open: make(chan struct{})}
	s := newSteady(g)
	s.tell = func(lost int) []byte { return fmt.Appendf(nil, "lost %d\n", lost) }
	return s, g
}

// A reader that is stopped holds nobody and costs little memory; once it goes on
// it gets what there was room for, in order, and the number of what is lost.
func TestStoppedLogReader(t *testing.T) {
	t.Parallel()
	s, g := newGated()
	s.patience, s.room = time.Millisecond, 1000
	began := time.Now()
	for i := range 10_000 {
		if n, err := fmt.Fprintf(s, "line %04d\n", i); n != 10 || err != nil {
			t.Fatal(n, err)
		}
	}
	if took := time.Since(began); took > patience/3 {
		t.Errorf("the callers were held for %v", took)
	}
	if s.size > s.room || s.drain(time.Millisecond) == nil {
		t.Errorf("%d bytes wait", s.size)
	}
	close(g.open)
	if err := s.drain(patience); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(s, "after\n")
	var want strings.Builder
	fmt.Fprint(&want, "line 0000\nlost 9900\n")
	for i := range 99 {
		fmt.Fprintf(&want, "line %04d\n", i+1)
	}
	if got := g.String(); got != want.String()+"after\n" {
		t.Errorf("the reader has %q", got)
	}
}

// Each line is written when its caller goes on, where the reader takes it.
func TestLogIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	s, g := newGated()
	s.patience = patience
	close(g.open)
	for i := range 100 {
		fmt.Fprintf(s, "%d\n", i)
		if want := fmt.Sprintf("%d\n", i); !strings.HasSuffix(g.String(), want) {
			t.Fatalf("after %q there is %q", want, g.String())
		}
	}
}

// With room again a line is whole, and what was lost is told.
func TestLogWithoutRoom(t *testing.T) {
	t.Parallel()
	s, g := newGated()
	s.patience = patience
	close(g.open)
	g.fail(syscall.ENOSPC, 3)
	fmt.Fprint(s, "first\n")
	g.fail(syscall.ENOSPC, 0)
	fmt.Fprint(s, "second\n")
	g.fail(nil, 0)
	fmt.Fprint(s, "third\n")
	if err := s.drain(patience); err != nil {
		t.Fatal(err)
	}
	if got := g.String(); got != "fir\nthird\nlost 2\n" {
		t.Errorf("the log is %q", got)
	}
}

// slowly is a writer whose reader takes its time.
type slowly struct{ sluice }

func (w *slowly) Write(p []byte) (int, error) {
	time.Sleep(4 * steadyPatience)
	return w.sluice.Write(p)
}

// What ends a server is told, also where that takes longer than a line may hold it.
func TestLastWordIsWritten(t *testing.T) {
	t.Parallel()
	out := &slowly{sluice{open: make(chan struct{})}}
	close(out.open)
	config := writeFile(t, t.TempDir(), "husk.yaml", goodRule+"    - require: any\n      path: /x\n")
	a := &app{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: out, getenv: lookIn([]string{"HUSK_CONFIG=" + config, "HUSK_DATA=" + t.TempDir()})}
	code := a.run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0"})
	if got := out.String(); code != exitUsage || !strings.Contains(got, "a rule needs a host") {
		t.Errorf("it ended with %d, and %q is written", code, got)
	}
}
