package web

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
)

// BenchmarkIntrospect measures what an API gateway is told of a token, as
// BenchmarkCheck does, against an echo handler that reads the same form and writes as
// much: once the gateway's own credential is checked, and once the one in the form.
//
//	go test ./web -run '^$' -bench Introspect -benchtime 20000x
func BenchmarkIntrospect(b *testing.B) {
	s, apiToken, jwt := benchServer(b)
	floor := echo.New()
	body := []byte(fmt.Sprintf(`{"floor":%q}`, fmt.Sprintf("%01100d", 0))) // as all permissions are
	floor.POST(introspectPath, func(c echo.Context) error {
		if c.FormValue("token") == "" {
			return echo.ErrBadRequest
		}
		return c.JSONBlob(http.StatusOK, body)
	})
	ask := func(c *benchClient, text string) *benchClient {
		form := "token=" + text
		c.request = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nX-API-TOKEN: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", introspectPath, apiToken, formType, len(form), form)
		return c
	}
	for _, c := range []struct{ name, text string }{{"token", apiToken}, {"JWT", jwt}, {"inactive", apiToken[1:]}} {
		b.Run(c.name, func(b *testing.B) {
			compare(b, ask(dialBench(b, &http.Server{Handler: floor}, ""), c.text), ask(dialBench(b, s.HTTPServer(), ""), c.text))
		})
	}
}
