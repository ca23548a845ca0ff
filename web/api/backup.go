package api

import "time"

// Names inside a backup, which is a tar of the two, the manifest first.
const (
	BackupManifest = "manifest.json"
	BackupStore    = "husk.db"
)

// Manifest tells what a backup holds.
type Manifest struct {
	Version string           `json:"version"` // of the husk that made it
	Schema  int              `json:"schema"`
	Created time.Time        `json:"created"`
	Counts  map[string]int64 `json:"counts"` // users, tokens, sessions, roles, keys
	Size    int64            `json:"size"`   // of husk.db, bytes
	SHA256  string           `json:"sha256"` // of husk.db, hex
}
