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
// holds both to the same result (FuzzFastJSON).

// fastReader is implemented by records that read themselves. readFast names
// all members that Marshal writes, in its order; one whose form is rare may be
// left out, and then no record that has it is read so.
type fastReader interface{ readFast(*fastJSON) }

// unmarshal is json.Unmarshal into a zero value that v points to.
func unmarshal(value []byte, v any) error {
	if r, ok := v.(fastReader); ok {
		if readsFast(value, r) {
			return nil
		}
		reflect.ValueOf(v).Elem().SetZero()
	}
	return json.Unmarshal(value, v)
}

// readsFast reads value into v and tells whether it could. Where it could
// not, v is half read.
func readsFast(value []byte, v fastReader) bool {
	if len(value) == 0 || value[0] != '{' {
		return false
	}
	j := fastJSON{rest: value[1:], first: true}
	v.readFast(&j)
	return !j.other && string(j.rest) == "}"
}

// fastJSON reads one object from its first member on.
type fastJSON struct {
	rest  []byte
	first bool // no member was met yet
	other bool // it has another form than Marshal's
}

// member steps over the name of the next member, where it is that.
func (j *fastJSON) member(name string) bool {
	rest := j.rest
	if !j.first {
		if len(rest) == 0 || rest[0] != ',' {
			return false
		}
		rest = rest[1:]
	}
	n := len(name)
	if j.other || len(rest) < n+3 || rest[0] != '"' || string(rest[1:n+1]) != name || rest[n+1] != '"' || rest[n+2] != ':' {
		return false
	}
	j.rest, j.first = rest[n+3:], false
	return true
}

// quoted takes a string off the rest, without its quotes.
func (j *fastJSON) quoted() []byte {
	if len(j.rest) == 0 || j.rest[0] != '"' {
		j.other = true
		return nil
	}
	ascii := true
	for i, c := range j.rest[1:] {
		switch {
		case c == '"':
			s := j.rest[1 : i+1]
			j.rest = j.rest[i+2:]
			j.other = j.other || (!ascii && !utf8.Valid(s))
			return s
		case c == '\\' || c < ' ':
			j.other = true
			return nil
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	j.other = true
	return nil
}

func (j *fastJSON) text(name string, v *string) {
	if j.member(name) {
		*v = string(j.quoted())
	}
}

func (j *fastJSON) texts(name string, v *[]string) {
	if !j.member(name) {
		return
	}
	j.need("[")
	*v = []string{}
	if j.skip("]") {
		return
	}
	for more := true; more; more = j.skip(",") {
		*v = append(*v, string(j.quoted()))
	}
	j.need("]")
}

// skip steps over text, where that comes next.
func (j *fastJSON) skip(text string) bool {
	rest, ok := bytes.CutPrefix(j.rest, []byte(text))
	j.rest = rest
	return ok
}

func (j *fastJSON) need(text string) { j.other = !j.skip(text) || j.other }

// bytes reads base64.
func (j *fastJSON) bytes(name string, v *[]byte) {
	if !j.member(name) {
		return
	}
	s := j.quoted()
	*v = make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(*v, s)
	*v, j.other = (*v)[:n], j.other || err != nil
}

func (j *fastJSON) time(name string, v *time.Time) {
	if !j.member(name) {
		return
	}
	whole := j.rest
	if s := j.quoted(); !j.other {
		j.other = v.UnmarshalJSON(whole[:len(s)+2]) != nil
	}
}

// digits takes a whole number off the rest, without its sign.
func (j *fastJSON) digits() string {
	n := 0
	for n < len(j.rest) && '0' <= j.rest[n] && j.rest[n] <= '9' {
		n++
	}
	s := string(j.rest[:n])
	j.other = j.other || n == 0 || (n > 1 && s[0] == '0')
	j.rest = j.rest[n:]
	return s
}

func (j *fastJSON) integer(name string, v *int64) {
	if !j.member(name) {
		return
	}
	sign := ""
	if j.skip("-") {
		sign = "-"
	}
	n, err := strconv.ParseInt(sign+j.digits(), 10, 64)
	*v, j.other = n, j.other || err != nil
}

func (j *fastJSON) natural(name string, v *uint64) {
	if j.member(name) {
		n, err := strconv.ParseUint(j.digits(), 10, 64)
		*v, j.other = n, j.other || err != nil
	}
}

func (j *fastJSON) naturals(name string, v *[]uint64) {
	if !j.member(name) {
		return
	}
	j.need("[")
	*v = []uint64{}
	if j.skip("]") {
		return
	}
	for more := true; more; more = j.skip(",") {
		n, err := strconv.ParseUint(j.digits(), 10, 64)
		*v, j.other = append(*v, n), j.other || err != nil
	}
	j.need("]")
}

// flag reads a member that is written where it is true only.
func (j *fastJSON) flag(name string, v *bool) {
	if j.member(name) {
		j.need("true")
		*v = true
	}
}

// none is a member that is rare: a record that has it is read by encoding/json.
func (j *fastJSON) none(name string) { j.other = j.other || j.member(name) }
