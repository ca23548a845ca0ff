package cmd

import (
	"testing"

	"husk/db"
	"husk/web/story"
)

// Every action of the audit log has words for people.
func TestEveryActionHasWords(t *testing.T) {
	t.Parallel()
	for _, action := range db.Actions() {
		if !story.Knows(action) {
			t.Errorf("web/story has no words for %s: say in acts.go what it means", action)
		}
	}
	if story.Knows("moon.land") {
		t.Error("it knows what there is not")
	}
}
