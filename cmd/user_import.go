package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"husk/web/api"
)

type userImportOptions struct {
	htpasswd string
	ndjson   string
	domain   string
	roles    []string
	api.ImportOptions
}

func (a *app) userImportCommand() *cobra.Command {
	var o userImportOptions
	cmd := &cobra.Command{
		Use:   "import --htpasswd FILE | --ndjson FILE",
		Short: "Make many users from a file",
		Long: `Make many users from a file (- for stdin), all or, where one line is faulty, none.

--htpasswd takes NAME:HASH lines with bcrypt or argon2id hashes; other kinds are
reported and skipped. A NAME that is no email gets --domain behind it.

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
	f.StringVar(&o.domain, "domain", "", "with --htpasswd: what makes an email of a name")
	f.StringArrayVar(&o.roles, "role", nil, "with --htpasswd: a role for all of them; may be repeated (default: user)")
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
	var lines io.Reader = in
	size, skipped := in.size(), 0
	if o.htpasswd != "" {
		if lines, skipped, err = a.readHtpasswd(in, o); err != nil {
			return err
		}
		size = 0 // what is sent is longer
	}
	return a.use(ctx, true, func(s *session) error {
		p := a.progress("importing", size, byteText)
		out, err := s.ImportUsers(ctx, p.reader(lines), o.ImportOptions)
		p.end()
		if err != nil {
			return faultyInput(err)
		}
		out.Skipped += skipped
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

// faultyInput is of what stands in the file: the command itself was called
// rightly, whatever is wrong with an email or a role there.
func faultyInput(err error) error {
	if isStatus(err, http.StatusBadRequest) {
		return &failure{code: exitFailure, err: err, what: err.Error()}
	}
	return err
}

// readHtpasswd turns NAME:HASH lines into lines of an import. An empty line
// stands for each that is skipped, so that numbers are those of the file.
func (a *app) readHtpasswd(r io.Reader, o userImportOptions) (lines io.Reader, skipped int, err error) {
	var out bytes.Buffer
	in, number := bufio.NewScanner(r), 1
	for ; in.Scan(); number++ {
		user, err := o.htpasswdLine(in.Text())
		var unsupported *unsupportedHash
		switch {
		case errors.As(err, &unsupported):
			fmt.Fprintf(a.stderr, "line %d: skipped: %v\n", number, err) // with --quiet too: it is not there afterwards
			skipped++
		case err != nil:
			return nil, 0, &failure{code: exitFailure, err: err, what: fmt.Sprintf("line %d: %v", number, err), next: "nothing was changed"}
		}
		if user != nil {
			text, err := json.Marshal(user)
			if err != nil {
				return nil, 0, err
			}
			out.Write(text)
		}
		out.WriteByte('\n')
	}
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, 0, &failure{code: exitFailure, err: err, what: fmt.Sprintf("line %d: it is over 64 KiB", number), next: "nothing was changed"}
	case err != nil:
		return nil, 0, readFailed("the file can't be read", err)
	}
	return &out, skipped, nil
}

// unsupportedHash is a hash of a kind that is not imported: a fast one, which
// must not live on.
type unsupportedHash struct{ kind string }

func (e *unsupportedHash) Error() string {
	return e.kind + " is not imported; make that user with 'husk user create'"
}

// htpasswdLine reads one line; nil for one that holds nobody. Whether its hash
// is well-formed the server tells.
func (o *userImportOptions) htpasswdLine(line string) (*api.ImportUser, error) {
	line = strings.TrimRight(line, "\r")
	if !utf8.ValidString(line) {
		return nil, errors.New("it is no UTF-8 text") // JSON would make another name of it
	}
	if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
		return nil, nil
	}
	name, hash, _ := strings.Cut(line, ":")
	hash, _, _ = strings.Cut(hash, ":") // some programs add fields
	if name == "" || hash == "" {
		return nil, errors.New("it is not NAME:HASH")
	}
	if kind := otherHash(hash); kind != "" {
		return nil, &unsupportedHash{kind}
	}
	if !strings.Contains(name, "@") {
		if o.domain == "" {
			return nil, errors.New("the name is no email; --domain example.com makes one of it")
		}
		name += "@" + o.domain
	}
	return &api.ImportUser{Email: name, Roles: o.roles, PasswordHash: hash}, nil
}

// otherKinds are the hashes that people have in such files and that husk does
// not import, by how they begin.
var otherKinds = []struct{ prefix, name string }{
	{"$apr1$", "MD5 (apr1)"}, {"{SHA}", "SHA-1"}, {"{SSHA}", "salted SHA-1"}, {"$1$", "MD5 crypt"},
	{"$5$", "SHA-256 crypt"}, {"$6$", "SHA-512 crypt"}, {"$argon2i$", "argon2i"}, {"$argon2d$", "argon2d"}, {"{PLAIN}", "plain text"},
	{"$y$", "yescrypt"}, {"$gy$", "gost-yescrypt"}, {"$7$", "scrypt"}, {"$scrypt$", "scrypt"}, {"$pbkdf2", "PBKDF2"}, {"{PBKDF2", "PBKDF2"},
	{"$2$", "bcrypt of a faulty version"}, {"$2x$", "bcrypt of a faulty version"},
}

// namedKind is how a hash begins that says of which kind it is.
var namedKind = regexp.MustCompile(`^(\$[A-Za-z0-9-]{1,20}\$|\{[A-Za-z0-9-]{1,20}\})`)

// otherHash names the kind of a hash that husk does not import, or "".
func otherHash(hash string) string {
	for _, k := range otherKinds {
		if strings.HasPrefix(hash, k.prefix) {
			return k.name
		}
	}
	switch kind := namedKind.FindString(hash); {
	case kind == "$2a$", kind == "$2b$", kind == "$2y$", kind == "$argon2id$":
		return ""
	case kind != "":
		return "a hash that begins with " + kind
	case len(hash) == 13 && !strings.ContainsAny(hash, "${}"):
		return "DES crypt"
	}
	return ""
}
