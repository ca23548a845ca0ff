package etcd

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func httpServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
