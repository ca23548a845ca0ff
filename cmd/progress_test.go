package cmd

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		name        string
		done, total int64
		text        func(int64) string
		want        string
	}{
		{"nothing yet", 0, 0, byteText, "copying …, 3 s"},
		{"nothing of much", 0, 5000, byteText, "copying …, 3 s"},
		{"some of much", 1500, 5000, byteText, "copying: 1.5 kB of 5.0 kB, 30 %, 3 s"},
		{"more than was thought", 6000, 5000, byteText, "copying: 5.0 kB of 5.0 kB, 100 %, 3 s"},
		{"some of who knows", 42, 0, countText, "copying: 42, 3 s"},
		{"so much that a product would overflow", 1 << 61, 1 << 62, countText, "copying: 2305843009213693952 of 4611686018427387904, 50 %, 3 s"},
	} {
		p := newProgress(io.Discard, "copying", c.total, c.text)
		p.set(c.done, 0)
		if got := p.line(3*time.Second + time.Millisecond); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestByteText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 24576: "24.6 kB", 80_100_000: "80.1 MB", 3_000_000_000: "3.0 GB", 5e15: "5000.0 TB"} {
		if got := byteText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

// The line is erased in the end, and not where none was drawn.
func TestProgressIsErased(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "copying", 0, byteText)
	p.end()
	p.end()
	if out.Len() > 0 {
		t.Errorf("nothing was drawn, and it wrote %q", &out)
	}

	p = newProgress(&out, "copying", 2000, byteText)
	tick := make(chan time.Time)
	p.drawing.Go(func() { p.drawAt(tick) })
	n, err := p.writer(io.Discard).Write(make([]byte, 1000))
	if n != 1000 || err != nil {
		t.Fatal(n, err)
	}
	tick <- p.began.Add(time.Second)
	tick <- p.began.Add(2 * time.Second)
	p.end()
	want := eraseLine + "copying: 1.0 kB of 2.0 kB, 50 %, 1 s" + eraseLine + "copying: 1.0 kB of 2.0 kB, 50 %, 2 s" + eraseLine
	if out.String() != want {
		t.Errorf("wrote %q, want %q", &out, want)
	}
}

// Off a terminal there is nothing to draw on.
func TestNoProgressOffATerminal(t *testing.T) {
	var stderr strings.Builder
	a := &app{stderr: &stderr}
	p := a.progress("copying", 10, byteText)
	p.add(5)
	p.set(6, 10)
	_, _ = io.WriteString(p.writer(io.Discard), "x")
	p.end()
	if p != nil || stderr.Len() > 0 {
		t.Errorf("%v, and it wrote %q", p, &stderr)
	}
}
