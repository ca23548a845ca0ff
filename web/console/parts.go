package console

// What the templates of parts.html show, besides forms.

// Empty is a place where nothing is. It says what the next step is.
type Empty struct {
	Text Text
	Act  Text   // of the button; unused without a Link
	Link string // may be empty
	Gone string // leads to what was there; may be empty
}

// State is a word for how something is.
type State struct {
	Kind string // good, warn, bad or plain: its colour
	Text Text
}

// Secret is what is shown once.
type Secret struct {
	Label Text
	Value string
}

// Pager leads through a list.
type Pager struct {
	First string // URL; "" on the first page
	Next  string // URL; "" on the last
}

// pageSize is how many things a list shows at once.
const pageSize = 25

// pager leads from a page of a list, whose cursor to the next one is after, on. The
// filters in its address stay.
func (v *Visit) pager(after string) (p Pager) {
	q := v.r.URL.Query()
	shown := q.Has("after")
	if after != "" {
		q.Set("after", after)
		p.Next = v.r.URL.EscapedPath() + "?" + q.Encode()
	}
	if shown {
		q.Del("after")
		p.First = v.r.URL.EscapedPath()
		if len(q) > 0 {
			p.First += "?" + q.Encode()
		}
	}
	return p
}

// Tab leads to a part of a room that stands beside others.
type Tab struct {
	Path  string
	Title Text
	Here  bool
}

// Terminal is what does the same at a terminal, for who runs the server.
type Terminal struct {
	ID      string // of the element, one of a kind on its page
	Command string // its lines
}
