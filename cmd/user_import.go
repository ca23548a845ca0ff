package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"husk/web/api"
)

type userImportOptions struct {
	htpasswd string
	ndjson   string
	api.ImportOptions
}

func (a *app) userImportCommand() *cobra.Command {
	var o userImportOptions
	cmd := &cobra.Command{
		Use:   "import --htpasswd FILE | --ndjson FILE",
		Short: "Make many users from a file",
		Long: `Make many users from a file (- for stdin), all or, where one line is faulty, none.

--htpasswd takes NAME:HASH lines with bcrypt or argon2id hashes; other kinds are
reported and skipped. A NAME that is no email gets --domain behind it. Comments,
empty lines and what stands behind a second colon are passed over.

A hash may cost as much as bcrypt with cost 13, or argon2id with m times t of
311296 (such as m=65536,t=3,p=4): checking one is work that strangers can ask for.
Each is replaced by one like Husk's own at the first sign-in.

--ndjson takes one JSON object a line:
  {"email":"ann@example.com","name":"Ann","roles":["user"],"password_hash":"$2y$…","disabled":false}
Only the email is needed; without a hash the user can't sign in.

An import that was cut short is run again with --if-missing.`,
		Example: `  husk user import --htpasswd /etc/nginx/htpasswd --domain example.com --dry-run
  husk user import --ndjson users.ndjson --if-missing`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.userImport(cmd.Context(), o) },
	}
	f := cmd.Flags()
	pathVar(f, &o.htpasswd, "htpasswd", "an htpasswd file, or - for stdin")
	pathVar(f, &o.ndjson, "ndjson", "a file with one JSON object a line, or - for stdin")
	f.StringVar(&o.Domain, "domain", "", "with --htpasswd: what makes an email of a name")
	f.StringArrayVar(&o.Roles, "role", nil, "with --htpasswd: a role for all of them; may be repeated (default: user)")
	f.BoolVar(&o.IfMissing, "if-missing", false, "a user who is there already is left as they are")
	f.BoolVar(&o.DryRun, "dry-run", false, "check and count, change nothing")
	cmd.MarkFlagsMutuallyExclusive("htpasswd", "ndjson")
	cmd.MarkFlagsMutuallyExclusive("ndjson", "domain")
	cmd.MarkFlagsMutuallyExclusive("ndjson", "role")
	cmd.MarkFlagsOneRequired("htpasswd", "ndjson")
	return cmd
}

func (a *app) userImport(ctx context.Context, o userImportOptions) error {
	in, err := a.openInput(o.htpasswd+o.ndjson, "the users")
	if err != nil {
		return readFailed("the file can't be read", err)
	}
	defer in.Close()
	if o.htpasswd != "" {
		o.Format = api.FormatHtpasswd
	}
	lines, size := io.Reader(in), in.size()
	if size == 0 { // a pipe, or what somebody types: nobody else waits for that at the locked store
		whole, err := io.ReadAll(io.LimitReader(in, api.MaxImport+1))
		if err != nil {
			return readFailed("the file can't be read", err)
		}
		lines = bytes.NewReader(whole)
	}
	return a.use(ctx, true, func(s *session) error {
		p := a.progress("importing", size, byteText)
		file := &failing{Reader: lines}
		out, err := s.ImportUsers(ctx, p.reader(file), o.ImportOptions)
		p.end()
		if broke := file.err.Load(); broke != nil && ctx.Err() == nil {
			return readFailed("the file can't be read", *broke)
		}
		if err != nil {
			return faultyInput(err, o.Format)
		}
		a.tellUnsupported(out)
		if a.settings.JSON {
			return a.printJSON(out)
		}
		verb := "made"
		if o.DryRun {
			verb = "would be made"
		}
		a.say("%d users %s, %d skipped.", out.Created, verb, out.Skipped)
		return nil
	})
}

// failing remembers why a file could not be read: who sends it is told only that it
// could not be sent.
type failing struct {
	io.Reader
	err atomic.Pointer[error] // who sends it may still read when it is answered
}

// Read implements io.Reader.
func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err.Store(&err)
	}
	return n, err
}

// tellUnsupported names the lines that were left out, with --quiet too: who stands
// there is not there afterwards.
func (a *app) tellUnsupported(out api.Imported) {
	for _, h := range out.UnsupportedLines {
		kind := printable(h.Kind)
		if strings.HasPrefix(kind, "$") || strings.HasPrefix(kind, "{") {
			kind = "a hash that begins with " + kind
		}
		fmt.Fprintf(a.stderr, "line %d: skipped: %s is not imported; make that user with 'husk user create'\n", h.Line, kind)
	}
	if more := out.Unsupported - len(out.UnsupportedLines); more > 0 {
		fmt.Fprintf(a.stderr, "%d lines more are skipped, with hashes that are not imported\n", more)
	}
}

// aboutTheFile is what is said behind the reason of a fault that is found before
// anything is changed.
var aboutTheFile = map[string]string{
	"bad_htpasswd":   nothingChanged,
	"line_too_long":  nothingChanged,
	"domain_missing": nothingChanged + "; --domain example.com makes emails of such names",
	"other_format":   nothingChanged + "; --htpasswd reads lines of NAME:HASH, --ndjson lines of JSON",
}

const nothingChanged = "nothing was changed"

// faultyInput is of what stands in the file: the command itself was called
// rightly, whatever is wrong with an email or a role there.
func faultyInput(err error, format string) error {
	var answer *api.Error
	if format == api.FormatHtpasswd && isStatus(err, http.StatusUnsupportedMediaType) {
		return &failure{code: exitFailure, err: err, what: "the server is of an older husk, which reads no htpasswd files",
			next: nothingChanged + "; install this version there, or import lines of JSON with --ndjson"}
	}
	if !errors.As(err, &answer) || answer.Status != http.StatusBadRequest || answer.Detail.Code == "bad_domain" {
		return err
	}
	return &failure{code: exitFailure, err: err, what: err.Error(), next: aboutTheFile[answer.Detail.Code]}
}
