package folder

import (
	"os"
	"testing"
)

// A file that is being written has no name where the system can do without: a
// process that is killed leaves nothing. Linux can, in memory for one.
func TestNewFileHasNoName(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "husk-test-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	f, err := Create(dir, ".new-")
	must(t, err)
	defer f.Discard()
	if f.temp != "" {
		t.Errorf("it is called %s", f.temp)
	}
	wantNames(t, dir)
}
