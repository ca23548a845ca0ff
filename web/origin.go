package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4/middleware"
)

// originHost is a host as browsers write it in an Origin header: a name in
// ASCII or an address, lower case. No pattern is one.
var originHost = regexp.MustCompile(`^([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)

var defaultPorts = map[string]string{"http": ":80", "https": ":443"}

// ParseOrigin reads the scheme and host under which browsers reach a server,
// and returns them as browsers write them (RFC 6454, 6.2): in lower case,
// without the scheme's own port, without a slash at the end. Otherwise what an
// operator wrote would equal no Origin that is ever sent.
func ParseOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || defaultPorts[u.Scheme] == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || strings.ContainsAny(text, "?#") {
		return "", errOrigin
	}
	host := strings.ToLower(u.Host)
	if !originHost.MatchString(host) {
		return "", errOrigin
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, defaultPorts[u.Scheme]), nil
}

var errOrigin = errors.New("it is the scheme and host under which browsers reach husk, such as https://id.example.com")

// foreign tells whether a script of another origin that is let in sent r. It is
// set no cookie: what it holds itself is all that it gets, and who uses the
// browser is signed in to nothing by it, nor signed out.
func (s *Server) foreign(r *http.Request) bool {
	if !slices.Contains(s.CORSOrigins, r.Header.Get("Origin")) {
		return false
	}
	asked := r.WithContext(r.Context())
	asked.Method = http.MethodPost // or it would not be looked at
	return s.csrf.Check(asked) != nil
}

// fromOwnPage tells whether a browser says that a page of this server, or the
// person, made it send r. Silence is no proof: on plain http browsers send no
// Sec-Fetch-Site, and a page can keep its own address out of Referer, but never
// put another's into it.
func (s *Server) fromOwnPage(r *http.Request) bool {
	asked := r.WithContext(r.Context())
	asked.Method = http.MethodPost // or it would not be looked at
	if r.Header.Get("Sec-Fetch-Site") == "" {
		origin := cmp.Or(r.Header.Get("Origin"), originOf(r.Header.Get("Referer")))
		if origin == "" {
			return false
		}
		asked.Header = http.Header{"Origin": {origin}}
	}
	return s.csrf.Check(asked) == nil
}

// originOf is the origin of a page's address; "" where there is none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// allowOrigins lets scripts of other origins call the API with a credential
// that they hold themselves. Cookies are never theirs to use: the answer does
// not allow credentials, and unsafe requests are still checked for origin.
func (s *Server) allowOrigins(origins []string) {
	if len(origins) == 0 {
		return // closed
	}
	s.echo.Pre(middleware.CORSWithConfig(middleware.CORSConfig{
		// Not AllowOrigins: echo would read patterns in them.
		AllowOriginFunc: func(origin string) (bool, error) { return slices.Contains(origins, origin), nil },
		AllowMethods:    []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowHeaders:    []string{"Authorization", "Content-Type", "X-API-TOKEN"},
		ExposeHeaders:   []string{headerRequestID, "Retry-After"},
		MaxAge:          600,
	}))
}
