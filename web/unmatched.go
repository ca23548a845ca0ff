package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"husk/web/console"
)

// failUnmatched answers what no route is for: a browser that goes there with a
// page, everybody else with the error.
func (s *Server) failUnmatched(c echo.Context, err error) {
	f := *explain(err)
	if list := s.searchOf(c); list != "" && console.IsSafeMethod(c.Request()) {
		f.reason = "nothing is listed here: GET " + list + " lists it"
	}
	page := f
	page.reason = pageReason(&f)
	if console.IsSafeMethod(c.Request()) && !c.Response().Committed && s.console.Fail(c.Response(), c.Request(), page.wire(), s.dialPageCall(c)) {
		s.logFailure(c, nil, &f)
		return
	}
	s.fail(c, nil, &f)
}

// searchOf is the route that lists what the path is a collection of, or "".
func (s *Server) searchOf(c echo.Context) string {
	list := strings.TrimSuffix(c.Request().URL.Path, "/") + "/_search"
	if s.lists[list] {
		return list
	}
	return ""
}

// pageReason is the reason as a person reads it who typed an address.
func pageReason(f *failure) string {
	if f.status == http.StatusNotFound && f.reason == explainStatus(f.status).reason {
		return "there is no page at this address"
	}
	return f.reason
}
