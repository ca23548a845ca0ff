package web

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"husk/db"
	"husk/web/password"
)

// unsupportedHash is a hash of a kind that is not imported: a fast one, which must not
// live on. Who has one is left out, and told.
type unsupportedHash struct{ kind string }

func (e *unsupportedHash) Error() string { return e.kind + " is not imported" }

// readHtpasswdLine reads a line without space around it, as Apache reads them; nil for
// one that holds nobody.
func (in *importAsked) readHtpasswdLine(text []byte) (*db.ImportUser, error) {
	switch {
	case !utf8.Valid(text):
		return nil, malformed("bad_htpasswd", "it is no UTF-8 text")
	case text[0] == '#':
		return nil, nil
	case isJSONLine(text):
		return nil, malformed("other_format", "that is a line of JSON, and the file is read as an htpasswd file")
	}
	name, hash, _ := strings.Cut(string(text), ":")
	hash, _, _ = strings.Cut(hash, ":") // some programs add fields
	if name == "" || hash == "" {
		return nil, malformed("bad_htpasswd", "it is not NAME:HASH")
	}
	if kind := password.OtherKind(hash); kind != "" {
		return nil, &unsupportedHash{kind}
	}
	if !strings.Contains(name, "@") {
		if in.domain == "" {
			return nil, malformed("domain_missing", "the name is no email, and there is no domain that makes one of it")
		}
		name += "@" + in.domain
	}
	if err := checkImportHash(hash, "leave the line out, and make that user by hand"); err != nil {
		return nil, err
	}
	return &db.ImportUser{NewUser: db.NewUser{Email: name, Roles: in.roles, Password: hash}}, nil
}

// isJSONLine tells whether a line begins as a JSON object does, and no name.
func isJSONLine(text []byte) bool {
	rest, found := bytes.CutPrefix(text, []byte("{"))
	rest = bytes.TrimLeft(rest, " \t")
	return found && (len(rest) == 0 || rest[0] == '"' || rest[0] == '}')
}

// isHtpasswdLine tells whether a line that was to be JSON is a comment, or a name and
// a hash.
func isHtpasswdLine(text []byte) bool {
	name, hash, found := bytes.Cut(text, []byte(":"))
	return text[0] == '#' || found && !bytes.ContainsAny(name, "{[\"") && len(hash) > 0 && (hash[0] == '$' || hash[0] == '{')
}
