package cmd

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// A line that is too long is one that is faulty, and told in our own words.
func TestHtpasswdLongLine(t *testing.T) {
	a := &app{stderr: io.Discard}
	_, _, err := a.readHtpasswd(strings.NewReader("# fine\nann:"+strings.Repeat("x", 64<<10)+"\n"), userImportOptions{})
	var f *failure
	if !errors.As(err, &f) || f.what != "line 2: it is over 64 KiB" || f.next != "nothing was changed" {
		t.Errorf("%+v", err)
	}
	_, _, err = a.readHtpasswd(io.MultiReader(strings.NewReader("# fine\n"), broken{}), userImportOptions{})
	if !errors.As(err, &f) || f.what != "the file can't be read: it broke" {
		t.Errorf("%+v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("it broke") }
