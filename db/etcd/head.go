package etcd

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"

	"husk/db"
)

const (
	headKey   = "_head"
	redoKey   = "_redo"
	leaderKey = "_leader"

	// form is that of what is kept below the prefix.
	form = 1

	// remembered is how many of the last commits the head names. Whoever has no
	// answer to its own within patience finds it there unless so many others came
	// after it, and says then that it does not know.
	remembered = 32
)

// head is the value of _head.
type head struct {
	Form    int      `json:"form"`
	Number  int64    `json:"number"`  // of commits so far
	Commits []string `json:"commits"` // the names of the last ones, the newest first
}

// next is the head that a commit of that name makes.
func (h head) next(name string) head {
	commits := append([]string{name}, h.Commits...)
	return head{Form: form, Number: h.Number + 1, Commits: commits[:min(len(commits), remembered)]}
}

// fate tells what became of a commit of that name on an older head: whether it was
// made, and whether that can be told.
func (h head) fate(name string, on head) (made, known bool) {
	made = slices.Contains(h.Commits, name)
	return made, made || h.Number-on.Number <= int64(len(h.Commits))
}

func newName() string { return rand.Text()[:12] }

func (h head) encode() string {
	b, err := json.Marshal(h)
	if err != nil {
		panic(err) // it has no part that could not be
	}
	return string(b)
}

func decodeHead(b []byte) (h head, err error) {
	if err := json.Unmarshal(b, &h); err != nil || h.Form < 1 {
		return h, &db.Error{Kind: db.ErrDamaged, Code: "store_damaged", Cause: err,
			Reason: "the head of the store can't be read: what is below this prefix is no store of Husk, or is damaged"}
	}
	if h.Form > form {
		return h, &db.Error{Kind: db.ErrNewer, Code: "store_newer",
			Reason: fmt.Sprintf("the store has form %d, which a newer husk made; this one knows %d", h.Form, form)}
	}
	return h, nil
}
