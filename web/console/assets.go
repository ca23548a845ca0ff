package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
)

//go:embed static
var staticFiles embed.FS

//go:embed favicon.ico
var faviconBody []byte

// Favicon is the icon for browsers that ask for one at /favicon.ico: husk.svg at
// 16 and at 32 pixels. The path has no hash, so it is kept for a day.
var Favicon = Asset{Type: "image/x-icon", Body: faviconBody, Cache: "public, max-age=86400"}

// AssetPath is the path under which FindAsset's names stand.
const AssetPath = "/assets/"

// Asset is a static file, as it is answered.
type Asset struct {
	Type  string // Content-Type
	Body  []byte
	Gzip  bool   // Body is compressed
	Cache string // Cache-Control
	Tag   string // entity tag; "": none
}

// ServeHTTP answers with the file, or that the browser has it already.
func (a Asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Cache-Control"] = []string{a.Cache}
	if a.Gzip {
		h["Vary"] = append(h["Vary"], "Accept-Encoding")
	}
	if a.Tag != "" {
		h["Etag"] = []string{a.Tag}
		if strings.Contains(r.Header.Get("If-None-Match"), a.Tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h["Content-Type"] = []string{a.Type}
	body := io.Reader(bytes.NewReader(a.Body))
	if a.Gzip && Accepts(r.Header["Accept-Encoding"], "gzip") {
		h["Content-Encoding"] = []string{"gzip"}
	} else if a.Gzip {
		body, _ = gzip.NewReader(body) // what is embedded can be read
	}
	_, _ = io.Copy(w, body) // who asked may have left
}

// assetTypes is the table of what is served, by name in static/.
var assetTypes = map[string]string{
	"console.js":   "text/javascript; charset=utf-8",
	"countdown.js": "text/javascript; charset=utf-8",
	"passkey.js":   "text/javascript; charset=utf-8",
	"husk.css":     "text/css; charset=utf-8",
	"palette.css":  "text/css; charset=utf-8",
	"husk.svg":     "image/svg+xml",
}

type assetTable struct {
	byName map[string]Asset  // by name with hash
	urls   map[string]string // by name in static/
}

// The names hold a hash of the bodies, so they may be cached for ever.
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
		t.byName[name], t.urls[file] = Asset{Type: kind, Body: compressed(body), Gzip: true, Cache: "public, max-age=31536000, immutable"}, AssetPath+name
	}
	return t
})

func compressed(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one that there is
	_, _ = z.Write(body)                                  // into memory
	_ = z.Close()
	return b.Bytes()
}

// FindAsset returns the static file of exactly that name. It looks into a
// table, never into a folder: no spelling of a path leads elsewhere.
func FindAsset(name string) (Asset, bool) {
	a, ok := assets().byName[name]
	return a, ok
}

// AssetURL is the path of a file of static/, with its hash.
func AssetURL(file string) string { return assets().urls[file] }
