package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"husk/web/api"
	"husk/web/console"
)

var updateOpenAPI = flag.Bool("update-openapi", false, "write openapi/openapi.json anew")

const openAPIFile = "openapi/openapi.json"

func TestOpenAPIFile(t *testing.T) {
	want := buildOpenAPI(t)
	if *updateOpenAPI && !t.Failed() {
		if err := errors.Join(os.WriteFile(openAPIFile, want, 0o644), os.WriteFile(openAPIFile+".gz", compressed(t, want), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) || !bytes.Equal(servedOpenAPI(t), want) {
		t.Errorf("%s, or the same compressed, is not what the code says any more: run 'go generate ./web' and look at the difference", openAPIFile)
	}
}

func compressed(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// servedOpenAPI is what the binary has.
func servedOpenAPI(t *testing.T) []byte {
	t.Helper()
	packed, err := openAPIFiles.ReadFile(openAPIFile + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	in, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOpenAPIRoutes(t *testing.T) {
	s, _, _ := benchServer(t)
	served := map[string]bool{}
	for _, r := range s.echo.Routes() {
		served[r.Method+" "+r.Path] = true
	}
	for key := range served {
		// HEAD is its GET without the body, which the introduction says once.
		if path, head := strings.CutPrefix(key, "HEAD "); head && served["GET "+path] {
			delete(served, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(served)) {
		_, described := operations[key]
		switch {
		case described && htmlOnly[key]:
			t.Errorf("%s is in operations and in htmlOnly of openapi_table_test.go: take it out of one", key)
		case !described && !htmlOnly[key] && !console.InHouse(pathOf(key)):
			t.Errorf("%s is not described: add to operations in openapi_table_test.go\n\t%q: {id: \"METHOD OF api.Client\", tag: …, summary: …},\n"+
				"or, where it answers browsers with HTML only, to htmlOnly; then run 'go generate ./web'", key, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(operations)) {
		if !served[key] {
			t.Errorf("there is no route %s: take it out of operations in openapi_table_test.go and run 'go generate ./web'", key)
		}
	}
	for key := range htmlOnly {
		if !served[key] {
			t.Errorf("there is no route %s: take it out of htmlOnly in openapi_table_test.go", key)
		}
	}
	checkPaths(t, served)
}

// checkPaths holds the embedded document itself to the router.
func checkPaths(t *testing.T, served map[string]bool) {
	described := map[string]bool{}
	for path, item := range readOpenAPI(t)["paths"].(object) {
		for method := range item.(object) {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	routes := map[string]bool{}
	for key := range served {
		if method, path, _ := strings.Cut(key, " "); !htmlOnly[key] && !console.InHouse(path) {
			routes[method+" "+openAPIPath(path)] = true
		}
	}
	if !maps.Equal(described, routes) {
		t.Errorf("openapi.json has the paths\n%q\nthe router has\n%q\nrun 'go generate ./web'", slices.Sorted(maps.Keys(described)), slices.Sorted(maps.Keys(routes)))
	}
}

func readOpenAPI(t *testing.T) object {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(servedOpenAPI(t)))
	if err != nil {
		t.Fatal(err)
	}
	return v.(object)
}

// The schema of OpenAPI 3.1 leaves schemas alone; that they are schemas of
// JSON Schema 2020-12, compiling each of them shows.
func TestOpenAPIValid(t *testing.T) {
	c := jsonschema.NewCompiler()
	meta, err := c.Compile("openapi/testdata/openapi-3.1-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document := readOpenAPI(t)
	if err := meta.Validate(document); err != nil {
		t.Errorf("openapi.json is no OpenAPI 3.1: %v", err)
	}
	if err := c.AddResource("husk.json", document); err != nil {
		t.Fatal(err)
	}
	n := 0
	eachSchema("#", "", document, func(pointer string) {
		n++
		if _, err := c.Compile("husk.json" + pointer); err != nil {
			t.Errorf("%s is no JSON Schema: %v", pointer, err)
		}
	})
	if n < 100 {
		t.Errorf("only %d schemas were found", n)
	}
	eachReference(document, func(ref string) {
		if lookUpPointer(document, ref) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	if err := meta.Validate(object{"openapi": "3.1.1", "info": object{"title": "no version"}, "paths": object{}}); err == nil {
		t.Error("the schema of OpenAPI takes a document without a version: this test shows nothing")
	}
}

// eachSchema finds the JSON pointers of all schemas of the document.
func eachSchema(at, key string, v any, found func(pointer string)) {
	switch v := v.(type) {
	case object:
		for name, inner := range v {
			pointer := at + "/" + escapePointer(name)
			if key == "schemas" || name == "schema" {
				found(pointer)
			} else {
				eachSchema(pointer, name, inner, found)
			}
		}
	case []any:
		for i, inner := range v {
			eachSchema(at+"/"+strconv.Itoa(i), "", inner, found)
		}
	}
}

func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(name)
}

func eachReference(v any, found func(ref string)) {
	switch v := v.(type) {
	case object:
		for name, inner := range v {
			if ref, ok := inner.(string); ok && name == "$ref" {
				found(ref)
			}
			eachReference(inner, found)
		}
	case []any:
		for _, inner := range v {
			eachReference(inner, found)
		}
	}
}

func lookUpPointer(v any, pointer string) any {
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
		o, _ := v.(object)
		v = o[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}

// TestOpenAPIClient: whoever programs against Husk in Go finds every route,
// with an example.
func TestOpenAPIClient(t *testing.T) {
	methods := map[string]bool{}
	for m := range reflect.TypeFor[*api.Client]().Methods() {
		methods[m.Name] = true
	}
	ids := map[string]string{}
	for key, o := range operations {
		if other := ids[o.id]; other != "" {
			t.Errorf("%s and %s have one id, %s: an id names one operation", key, other, o.id)
		}
		ids[o.id] = key
		switch {
		case methods[o.id] && withoutClient[o.id] != "":
			t.Errorf("api.Client has %s: take it out of withoutClient in openapi_table_test.go", o.id)
		case !methods[o.id] && withoutClient[o.id] == "":
			t.Errorf("api.Client has no method %s for %s: add it to api/client.go, or add the id with a reason to withoutClient in openapi_table_test.go", o.id, key)
		}
	}
	for id := range withoutClient {
		if ids[id] == "" {
			t.Errorf("withoutClient in openapi_table_test.go names %s, which is no operation", id)
		}
	}
	source, err := os.ReadFile("api/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range methods {
		if ids[name] == "" {
			t.Errorf("api.Client has %s, which is the id of no operation: give it to its route in openapi_table_test.go", name)
		}
		if !regexp.MustCompile(`(?m)^func ExampleClient_` + name + `\(\)`).Match(source) {
			t.Errorf("api/example_test.go has no func ExampleClient_%s(): add one with an // Output:", name)
		}
	}
}

// Every type and member that goes over the wire is described, but those that
// say it all by their name.
func TestOpenAPIDescriptions(t *testing.T) {
	for name, schema := range readOpenAPI(t)["components"].(object)["schemas"].(object) {
		if schema.(object)["description"] == nil {
			t.Errorf("%s has no description: give its type in package api a comment", name)
		}
	}
	for key, o := range operations {
		if o.summary == "" || o.tag == "" || strings.HasSuffix(o.summary, ".") {
			t.Errorf("%s: a tag and a summary without a full stop are needed", key)
		}
		if strings.Contains(key, ":id") != (o.named != "") {
			t.Errorf("%s: named says what the :id of the path is, where it has one", key)
		}
	}
}

// What a typed function takes and answers its types say, and the table has words
// for all of it and for nothing else.
func TestOpenAPITypes(t *testing.T) {
	for _, r := range (&Server{}).routes() {
		key := r.method + " " + r.path
		o, described := operations[key]
		if described {
			for _, fault := range misfits(r, o) {
				t.Errorf("%s: %s", key, fault)
			}
		}
	}
}

// misfits tells where what the table says of a route is not what the route is.
func misfits(r route, o operation) (faults []string) {
	body, _ := bodyOf(r, o)
	if reflect.TypeOf(o.example) != body {
		faults = append(faults, fmt.Sprintf("the example is of type %T, and the body of %v", o.example, body))
	}
	if r.do.in == nil {
		if o.answer == nil && o.streamed == "" {
			faults = append(faults, "it is raw: say in answer or streamed what it answers")
		}
		return faults
	}
	if o.answer != nil || o.media != nil && !r.page || o.line || o.streamed != "" {
		faults = append(faults, "its types say what it answers and reads: take out answer, media, line and streamed")
	}
	fields, _ := own(r.do.in)
	for _, p := range o.query {
		if !slices.ContainsFunc(fields, func(f reflect.StructField) bool { return f.Tag.Get("query") == p.name }) {
			faults = append(faults, "it takes no parameter "+p.name+": take it out of query")
		}
	}
	if strings.Contains(r.path, ":id") != slices.ContainsFunc(inFields(r.do.in, nil), func(f field) bool { return f.from == "path" && f.name == "id" }) {
		faults = append(faults, "the :id of its path is read where there is one")
	}
	return faults
}

func pathOf(key string) string {
	_, path, _ := strings.Cut(key, " ")
	return path
}
