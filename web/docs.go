package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"husk/db"
	"husk/web/console"
)

// This file serves the description of the API, openapi.json, and the page that
// shows it. Both are in the binary; the page asks nobody else for anything.

// What openapi.json says is written in openapi_table_test.go and in package
// api; the tests fail where it is out of date. Beside it is the same compressed,
// a seventh of the size, which is what the binary has.
//
//go:generate go test . -run ^TestOpenAPIFile$ -update-openapi

//go:embed openapi/openapi.json.gz openapi/page openapi/viewer/*.gz openapi/viewer/*.txt
var openAPIFiles embed.FS

// valueDocsCSP lets the page run its scripts and styles and speak to this
// server, and nothing else. The viewer's style sheet has its icons inside.
var valueDocsCSP = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}

// docsFiles is every file that is served, by the name under /docs/. The viewer
// is embedded compressed: a name with .gz is sent as it is.
var docsFiles = map[string]struct{ embedded, contentType string }{
	"docs.js":              {"page/docs.js", "text/javascript; charset=utf-8"},
	"docs.css":             {"page/docs.css", "text/css; charset=utf-8"},
	"swagger-ui-bundle.js": {"viewer/swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"},
	"swagger-ui.css":       {"viewer/swagger-ui.css.gz", "text/css; charset=utf-8"},
	"LICENSE.txt":          {"viewer/LICENSE.txt", "text/plain; charset=utf-8"},
	"NOTICE.txt":           {"viewer/NOTICE.txt", "text/plain; charset=utf-8"},

	"swagger-ui-bundle.js.LICENSE.txt": {"viewer/swagger-ui-bundle.js.LICENSE.txt", "text/plain; charset=utf-8"},
}

// openAPITags are the entity tags of the embedded files, made at the first
// request: a command that serves itself pays nothing.
var openAPITags = sync.OnceValue(func() map[string]string {
	tags := map[string]string{}
	// Neither walking nor reading what is embedded can fail.
	_ = fs.WalkDir(openAPIFiles, "openapi", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := openAPIFiles.ReadFile(path)
		tags[path] = entityTag(body)
		return err
	})
	return tags
})

// entityTag is weak: one for both encodings.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}

func (s *Server) openAPI(c echo.Context, _ *db.Actor) error {
	return serveEmbedded(c, "openapi.json.gz", "application/json")
}

// docsPages is the page itself in each theme, with the names of the assets that it
// has in common with the pages of the console.
var docsPages = sync.OnceValue(func() map[string]console.Asset {
	page := template.Must(template.New("docs.html").Funcs(template.FuncMap{"asset": console.AssetURL}).ParseFS(openAPIFiles, "openapi/page/docs.html"))
	all := map[string]console.Asset{}
	for _, theme := range []string{"", "light", "dark"} {
		var body bytes.Buffer
		if err := page.Execute(&body, theme); err != nil {
			panic(err) // what is embedded can be filled in
		}
		all[theme] = console.Asset{Type: "text/html; charset=utf-8", Body: body.Bytes(), Cache: "public, no-cache", Tag: entityTag(body.Bytes())}
	}
	return all
})

func (s *Server) docs(c echo.Context, _ *db.Actor) error {
	h := c.Response().Header()
	h["Content-Security-Policy"], h["Vary"] = valueDocsCSP, []string{"Cookie"}
	docsPages()[console.ThemeOf(c.Request())].ServeHTTP(c.Response(), c.Request())
	return nil
}

func (s *Server) docsFile(c echo.Context, _ *db.Actor) error {
	f, ok := docsFiles[c.Param("name")]
	if !ok {
		return echo.ErrNotFound
	}
	return serveEmbedded(c, f.embedded, f.contentType)
}

// serveEmbedded answers with a file of openAPIFiles. The name of a file does not
// tell its version: a browser asks each time whether it is still the same.
func serveEmbedded(c echo.Context, name, contentType string) error {
	path := "openapi/" + name
	body, err := openAPIFiles.ReadFile(path)
	if err != nil {
		return err
	}
	console.Asset{
		Type: contentType, Body: body, Gzip: strings.HasSuffix(name, ".gz"), Cache: "public, no-cache", Tag: openAPITags()[path],
	}.ServeHTTP(c.Response(), c.Request())
	return nil
}
