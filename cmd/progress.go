package cmd

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

const (
	progressEvery = 200 * time.Millisecond // how often the line is drawn anew
	eraseLine     = "\r\x1b[K"             // CSI EL, ECMA-48 8.3.41
)

// progress is a line on the terminal that tells how far long work has come:
//
//	copying: 12.4 of 80.1 MB, 15 %, 3 s
//
// It is drawn by a goroutine, so that time is seen to pass also while the work
// says nothing, and erased by end, which has to be called before anything else
// is written. Who has no terminal, or asked for --quiet or --json, sees none of
// it: a nil *progress takes the same calls. Work that ends within the first
// fifth of a second shows nothing.
type progress struct {
	out   io.Writer
	what  string             // a few words in lower case: "copying"
	text  func(int64) string // a number as people read it: byteText or countText
	began time.Time

	done, total atomic.Int64 // total 0: it is not known
	measure     atomic.Pointer[func() int64]
	drawn       atomic.Bool // something is on the line
	stop        chan struct{}
	drawing     sync.WaitGroup
}

// progress begins to show how far work is; the caller ends it by end. what is
// a word or two, total is in the unit that text makes words of, 0 where it is
// not known (yet).
func (a *app) progress(what string, total int64, text func(int64) string) *progress {
	f, ok := a.stderr.(*os.File)
	if !ok || a.settings.Quiet || a.settings.JSON || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	p := newProgress(f, what, total, text)
	tick := time.NewTicker(progressEvery)
	p.drawing.Go(func() {
		defer tick.Stop()
		_ = a.guard(func() error { p.drawAt(tick.C); return nil }) // the work goes on
	})
	a.shown = p
	return p
}

func newProgress(out io.Writer, what string, total int64, text func(int64) string) *progress {
	p := &progress{out: out, what: what, text: text, began: time.Now(), stop: make(chan struct{})}
	p.total.Store(total)
	return p
}

// drawAt draws at each tick until end.
func (p *progress) drawAt(tick <-chan time.Time) {
	for {
		select {
		case <-p.stop:
			return
		case now := <-tick:
			if measure := p.measure.Load(); measure != nil {
				p.done.Store((*measure)())
			}
			p.drawn.Store(true)
			fmt.Fprint(p.out, eraseLine, p.line(now.Sub(p.began)))
		}
	}
}

func (p *progress) line(since time.Duration) string {
	done, total := p.done.Load(), p.total.Load()
	line := p.what
	switch {
	case total > 0 && done > 0:
		done = min(done, total)
		line += fmt.Sprintf(": %s of %s, %d %%", p.text(done), p.text(total), int(float64(done)/float64(total)*100))
	case done > 0:
		line += ": " + p.text(done)
	default:
		line += " …"
	}
	return line + ", " + strconv.Itoa(int(since/time.Second)) + " s"
}

// add counts work that is done. It may be called by any goroutine.
func (p *progress) add(n int64) {
	if p != nil {
		p.done.Add(n)
	}
}

// set tells how far the work is and how much there is of it; a total of 0
// leaves what is known of that.
func (p *progress) set(done, total int64) {
	if p == nil {
		return
	}
	p.done.Store(done)
	if total > 0 {
		p.total.Store(total)
	}
}

// watch has done asked for whenever the line is drawn, for work that does not
// tell by itself.
func (p *progress) watch(done func() int64) {
	if p != nil {
		p.measure.Store(&done)
	}
}

// writer returns a writer that counts the bytes that went to w.
func (p *progress) writer(w io.Writer) io.Writer {
	if p == nil {
		return w
	}
	return &countedWriter{w, p}
}

// reader returns a reader that counts the bytes that came from r.
func (p *progress) reader(r io.Reader) io.Reader {
	if p == nil {
		return r
	}
	return io.TeeReader(r, &countedWriter{io.Discard, p})
}

type countedWriter struct {
	io.Writer
	p *progress
}

func (c *countedWriter) Write(b []byte) (n int, err error) {
	n, err = c.Writer.Write(b)
	c.p.add(int64(n))
	return n, err
}

// Size implements api.Sizer.
func (c *countedWriter) Size(bytes int64) { c.p.set(0, bytes) }

// end erases the line. It may be called again.
func (p *progress) end() {
	if p == nil {
		return
	}
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.drawing.Wait()
	p.clear()
}

// clear erases the line for something else that is said, until it is drawn
// again.
func (p *progress) clear() {
	if p != nil && p.drawn.Swap(false) {
		fmt.Fprint(p.out, eraseLine)
	}
}

// byteText is a number of bytes as people read it, in units of SI.
func byteText(n int64) string {
	const units = "kMGT"
	value, unit := float64(n)/1000, 0
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + units[unit:unit+1] + "B"
}

// countText is a number of things.
func countText(n int64) string { return strconv.FormatInt(n, 10) }
