package web

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"husk/web/api"
	"husk/web/console"
	"husk/web/listen"
)

// A page that takes a file reads the form up to it (RFC 7578), and hands the file on as
// it comes: it is in no memory and on no disk here.

const uploadType = "multipart/form-data"

// maxUpload bounds a file, as the API does what is made of it, and maxUnwanted what is
// read of one that is too large, in bytes: a browser shows the answer when it has sent
// all.
const (
	maxUpload   = api.MaxImport + maxBody
	maxUnwanted = 2 * api.MaxImport
)

// upload is a form whose file comes in.
type upload struct {
	sent   console.Sent
	answer http.ResponseWriter
	err    error // why there is nothing to do

	mu   sync.Mutex // held while the body is read: a call of the API may still do so when it is answered
	body *bounded
	done bool
}

// bounded reads as much as is left, and then fails.
type bounded struct {
	from io.Reader
	left int64
}

var errUploadTooLarge = tooLarge("body_too_large", "the file is over 64 MiB; split it")

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errUploadTooLarge
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// readUpload reads the fields that come before the file. The caller calls end.
func (s *Server) readUpload(c echo.Context, h console.Handler) *upload {
	u := &upload{body: &bounded{from: c.Request().Body, left: maxBody}}
	listen.Patient(c.Request(), s.stallTimeout)
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Time{}) // the answer has its own, after all was read
	u.answer = patientAnswer{u, c.Response(), listen.NewPatientWriter(c.Response(), s.stallTimeout)}
	kind, parameters, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil || kind != uploadType || parameters["boundary"] == "" {
		u.err = errMediaType(c, nil, uploadType)
		return u
	}
	u.sent.Form, u.sent.File, u.err = u.fields(multipart.NewReader(u.body, parameters["boundary"]))
	if u.err == nil {
		u.err = checkFields(u.sent.Form, h.Reads(), h.Many)
	}
	return u
}

// fields reads the parts of the form up to the first with the name of a file.
func (u *upload) fields(parts *multipart.Reader) (form url.Values, file io.Reader, err error) {
	form = url.Values{}
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return form, nil, nil
		}
		if err != nil {
			return nil, nil, uploadError(err)
		}
		if part.FileName() != "" {
			u.body.left += maxUpload
			return form, lockedReader{u, part}, nil
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, nil, uploadError(err)
		}
		if !utf8.Valid(value) {
			return nil, nil, malformed("bad_form", "the form is not in UTF-8")
		}
		form.Add(part.FormName(), string(value))
	}
}

func uploadError(err error) error {
	if errors.Is(err, errUploadTooLarge) {
		return tooLarge("body_too_large", "the form is over 64 KiB before its file")
	}
	return malformed("bad_form", "the form is not well-formed, or could not be read to its end")
}

// end waits for who reads, and reads what is left, so that the browser looks at the
// answer. net/http reads nothing any more once it has sent one.
func (u *upload) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.done {
		return
	}
	u.done = true
	_, _ = io.CopyN(io.Discard, u.body.from, maxUnwanted)
}

// lockedReader is the file until the upload ends.
type lockedReader struct {
	*upload
	part io.Reader
}

// Read implements io.Reader.
func (l lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return 0, http.ErrBodyReadAfterClose
	}
	return l.part.Read(p)
}

// patientAnswer gives an answer its time, however long the upload took, and begins it
// when that has ended.
type patientAnswer struct {
	upload *upload
	http.ResponseWriter
	out *listen.PatientWriter
}

// WriteHeader implements http.ResponseWriter.
func (p patientAnswer) WriteHeader(status int) {
	p.upload.end()
	p.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (p patientAnswer) Write(b []byte) (int, error) { return p.out.Write(b) }
