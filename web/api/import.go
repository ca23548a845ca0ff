package api

import (
	"context"
	"io"
	"net/url"
)

// ImportUser is one line of an import of users.
type ImportUser struct {
	Email        string   `json:"email"`
	Name         string   `json:"name,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	PasswordHash string   `json:"password_hash,omitempty"` // a PHC string or bcrypt; absent: can't sign in
	Disabled     bool     `json:"disabled,omitempty"`
}

// ImportOptions say how an import treats what is there.
type ImportOptions struct {
	IfMissing bool // a user who is there already is left as they are
	DryRun    bool // check and count only

	// Format is how the lines are written: FormatNDJSON, which is the default, or
	// FormatHtpasswd.
	Format string
	Domain string   // with FormatHtpasswd: what makes an email of a name that is none
	Roles  []string // with FormatHtpasswd: what all of them get; none: the role user
}

// MaxImport is how long an import may be, in bytes. What is longer is refused.
const MaxImport = 64 << 20

// The formats of an import.
const (
	FormatNDJSON   = "ndjson"   // an ImportUser a line
	FormatHtpasswd = "htpasswd" // NAME:HASH lines, as Apache and nginx read them
)

// Imported answers an import of users.
type Imported struct {
	Created int  `json:"created"`
	Skipped int  `json:"skipped"` // there already, or with a hash that is not imported
	DryRun  bool `json:"dry_run"`

	// Unsupported are those of the skipped whose hash is of a kind that is not
	// imported. The lines are the first thousand of them.
	Unsupported      int               `json:"unsupported,omitempty"`
	UnsupportedLines []UnsupportedHash `json:"unsupported_lines,omitempty"`
}

// UnsupportedHash is a line of an import with a hash of a kind that is not imported.
type UnsupportedHash struct {
	Line int    `json:"line"` // from 1
	Kind string `json:"kind"` // such as "MD5 (apr1)"; of one without a name how the hash begins, as "{CRYPT}" or "$sha1$"
}

// ImportUsers makes users from lines, which are an ImportUser each, as NDJSON, or
// what the format of the options says.
func (c *Client) ImportUsers(ctx context.Context, lines io.Reader, o ImportOptions) (out Imported, err error) {
	v := url.Values{}
	if o.IfMissing {
		v.Set("if_missing", "true")
	}
	if o.DryRun {
		v.Set("dry_run", "true")
	}
	media := "application/x-ndjson"
	if o.Format != "" && o.Format != FormatNDJSON {
		v.Set("format", o.Format)
		media = "text/plain" // an older server refuses it, rather than reading it as what it is not
	}
	if o.Domain != "" {
		v.Set("domain", o.Domain)
	}
	v["role"] = o.Roles
	answer, err := c.sendBody(ctx, "POST", "/security/user/_import?"+v.Encode(), media, lines)
	if err != nil {
		return out, err
	}
	return out, read(answer, &out)
}
