package console

import (
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"net/http"
	"sync"
)

// Reference is the page that shows what the API can be asked for. It is there for who is
// not signed in, too: so it has neither the shell nor a card around it.
type Reference struct {
	Plain template.HTML // the reference in English, for browsers without script
}

func (Reference) view() (file string, title Text) { return "reference.html", say("reference.title") }
func (Reference) bare()                           {}

// referencePolicy lets the viewer run, ask this server, and show the icons that its
// style sheet has inside.
const referencePolicy = "default-src 'none'; script-src 'self'; object-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; connect-src 'self'; form-action 'none'"

// References makes the page once for each language and theme, when the first is asked
// for; what it returns answers with the one that the request asks for. Its path has no
// hash: a browser asks each time whether the page is still the same.
func References(plain func() template.HTML) http.HandlerFunc {
	all := sync.OnceValue(func() map[look]Asset {
		pages, page := map[look]Asset{}, Reference{Plain: plain()}
		for _, l := range languages() {
			for _, theme := range themes {
				one := look{language: l, theme: theme}
				body, err := render(one, frame{Page: page})
				if err != nil {
					panic(err) // what is embedded can be filled in, and a test does it
				}
				pages[one] = Asset{Type: "text/html; charset=utf-8", Body: compressed(body), Gzip: true, Cache: "public, no-cache", Tag: EntityTag(body)}
			}
		}
		return pages
	})
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Security-Policy"], h["Vary"] = []string{PolicyOf(Reference{})}, []string{"Cookie", "Accept-Language"}
		all()[lookOf(r)].ServeHTTP(w, r)
	}
}

// EntityTag is weak: one for both encodings of a body.
func EntityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}
