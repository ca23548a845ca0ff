package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// maxBody bounds every body that is not a stream.
const maxBody = 64 << 10

// readBody returns the body, or 413.
func readBody(c echo.Context) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxBody))
	if err == nil {
		return body, nil
	}
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, tooLarge("body_too_large", "the body is over 64 KiB")
	}
	return nil, malformed("body_cut", "the body could not be read to its end")
}

// mediaType returns the type of the body without its parameters.
func mediaType(c echo.Context) string {
	t, _, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil {
		return "?"
	}
	return t
}

// bind reads one JSON object into v. An empty body leaves v as it is where
// optional, and is 400 elsewhere.
func bind(c echo.Context, v any, optional bool) error {
	body, err := readBody(c)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		if optional {
			return nil
		}
		return malformed("body_missing", "a JSON object is expected as the body")
	}
	if mediaType(c) != "application/json" {
		return errMediaType(c, body, "application/json")
	}
	return decode(body, v)
}

// errMediaType refuses a body that is said to be of a type that is not read
// here. Curl says of every body that it is a form.
func errMediaType(c echo.Context, body []byte, want string) error {
	reason := "send the body as " + want + ", and say so in Content-Type"
	if mediaType(c) == formType && isObject(body) {
		reason = "that is JSON, and Content-Type calls it a form: add the header Content-Type: " + strings.Fields(want)[0]
	}
	return &failure{status: http.StatusUnsupportedMediaType, code: "content_type", reason: reason}
}

// isObject tells whether the body begins as a JSON object does, and no form.
func isObject(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
}

var errNotJSON = malformed("bad_json", "the body is not one well-formed JSON object in UTF-8")

// decode reads exactly one JSON object. The decoder's own words never leave:
// they can hold what was sent.
func decode(body []byte, v any) error {
	body = bytes.Trim(body, " \t\r\n")
	// encoding/json would turn invalid UTF-8 into U+FFFD, and so many byte
	// strings into one password.
	if !utf8.Valid(body) || len(body) == 0 || body[0] != '{' {
		return errNotJSON
	}
	err := json.Unmarshal(body, v)
	if err != nil && !json.Valid(body) {
		return errNotJSON
	}
	if wrong := checkMembers(body, reflect.TypeOf(v), ""); wrong != nil {
		return wrong
	}
	if err != nil {
		return malformed("bad_type", "a member of the JSON object has the wrong type")
	}
	return nil
}

// bindForm reads an application/x-www-form-urlencoded body with fields of these
// names, of which many may be there several times.
func bindForm(c echo.Context, names, many []string) (url.Values, error) {
	body, err := readBody(c)
	if err != nil {
		return nil, err
	}
	if mediaType(c) != formType {
		return nil, errMediaType(c, body, formType)
	}
	if isObject(body) {
		return nil, errMediaType(c, body, "application/json")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformed("bad_form", "the form is not well-formed")
	}
	return values, checkFields(values, names, many)
}

// boolean reads a query parameter that is true or false; absent and empty it is
// false.
func boolean(c echo.Context, name string) (bool, error) {
	switch c.QueryParam(name) {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, malformed("bad_parameter", name+" is true or false")
}

// write answers 200 with v as JSON.
func write(c echo.Context, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeJSON(c, append(body, '\n'))
}

// writeJSON answers 200 with what is JSON already. Its length is told, however long it
// is: net/http tells that of short ones alone, and there are clients that read nothing
// without.
func writeJSON(c echo.Context, body []byte) error {
	c.Response().Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	return c.JSONBlob(http.StatusOK, body)
}
