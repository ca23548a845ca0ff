package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"husk/db"
)

type everyField struct {
	named
	paged
	Text    string `query:"text"`
	Since   moment `query:"since"`
	Request *http.Request
	Body    struct {
		Name string `json:"name"`
	} `body:"optional"`
}

type readBack struct {
	ID, Text, Name, Method string
	From, Size             int
	Since                  time.Time
}

func echoFields(_ context.Context, _ *db.Actor, in *everyField) (*readBack, error) {
	out := &readBack{ID: in.ID, Text: in.Text, Name: in.Body.Name, Method: in.Request.Method, From: int(in.From), Size: -1, Since: time.Time(in.Since)}
	if in.Size != nil {
		out.Size = int(*in.Size)
	}
	return out, nil
}

type neededBody struct {
	Body struct{} `body:"required"`
}

type ignoredBody struct {
	Body struct{} `body:"ignored"`
}

func TestTypedFunction(t *testing.T) {
	h := newTestHouse(t, nil)
	add := func(method, path string, do *action) {
		if err := h.add(route{method: method, path: path, need: isPublic, effect: onlyAsks, do: do}); err != nil {
			t.Fatal(err)
		}
	}
	add("GET POST", "/all/:id", endpoint(echoFields))
	add("POST", "/needed", endpoint(func(context.Context, *db.Actor, *neededBody) ([]string, error) { return []string{"read"}, nil }))
	add("POST", "/ignored", endpoint(func(context.Context, *db.Actor, *ignoredBody) (*nothing, error) { return nil, nil }))
	absent := `{"ID":"a b","Text":"","Name":"","Method":"GET","From":0,"Size":-1,"Since":"0001-01-01T00:00:00Z"}`
	large := strings.Repeat("x", maxBody+1)
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
		want                            string // the body, or the code of the failure
	}{
		"nothing but the path": {"GET", "/all/a%20b", "", "", 200, absent},
		"empty is absent":      {"GET", "/all/a%20b?text=&since=&from=&size=", "", "", 200, absent},
		"all, by its second method": {"POST", "/all/x?text=t&since=2030-12-31T08:00:00Z&from=2&size=0", "application/json", `{"name":"n"}`, 200,
			`{"ID":"x","Text":"t","Name":"n","Method":"POST","From":2,"Size":0,"Since":"2030-12-31T08:00:00Z"}`},
		"a parameter that is none":     {"GET", "/all/x?from=-1", "", "", 400, "bad_page"},
		"a pointer to one":             {"GET", "/all/x?size=many", "", "", 400, "bad_page"},
		"a time that is none":          {"GET", "/all/x?since=yesterday", "", "", 400, "bad_time"},
		"an optional body is read":     {"POST", "/all/x", "application/json", `{"nam":"n"}`, 400, "unknown_member"},
		"a needed body":                {"POST", "/needed", "application/json", "{}", 200, `["read"]`},
		"a needed body is absent":      {"POST", "/needed", "", "", 400, "body_missing"},
		"a needed body is of no JSON":  {"POST", "/needed", "text/plain", "{}", 415, "content_type"},
		"a needed body is too large":   {"POST", "/needed", "application/json", large, 413, "body_too_large"},
		"an ignored body":              {"POST", "/ignored", "text/plain", "not looked at", 200, "null"},
		"an ignored body is too large": {"POST", "/ignored", "text/plain", large, 413, "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.visitor().do(c.method, c.path, c.contentType, c.body)
			if c.status != http.StatusOK {
				a.fails(t, c.status, c.want)
				return
			}
			if a.StatusCode != c.status || strings.TrimSpace(a.body) != c.want {
				t.Errorf("%d %s, not %s", a.StatusCode, a.body, c.want)
			}
		})
	}
}

func TestFieldThatIsReadFromNowhere(t *testing.T) {
	defer func() {
		if p, _ := recover().(string); !strings.Contains(p, "Name does not say from where it is read") {
			t.Errorf("it panics with %q", p)
		}
	}()
	endpoint(func(context.Context, *db.Actor, *struct{ Name string }) (*nothing, error) { return nil, nil })
}
