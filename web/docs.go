package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"html/template"
	"io"
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
// a seventh of the size, which is what the binary has, and plain.html.gz, the same to be
// read without a script.
//
//go:generate go test . -run ^TestOpenAPI(File|Plain)$ -update-openapi

//go:embed openapi/openapi.json.gz openapi/plain.html.gz openapi/page openapi/viewer/*.gz openapi/viewer/*.txt
var openAPIFiles embed.FS

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
		tags[path] = console.EntityTag(body)
		return err
	})
	return tags
})

func (s *Server) openAPI(c echo.Context, _ *db.Actor) error {
	return serveEmbedded(c, "openapi.json.gz", "application/json")
}

// docsPage is the page itself.
var docsPage = console.References(func() template.HTML {
	packed, err := openAPIFiles.ReadFile("openapi/plain.html.gz")
	if err != nil {
		panic(err) // it is embedded
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return template.HTML(text)
})

func (s *Server) docs(c echo.Context, _ *db.Actor) error {
	docsPage(c.Response(), c.Request())
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
