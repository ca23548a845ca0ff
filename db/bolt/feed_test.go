package bolt

import (
	"context"
	"errors"
	"testing"

	"husk/db"
)

// What a commit that failed had written may have been read before it was taken
// back, and when the file was lost nobody knows: so anything may have changed.
func TestFeedTellsOfWhatIsTakenBack(t *testing.T) {
	e := open(t, create(t))
	ctx, stop := context.WithCancel(t.Context())
	heard, ended := make(chan db.Changes), make(chan error)
	go func() { ended <- e.Feed(ctx, func(c db.Changes) { heard <- c }) }()
	if c := <-heard; !c.All {
		t.Errorf("the feed begins with %+v", c)
	}
	failure := errors.New("failure")
	e.commitHook = func(commit func() error) error { return errors.Join(commit(), failure) }
	if err := set(e, "k", "v"); !errors.Is(err, failure) {
		t.Errorf("update = %v", err)
	}
	e.commitHook = nil
	if c := <-heard; !c.All || len(c.Keys) != 0 {
		t.Errorf("of a commit that was taken back the feed tells %+v, want an All", c)
	}
	wantValue(t, e, "k", "")
	if err := set(e, "k", "v"); err != nil {
		t.Fatal(err)
	}
	if c := <-heard; c.All || len(c.Keys) != 1 || string(c.Keys[0].Key) != "k" {
		t.Errorf("of the commit after it the feed tells %+v", c)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the feed ends with %v", err)
	}
	if e.feed.heard.Load() {
		t.Error("nobody listens any more, and commits note what they change")
	}
}
