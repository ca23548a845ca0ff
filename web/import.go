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
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/api"
	"husk/web/listen"
	"husk/web/password"
)

// maxImport bounds an import, and maxImportLine one line of it, in bytes.
// maxImportUsers is more than fit where each has a password: it bounds what
// lines that are all but empty take in memory.
const (
	maxImport      = 64 << 20
	maxImportLine  = 64 << 10
	maxImportUsers = 500_000
)

// maxImports is how many imports are held in memory at once, besides those of
// the owner of the data file.
const maxImports = 2

// importUsers makes users from NDJSON. All of it is read and checked before
// the first user is made: one faulty line changes nothing.
func (s *Server) importUsers(c echo.Context, actor *db.Actor) error {
	if err := checkImportType(c); err != nil {
		return err
	}
	if err := checkNames(c.QueryParams(), "if_missing", "dry_run"); err != nil {
		return err
	}
	ifMissing, err := boolean(c, "if_missing")
	dryRun, failed := boolean(c, "dry_run")
	if err := cmp.Or(err, failed); err != nil {
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
	users, err := readImport(c)
	if err != nil {
		return err
	}
	unlimited(c) // only now: half of a body is no reason to be spared
	done, err := s.makeUsers(c.Request().Context(), actor, users, ifMissing, dryRun)
	if err != nil {
		return cutImport(done, err)
	}
	s.did(actor, "users imported", "created", done.Created, "skipped", done.Skipped, "dry_run", dryRun)
	return write(c, api.Imported{Created: done.Created, Skipped: done.Skipped, DryRun: dryRun})
}

// checkImportType refuses what is not said to be NDJSON; of what curl sends it
// reads as much as shows whether that is what it is.
func checkImportType(c echo.Context) error {
	switch mediaType(c) {
	case "application/x-ndjson", "application/json", "application/jsonl":
		return nil
	case formType:
		begin, _ := io.ReadAll(io.LimitReader(c.Request().Body, 64))
		return errMediaType(c, begin, "application/x-ndjson")
	}
	return errMediaType(c, nil, "application/x-ndjson")
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
	f.err = fmt.Errorf("the import was cut short after %d users were made: %w", done.Created, err)
	f.reason = fmt.Sprintf("the import was cut short after %d users were made: %s; run it again with if_missing", done.Created, f.reason)
	if errors.Is(err, db.ErrFull) {
		f.reason = fmt.Sprintf("the disk is full: %d users were made, the others were not; free some space and run the import again with if_missing", done.Created)
	}
	return &f
}

func readImport(c echo.Context) (users []db.ImportUser, err error) {
	in := bufio.NewScanner(http.MaxBytesReader(c.Response(), c.Request().Body, maxImport))
	in.Buffer(nil, maxImportLine)
	line := 0
	for in.Scan() {
		line++
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		if len(users) == maxImportUsers {
			return nil, tooLarge("body_too_large", "the import has more than 500000 users; split it")
		}
		u, err := readImportLine(text, line)
		if err != nil && in.Err() != nil {
			break // what came before the body broke off
		}
		if err != nil {
			f := *explain(err)
			f.reason = fmt.Sprintf("line %d: %s", line, f.reason)
			return nil, &f
		}
		users = append(users, u)
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(in.Err(), &over):
		return nil, tooLarge("body_too_large", "the import is over 64 MiB; split it")
	case errors.Is(in.Err(), bufio.ErrTooLong):
		return nil, malformed("line_too_long", fmt.Sprintf("line %d: it is over 64 KiB", line+1))
	case in.Err() != nil:
		return nil, malformed("body_cut", "the body could not be read to its end")
	}
	return users, nil
}

func readImportLine(text []byte, line int) (u db.ImportUser, err error) {
	var in api.ImportUser
	if err := decode(text, &in); err != nil {
		return u, err
	}
	if in.PasswordHash != "" {
		if err := password.Valid(in.PasswordHash); err != nil {
			_, why, _ := strings.Cut(err.Error(), ": ")
			return u, malformed("bad_password_hash", "the password hash can't be used: "+why+"; leave it out, and give that user a new password afterwards")
		}
	}
	return db.ImportUser{
		NewUser: db.NewUser{Email: in.Email, Name: in.Name, Roles: in.Roles, Password: in.PasswordHash},
		Line:    line, Disabled: in.Disabled,
	}, nil
}
