package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
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
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &failure{status: http.StatusRequestEntityTooLarge, code: "body_too_large", reason: "the body is over 64 KiB"}
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
		return errMediaType("application/json")
	}
	return decode(body, v)
}

func errMediaType(want string) error {
	return &failure{status: http.StatusUnsupportedMediaType, code: "content_type", reason: "send the body as " + want + ", and say so in Content-Type"}
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
	var mismatch *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &mismatch):
		return malformed("bad_type", "a member of the JSON object has the wrong type")
	}
	return errNotJSON
}

// bindForm reads an application/x-www-form-urlencoded body.
func bindForm(c echo.Context) (url.Values, error) {
	body, err := readBody(c)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, malformed("bad_form", "the form is not well-formed")
	}
	return values, nil
}

// write answers 200 with v as JSON. Its length is told, however long it is:
// net/http tells that of short ones alone, and there are clients that read
// nothing without.
func write(c echo.Context, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	c.Response().Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	return c.JSONBlob(http.StatusOK, body)
}
