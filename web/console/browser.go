package console

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// IsSafeMethod tells whether a request only asks for what is there (RFC 9110,
// 9.2.1).
func IsSafeMethod(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// IsForm tells whether a request says that its body is a form.
func IsForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// isUpload tells whether a request is a form with a file, for a page of the house:
// nothing else takes one.
func isUpload(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "multipart/form-data" && InHouse(r.URL.Path)
}

// fromBrowser tells whether a browser may have sent this: a form at most, and
// no credential in a header, which only programs send.
func (c *Console) fromBrowser(r *http.Request) bool {
	return (IsSafeMethod(r) || IsForm(r) || isUpload(r)) && !c.IsProgram(r.Header)
}

// WantsPage tells whether a person reads the answer: a browser asks, and it
// names text/html.
func (c *Console) WantsPage(r *http.Request) bool {
	return c.fromBrowser(r) && Accepts(r.Header["Accept"], "text/html")
}

// Accepts tells whether a header such as Accept names what is offered, by this
// name. A weight other than zero makes no difference (RFC 9110, 12.4.2).
func Accepts(lines []string, offered string) bool {
	for one := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, parameters, _ := strings.Cut(one, ";")
		if strings.EqualFold(strings.TrimSpace(name), offered) && !refused(parameters) {
			return true
		}
	}
	return false
}

// refused tells whether the parameters of what is accepted say q=0.
func refused(parameters string) bool { return weightOf(parameters) == 0 }

// weightOf is the weight that the parameters of what is accepted give it, 1 where
// they give none.
func weightOf(parameters string) float64 {
	for one := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if q, err := strconv.ParseFloat(value, 64); strings.EqualFold(name, "q") && err == nil {
			return q
		}
	}
	return 1
}
