package api

import (
	"context"
	"io"
	"net/url"
	"time"
)

// Configuration answers GET /system/settings: what runs, as 'husk config show'
// would tell it there.
type Configuration struct {
	File     string          `json:"file"`     // the configuration file; empty: none was named
	Settings []ConfigSetting `json:"settings"` // by name
}

// ConfigSetting is a setting of the configuration.
type ConfigSetting struct {
	Name       string `json:"name"`
	Value      string `json:"value"`          // as text, as a variable would hold it, a list with commas; what stands before the @ of a URL is hidden
	Source     string `json:"source"`         // "flag", "env", "file" or "default"
	Line       int    `json:"line,omitempty"` // of the configuration file, where that is the source
	Group      string `json:"group"`          // "command": of every command; "server"; or "gate", which stands in the file alone
	Default    string `json:"default"`
	About      string `json:"about"`      // what it is, for people
	Variable   string `json:"variable"`   // of the environment; empty: it has none
	Path       bool   `json:"path"`       // the value names files or folders
	Secret     bool   `json:"secret"`     // what the file of that name holds is secret, and is told nowhere
	Reloadable bool   `json:"reloadable"` // SIGHUP applies a change; else a restart does
	Waiting    bool   `json:"waiting"`    // the file has another value since it was read again, which waits for a restart
}

// Backups answers GET /system/backup/_list: what this server keeps of itself.
type Backups struct {
	Kept      bool         `json:"kept"`       // it keeps some; false: no server runs, or it has no backup-dir
	Every     int64        `json:"every"`      // seconds: how old the newest that is made by schedule may become
	Keep      int          `json:"keep"`       // how many are kept of those made by schedule
	KeepAsked int          `json:"keep_asked"` // and of those that were asked for
	Encrypts  bool         `json:"encrypts"`   // the next one is encrypted
	Making    bool         `json:"making"`     // one is being made
	Total     int          `json:"total"`      // how many there are
	Files     []BackupFile `json:"files"`      // the newest first, a thousand at most
}

// BackupFile is a backup that the server made and keeps.
type BackupFile struct {
	Name      string    `json:"name"`
	Made      time.Time `json:"made"`
	Bytes     int64     `json:"bytes"`
	Asked     bool      `json:"asked"`     // somebody asked for it; else it was made by schedule
	Encrypted bool      `json:"encrypted"` // it is handed out so, and opened with the secret key alone
	Manifest  string    `json:"manifest"`  // "ok"; "sealed", where it is encrypted and can't be read here; "bad": the file is cut, or none of husk's; "unreadable"
	Version   string    `json:"version"`   // of the husk that made it; empty where the manifest does not tell
	Schema    int       `json:"schema"`    // of the store in it; 0 where the manifest does not tell
	Users     int64     `json:"users"`
	Tokens    int64     `json:"tokens"`
}

// Configuration tells the settings of the server, and where each comes from.
func (c *Client) Configuration(ctx context.Context) (out Configuration, err error) {
	err = c.do(ctx, "GET", "/system/settings", nil, &out)
	return out, err
}

// Backups tells which backups the server keeps of itself.
func (c *Client) Backups(ctx context.Context) (out Backups, err error) {
	err = c.do(ctx, "GET", "/system/backup/_list", nil, &out)
	return out, err
}

// MakeBackup has the server make a backup of itself now, among those that it
// keeps. It answers when that is whole; the making goes on where ctx ends before.
func (c *Client) MakeBackup(ctx context.Context) (out BackupFile, err error) {
	err = c.do(ctx, "POST", "/system/backup", nil, &out)
	return out, err
}

// KeptBackup writes a backup that the server keeps to w, as it is there: what is
// encrypted stays so. Its errors are those of Backup.
func (c *Client) KeptBackup(ctx context.Context, name string, w io.Writer) error {
	return c.stream(ctx, "/system/backup/_file/"+url.PathEscape(name), w)
}
