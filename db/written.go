package db

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// Records are JSON, and encoding/json, which knows them by reflection only, is
// half of what a read costs. So those that are read often say how they are
// written, and are read so: the members in their order, no space, no escape.
// All else goes to encoding/json, which decides alone what is JSON. A test
// holds both to the same result (FuzzWritten).

// asWritten is implemented by records that read themselves. readWritten names
// all members that Marshal writes, in its order; one whose form is rare may be
// left out, and then no record that has it is read so.
type asWritten interface{ readWritten(*written) }

// unmarshal is json.Unmarshal into a zero value that v points to.
func unmarshal(value []byte, v any) error {
	if r, ok := v.(asWritten); ok {
		if readsWritten(value, r) {
			return nil
		}
		reflect.ValueOf(v).Elem().SetZero()
	}
	return json.Unmarshal(value, v)
}

// readsWritten reads value into v and tells whether it could. Where it could
// not, v is half read.
func readsWritten(value []byte, v asWritten) bool {
	if len(value) == 0 || value[0] != '{' {
		return false
	}
	w := written{rest: value[1:], first: true}
	v.readWritten(&w)
	return !w.other && string(w.rest) == "}"
}

// written reads one object from its first member on.
type written struct {
	rest  []byte
	first bool // no member was met yet
	other bool // it has another form than Marshal's
}

// member steps over the name of the next member, where it is that.
func (w *written) member(name string) bool {
	rest := w.rest
	if !w.first {
		if len(rest) == 0 || rest[0] != ',' {
			return false
		}
		rest = rest[1:]
	}
	n := len(name)
	if w.other || len(rest) < n+3 || rest[0] != '"' || string(rest[1:n+1]) != name || rest[n+1] != '"' || rest[n+2] != ':' {
		return false
	}
	w.rest, w.first = rest[n+3:], false
	return true
}

// quoted takes a string off the rest, without its quotes.
func (w *written) quoted() []byte {
	if len(w.rest) == 0 || w.rest[0] != '"' {
		w.other = true
		return nil
	}
	ascii := true
	for i, c := range w.rest[1:] {
		switch {
		case c == '"':
			s := w.rest[1 : i+1]
			w.rest = w.rest[i+2:]
			w.other = w.other || (!ascii && !utf8.Valid(s))
			return s
		case c == '\\' || c < ' ':
			w.other = true
			return nil
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	w.other = true
	return nil
}

func (w *written) text(name string, v *string) {
	if w.member(name) {
		*v = string(w.quoted())
	}
}

func (w *written) texts(name string, v *[]string) {
	if !w.member(name) {
		return
	}
	w.need("[")
	*v = []string{}
	if w.skip("]") {
		return
	}
	for more := true; more; more = w.skip(",") {
		*v = append(*v, string(w.quoted()))
	}
	w.need("]")
}

// skip steps over text, where that comes next.
func (w *written) skip(text string) bool {
	rest, ok := bytes.CutPrefix(w.rest, []byte(text))
	w.rest = rest
	return ok
}

func (w *written) need(text string) { w.other = !w.skip(text) || w.other }

// bytes reads base64.
func (w *written) bytes(name string, v *[]byte) {
	if !w.member(name) {
		return
	}
	s := w.quoted()
	*v = make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(*v, s)
	*v, w.other = (*v)[:n], w.other || err != nil
}

func (w *written) time(name string, v *time.Time) {
	if !w.member(name) {
		return
	}
	whole := w.rest
	if s := w.quoted(); !w.other {
		w.other = v.UnmarshalJSON(whole[:len(s)+2]) != nil
	}
}

// digits takes a whole number off the rest, without its sign.
func (w *written) digits() string {
	n := 0
	for n < len(w.rest) && '0' <= w.rest[n] && w.rest[n] <= '9' {
		n++
	}
	s := string(w.rest[:n])
	w.other = w.other || n == 0 || (n > 1 && s[0] == '0')
	w.rest = w.rest[n:]
	return s
}

func (w *written) integer(name string, v *int64) {
	if !w.member(name) {
		return
	}
	sign := ""
	if w.skip("-") {
		sign = "-"
	}
	n, err := strconv.ParseInt(sign+w.digits(), 10, 64)
	*v, w.other = n, w.other || err != nil
}

func (w *written) natural(name string, v *uint64) {
	if w.member(name) {
		n, err := strconv.ParseUint(w.digits(), 10, 64)
		*v, w.other = n, w.other || err != nil
	}
}

// flag reads a member that is written where it is true only.
func (w *written) flag(name string, v *bool) {
	if w.member(name) {
		w.need("true")
		*v = true
	}
}

// none is a member that is rare: a record that has it is read by encoding/json.
func (w *written) none(name string) { w.other = w.other || w.member(name) }
