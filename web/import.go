package web

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/listen"
	"husk/web/password"
)

// maxImportLine bounds one line of an import, in bytes, as api.MaxImport does all of it.
// maxImportUsers is more than fit where each has a password: it bounds what
// lines that are all but empty take in memory.
const (
	maxImportLine  = 64 << 10
	maxImportUsers = 500_000
)

// maxImports is how many imports are held in memory at once, besides those of
// the owner of the data file.
const maxImports = 2

// importUsers makes users of the lines of its body. All of it is read and checked
// before the first user is made: one faulty line changes nothing.
func (s *Server) importUsers(c echo.Context, actor *db.Actor) error {
	in, err := importAskedOf(c)
	if err != nil {
		return err
	}
	if !actor.Local() {
		defer s.imports.Add(-1)
		if s.imports.Add(1) > maxImports {
			return busy("other imports are under way; try again when one has ended", 10*time.Second)
		}
	}
	listen.Patient(c.Request(), s.stallTimeout)
	if isPageCall(c.Request().Context()) { // the upload to the page has the patience
		unlimited(c)
	}
	read, err := in.read(c)
	if err != nil {
		return err
	}
	unlimited(c) // only now: half of a body is no reason to be spared
	done, err := s.makeUsers(c.Request().Context(), actor, read.users, in.ifMissing, in.dryRun)
	if err != nil {
		return cutImport(done, err)
	}
	skipped := done.Skipped + read.unsupported
	s.did(actor, "users imported", "format", in.format, "created", done.Created, "skipped", skipped, "dry_run", in.dryRun)
	return write(c, api.Imported{Created: done.Created, Skipped: skipped, DryRun: in.dryRun, Unsupported: read.unsupported, UnsupportedLines: read.unsupportedLines})
}

// importAsked is what an import is asked for. Its format is said, and not found out: of
// a file whose beginning is broken that would find the wrong one, and the fault of
// another line would be told.
type importAsked struct {
	format    string
	domain    string   // of htpasswd
	roles     []string // of htpasswd
	ifMissing bool
	dryRun    bool
}

func importAskedOf(c echo.Context) (in importAsked, err error) {
	q := c.QueryParams()
	in = importAsked{format: cmp.Or(q.Get("format"), api.FormatNDJSON), domain: strings.TrimSpace(q.Get("domain"))}
	in.roles = slices.DeleteFunc(slices.Clone(q["role"]), func(name string) bool { return name == "" })
	if err := checkFields(q, []string{"format", "domain", "role", "if_missing", "dry_run"}, []string{"role"}); err != nil {
		return in, err
	}
	if in.format != api.FormatNDJSON && in.format != api.FormatHtpasswd {
		return in, malformed("bad_parameter", "the format is "+api.FormatNDJSON+" or "+api.FormatHtpasswd)
	}
	if err := checkImportType(c, in.format); err != nil {
		return in, err
	}
	in.ifMissing, err = boolean(c, "if_missing")
	if err != nil {
		return in, err
	}
	if in.dryRun, err = boolean(c, "dry_run"); err != nil {
		return in, err
	}
	if in.format == api.FormatNDJSON && (in.domain != "" || len(in.roles) > 0) {
		return in, malformed("bad_parameter", "a domain and roles are for an htpasswd file alone: lines of JSON say their own")
	}
	if in.domain != "" {
		err = db.CheckDomain(in.domain)
	}
	return in, err
}

// checkImportType refuses what is not said to be of the format; of what curl sends it
// reads as much as shows whether that is what it is.
func checkImportType(c echo.Context, format string) error {
	sent, want := mediaType(c), []string{"application/x-ndjson", "application/json", "application/jsonl"}
	if format == api.FormatHtpasswd {
		want = []string{"text/plain"}
	}
	if slices.Contains(want, sent) {
		return nil
	}
	var begin []byte
	if sent == formType {
		begin, _ = io.ReadAll(io.LimitReader(c.Request().Body, 64))
	}
	return errMediaType(c, begin, want[0])
}

// makeUsers imports users, or counts those that it would. What is refused for a
// fault costs its sender nothing, nor does who is there already.
func (s *Server) makeUsers(ctx context.Context, actor *db.Actor, users []db.ImportUser, ifMissing, dryRun bool) (db.Imported, error) {
	if !dryRun && !actor.Administrator() {
		would, err := s.Store.ImportUsers(ctx, actor, users, ifMissing, true)
		if err == nil {
			err = s.spendImport(actor, would.Created)
		}
		if err != nil {
			return db.Imported{}, err
		}
	}
	return s.Store.ImportUsers(ctx, actor, users, ifMissing, dryRun)
}

// cutImport explains an import that failed: one that had made users already
// must not say that nothing was changed.
func cutImport(done db.Imported, err error) error {
	if done.Created == 0 {
		return err
	}
	f := *explain(err)
	f.line = 0 // which is of a file that changed nothing
	f.err = fmt.Errorf("the import was cut short after %d users were made: %w", done.Created, err)
	f.reason = fmt.Sprintf("the import was cut short after %d users were made: %s; run it again with if_missing", done.Created, f.reason)
	if errors.Is(err, db.ErrFull) {
		f.reason = fmt.Sprintf("the disk is full: %d users were made, the others were not; free some space and run the import again with if_missing", done.Created)
	}
	return &f
}

// importRead is what was read of an import.
type importRead struct {
	users []db.ImportUser

	unsupported      int // how many lines have a hash of a kind that is not imported
	unsupportedLines []api.UnsupportedHash
}

// maxUnsupportedLines is how many of them an answer names.
const maxUnsupportedLines = 1000

func (in *importAsked) read(c echo.Context) (read importRead, err error) {
	lines := bufio.NewScanner(http.MaxBytesReader(c.Response(), c.Request().Body, api.MaxImport))
	lines.Buffer(nil, maxImportLine)
	line := 0
	for lines.Scan() {
		line++
		text := lines.Bytes()
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff")) // which editors of Windows begin a file with
		}
		err := in.readLine(&read, bytes.TrimSpace(text), line)
		if err != nil && lines.Err() != nil {
			break // what came before the body broke off
		}
		if err != nil {
			return importRead{}, err
		}
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(lines.Err(), &over):
		return importRead{}, tooLarge("body_too_large", "the import is over 64 MiB; split it")
	case errors.Is(lines.Err(), bufio.ErrTooLong):
		return importRead{}, atLine(line+1, malformed("line_too_long", "it is over 64 KiB"))
	case lines.Err() != nil:
		return importRead{}, malformed("body_cut", "the body could not be read to its end")
	}
	return read, nil
}

// readLine adds what a line says.
func (in *importAsked) readLine(read *importRead, text []byte, line int) error {
	var u *db.ImportUser
	var err error
	switch {
	case len(text) == 0:
		return nil
	case in.format == api.FormatHtpasswd:
		u, err = in.readHtpasswdLine(text)
	default:
		u, err = readJSONLine(text)
	}
	var unsupported *unsupportedHash
	switch {
	case errors.As(err, &unsupported):
		if read.unsupported++; len(read.unsupportedLines) < maxUnsupportedLines {
			read.unsupportedLines = append(read.unsupportedLines, api.UnsupportedHash{Line: line, Kind: unsupported.kind})
		}
		return nil
	case err != nil:
		return atLine(line, err)
	case u == nil:
		return nil
	case len(read.users) == maxImportUsers:
		return tooLarge("body_too_large", "the import has more than 500000 users; split it")
	}
	u.Line = line
	read.users = append(read.users, *u)
	return nil
}

// atLine names the line of a fault.
func atLine(line int, err error) error {
	f := *explain(err)
	f.line, f.reason = line, fmt.Sprintf("line %d: %s", line, f.reason)
	return &f
}

func readJSONLine(text []byte) (*db.ImportUser, error) {
	if isHtpasswdLine(text) {
		return nil, malformed("other_format", "that is how a line of an htpasswd file looks, and the file is read as lines of JSON")
	}
	var in api.ImportUser
	if err := decode(text, &in); err != nil {
		return nil, err
	}
	if in.PasswordHash != "" {
		if err := checkImportHash(in.PasswordHash, "leave it out, and give that user a new password afterwards"); err != nil {
			return nil, err
		}
	}
	return &db.ImportUser{
		NewUser:  db.NewUser{Email: in.Email, Name: in.Name, Roles: in.Roles, Password: in.PasswordHash},
		Disabled: in.Disabled,
	}, nil
}

func checkImportHash(hash, next string) error {
	err := password.Valid(hash)
	if err == nil {
		return nil
	}
	_, why, _ := strings.Cut(err.Error(), ": ")
	return malformed("bad_password_hash", "the password hash can't be used: "+why+"; "+next)
}
