package web

import (
	"context"
	"encoding"
	"fmt"
	"net/http"
	"reflect"

	"github.com/labstack/echo/v4"

	"husk/db"
)

// Most routes are typed functions: of who asks and of what was read from the
// request, to what is answered or why not. What is read stands in the tags of
// In:
//
//	type userUpdate struct {
//		ID   string         `path:"id"`
//		Body api.UserUpdate `body:"required"`
//	}
//
//	func (s *Server) updateUser(ctx context.Context, actor *db.Actor, in *userUpdate) (*api.Result, error)
//
// path and query name a parameter, for a string or a type that reads itself
// (encoding.TextUnmarshaler; a parameter that is absent or empty leaves it as it
// is, a pointer nil). body is a JSON object, required or optional, or ignored: what
// was sent is bounded, and not looked at. A field that is a *http.Request is the
// request, for what is about the browser that sent it. Structs that are embedded
// are read as if their fields stood there.
//
// This is the one place that binds and answers; openapi.json is made of the same
// types. What is no such function, a stream or a page, is a raw one.

// action is what a route does for an actor who has what the route needs. On a
// public route the actor is nobody.
type action struct {
	serve   rawAction
	in, out reflect.Type // of a typed function; else nil

	// signInFirst answers who sent a form of a page and is not signed in any more;
	// nil where nothing was typed that is worth keeping.
	signInFirst func(c echo.Context) error
}

type rawAction func(c echo.Context, actor *db.Actor) error

// raw is an action that reads and answers by itself.
func raw(f rawAction) *action { return &action{serve: f} }

// endpoint is the action of a typed function. Tags that can't be read panic: at
// the start, since the table of routes is made then. In and Out are pointers to
// structs (Out may be a slice): then this is compiled once for all of them.
func endpoint[In, Out any](f func(ctx context.Context, actor *db.Actor, in In) (Out, error)) *action {
	return typed(reflect.TypeFor[In](), reflect.TypeFor[Out](), func(ctx context.Context, actor *db.Actor, in any) (any, error) {
		return f(ctx, actor, in.(In))
	})
}

func typed(in, out reflect.Type, call func(ctx context.Context, actor *db.Actor, in any) (any, error)) *action {
	in = in.Elem()
	fields := inFields(in, nil)
	return &action{in: in, out: out, serve: func(c echo.Context, actor *db.Actor) error {
		asked := reflect.New(in)
		if err := readFields(c, fields, asked.Elem()); err != nil {
			return err
		}
		out, err := call(c.Request().Context(), actor, asked.Interface())
		if err != nil {
			return err
		}
		return writeAnswer(c, out)
	}}
}

// nothing is what a function takes that reads nothing of the request.
type nothing struct{}

// answerer is what a typed function returns where its answer is more than a JSON
// document.
type answerer interface {
	answer(c echo.Context) error
}

func writeAnswer(c echo.Context, out any) error {
	if a, ok := out.(answerer); ok {
		return a.answer(c)
	}
	return write(c, out)
}

// field is one field of an In, and how it is read.
type field struct {
	index []int
	from  string // path, query, body, request
	name  string // of the parameter; of a body required, optional or ignored
}

// inFields returns what is read into a struct of type t, in order.
func inFields(t reflect.Type, at []int) (all []field) {
	for i := range t.NumField() {
		f, index := t.Field(i), append(at[:len(at):len(at)], i)
		switch {
		case f.Anonymous:
			all = append(all, inFields(f.Type, index)...)
		case f.Type == reflect.TypeFor[*http.Request]():
			all = append(all, field{index: index, from: "request"})
		default:
			all = append(all, tagged(t, f, index))
		}
	}
	return all
}

func tagged(t reflect.Type, f reflect.StructField, index []int) field {
	for _, from := range []string{"path", "query", "body"} {
		if name, ok := f.Tag.Lookup(from); ok {
			return field{index: index, from: from, name: name}
		}
	}
	panic(fmt.Sprintf("%s.%s does not say from where it is read", t, f.Name))
}

func readFields(c echo.Context, fields []field, in reflect.Value) (err error) {
	for _, f := range fields {
		v := in.FieldByIndex(f.index)
		switch f.from {
		case "path":
			v.SetString(c.Param(f.name))
		case "query":
			err = readParameter(c.QueryParam(f.name), v)
		case "body":
			err = readBodyInto(c, v.Addr().Interface(), f.name)
		case "request":
			v.Set(reflect.ValueOf(c.Request()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readBodyInto(c echo.Context, v any, how string) error {
	if how == "ignored" {
		_, err := readBody(c)
		return err
	}
	return bind(c, v, how == "optional")
}

// readParameter sets v to what text says.
func readParameter(text string, v reflect.Value) error {
	if v.Kind() == reflect.String {
		v.SetString(text)
		return nil
	}
	if text == "" {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
}
