package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"strings"
	"sync"
)

//go:embed static
var staticFiles embed.FS

// Favicon is the icon for browsers that ask for one at /favicon.ico: husk.svg at
// 16 and at 32 pixels.
//
//go:embed favicon.ico
var Favicon []byte

// AssetPath is the path under which FindAsset's names stand.
const AssetPath = "/assets/"

// Asset is a static file. Its name holds a hash of its body, so it may be
// cached for ever.
type Asset struct {
	Type string // Content-Type
	Body []byte
}

// assetTypes is the table of what is served, by name in static/.
var assetTypes = map[string]string{
	"countdown.js": "text/javascript; charset=utf-8",
	"husk.css":     "text/css; charset=utf-8",
	"husk.svg":     "image/svg+xml",
}

type assetTable struct {
	byName map[string]Asset  // by name with hash
	urls   map[string]string // by name in static/
}

var assets = sync.OnceValue(func() assetTable {
	t := assetTable{byName: map[string]Asset{}, urls: map[string]string{}}
	for file, kind := range assetTypes {
		body, err := staticFiles.ReadFile("static/" + file)
		if err != nil {
			panic(err) // the table names a file that was not embedded
		}
		sum := sha256.Sum256(body)
		stem, ext, _ := strings.Cut(file, ".")
		name := stem + "." + hex.EncodeToString(sum[:6]) + "." + ext
		t.byName[name], t.urls[file] = Asset{Type: kind, Body: body}, AssetPath+name
	}
	return t
})

// FindAsset returns the static file of exactly that name. It looks into a
// table, never into a folder: no spelling of a path leads elsewhere.
func FindAsset(name string) (Asset, bool) {
	a, ok := assets().byName[name]
	return a, ok
}

// AssetURL is the path of a file of static/, with its hash.
func AssetURL(file string) string { return assets().urls[file] }
