package web

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"husk/web/api"
)

// object is a JSON object.
type object = map[string]any

// document is OpenAPI 3.1.1, 4.8.1.
type document struct {
	OpenAPI    string   `json:"openapi"`
	Info       object   `json:"info"`
	Servers    []object `json:"servers"`
	Tags       []object `json:"tags"`
	Paths      object   `json:"paths"`
	Components object   `json:"components"`
}

// builder makes the document out of the table of routes, the table of
// operations, and package api.
type builder struct {
	t        *testing.T
	comments map[string]string // by type, and by type and field
	schemas  object
	used     map[string]bool // of values
}

func buildOpenAPI(t *testing.T) []byte {
	t.Helper()
	b := &builder{t: t, comments: readComments(t), schemas: object{}, used: map[string]bool{}}
	d := document{
		OpenAPI: "3.1.1",
		Info: object{"title": "Husk", "version": "1", "summary": "Accounts, sessions and API tokens for what you host yourself.",
			"description": aboutAPI, "license": object{"name": "Apache License 2.0", "identifier": "Apache-2.0"}},
		Servers: []object{{"url": "/", "description": "The server that this description is read from."}},
		Paths:   b.paths(),
	}
	for _, tag := range tags {
		d.Tags = append(d.Tags, object{"name": tag.name, "description": tag.about})
	}
	d.Components = object{"schemas": b.schemas, "responses": b.responses(), "parameters": listComponents(), "securitySchemes": securitySchemes()}
	for name := range values {
		if !b.used[name] {
			t.Errorf("values names %s, which no answer and no body has: take it out", name)
		}
	}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// readComments returns what the source of package api says of its types and
// their fields.
func readComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range tree.Decls {
			d, ok := declaration.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				continue
			}
			for _, spec := range d.Specs {
				commentsOf(d, spec.(*ast.TypeSpec), comments)
			}
		}
	}
	return comments
}

func commentsOf(d *ast.GenDecl, spec *ast.TypeSpec, comments map[string]string) {
	comments[spec.Name.Name] = oneLine(d.Doc)
	s, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		for _, name := range f.Names {
			comments[spec.Name.Name+"."+name.Name] = strings.TrimSpace(oneLine(f.Doc) + " " + oneLine(f.Comment))
		}
	}
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// paths describes every route; the tests of the tables tell of those that are
// missing.
func (b *builder) paths() object {
	paths := object{}
	for _, r := range (&Server{}).routes() {
		o, ok := operations[r.method+" "+r.path]
		if !ok {
			continue
		}
		path := openAPIPath(r.path)
		if paths[path] == nil {
			paths[path] = object{}
		}
		paths[path].(object)[strings.ToLower(r.method)] = b.operation(r, o)
	}
	return paths
}

// openAPIPath writes a path of the router as OpenAPI does: {id} for :id.
func openAPIPath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

func (b *builder) operation(r route, o operation) object {
	out := object{
		"operationId": o.id, "tags": []string{o.tag}, "summary": o.summary,
		"description": strings.TrimSpace(o.about + "\n\n" + needText(r.need)),
		"security":    security(r.need, o),
		"responses":   b.answers(r, o),
	}
	if r.need.kind == permitted {
		out["x-permission"] = r.need.permission
	}
	if p := b.parameters(r, o); len(p) > 0 {
		out["parameters"] = p
	}
	if body, needed := bodyOf(r, o); body != nil {
		out["requestBody"] = object{"required": needed, "content": b.content(body, o)}
	}
	return out
}

func needText(n need) string {
	switch n.kind {
	case permitted:
		return "Needs the permission `" + n.permission + "`."
	case ownSession:
		return "Needs a session: an API token is not enough."
	case signedIn:
		return "Needs any valid credential."
	}
	return "Needs no credential."
}

// security names the ways to show a credential of which one is needed.
func security(n need, o operation) []object {
	session := []object{{"bearer": []string{}}, {"cookie": []string{}}, {"secureCookie": []string{}}}
	switch {
	case o.ends:
		return append([]object{{}}, session...)
	case n.kind == public:
		return []object{}
	case n.kind == ownSession:
		return session
	}
	return append([]object{{"token": []string{}}}, session...)
}

func securitySchemes() object {
	return object{
		"token": object{"type": "apiKey", "in": "header", "name": "X-API-TOKEN", "description": "An API token, for programs."},
		"bearer": object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
			"description": "The access_token that a sign-in answers with."},
		"cookie":       object{"type": "apiKey", "in": "cookie", "name": cookieName, "description": "What a sign-in sets where Husk is reached by http."},
		"secureCookie": object{"type": "apiKey", "in": "cookie", "name": secureCookieName, "description": "What a sign-in sets where Husk is reached by https."},
	}
}

// own are the fields of what a typed function takes, but those that all lists
// share: of them it tells whether they are there.
func own(t reflect.Type) (fields []reflect.StructField, list bool) {
	if t == nil {
		return nil, false
	}
	shared := reflect.TypeFor[listed]()
	list = t == shared
	for _, f := range reflect.VisibleFields(t) {
		list = list || f.Type == shared
		if _, common := shared.FieldByName(f.Name); !f.Anonymous && !(list && common) {
			fields = append(fields, f)
		}
	}
	return fields, list
}

func (b *builder) parameters(r route, o operation) (all []object) {
	if strings.Contains(r.path, ":id") {
		all = append(all, object{"name": "id", "in": "path", "required": true, "description": o.named, "schema": isText})
	}
	if r.do.in == nil {
		for _, p := range o.query {
			all = append(all, queryParameter(p))
		}
		return all
	}
	fields, list := own(r.do.in)
	for _, f := range fields {
		if name, ok := f.Tag.Lookup("query"); ok {
			all = append(all, queryParameter(b.wordsFor(name, f.Type, o)))
		}
	}
	if list {
		for _, p := range listParameters {
			all = append(all, object{"$ref": "#/components/parameters/" + p.name})
		}
	}
	return all
}

// wordsFor returns what the table says of a parameter, with the schema of its
// type where the table has none.
func (b *builder) wordsFor(name string, t reflect.Type, o operation) parameter {
	i := slices.IndexFunc(o.query, func(p parameter) bool { return p.name == name })
	if i < 0 {
		b.t.Errorf("%s takes the parameter %s: add to its query in openapi_table_test.go what that is", o.id, name)
		return parameter{name: name}
	}
	p := o.query[i]
	switch {
	case p.schema != nil:
	case t == reflect.TypeFor[moment]():
		p.schema = b.schema(reflect.TypeFor[time.Time]())
	default:
		p.schema = b.schema(t)
	}
	return p
}

// bodyOf is the type of the body that a route takes, or nil, and whether it has
// to be there.
func bodyOf(r route, o operation) (body reflect.Type, needed bool) {
	if r.do.in == nil {
		return reflect.TypeOf(o.example), true
	}
	for _, f := range inFields(r.do.in, nil) {
		if f.from == "body" && f.name != "ignored" {
			return r.do.in.FieldByIndex(f.index).Type, f.name == "required"
		}
	}
	return nil, false
}

// answerOf is the type of what a route answers; nil where that has none.
func answerOf(r route, o operation) reflect.Type {
	if out := r.do.out; out != nil {
		if out.Kind() == reflect.Pointer && strings.HasPrefix(out.Elem().Name(), "withCookies[") {
			body, _ := out.Elem().FieldByName("body")
			return body.Type
		}
		return out
	}
	return reflect.TypeOf(o.answer)
}

func queryParameter(p parameter) object {
	return object{"name": p.name, "in": "query", "description": p.about, "schema": p.schema}
}

func listComponents() object {
	out := object{}
	for _, p := range listParameters {
		out[p.name] = queryParameter(p)
	}
	return out
}

func (b *builder) content(body reflect.Type, o operation) object {
	media := o.media
	if media == nil {
		media = []string{"application/json"}
	}
	content := object{}
	for _, m := range media {
		if o.line {
			content[m] = object{"schema": isText, "example": mustJSON(b.t, o.example) + "\n", "x-line": b.schema(body)}
		} else {
			content[m] = object{"schema": b.schema(body), "example": o.example}
		}
	}
	for m, example := range o.texts {
		content[m] = object{"schema": isText, "example": example}
	}
	return content
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// answers are the success, the refusals that the route can come to, and the
// envelope of whatever else goes wrong.
func (b *builder) answers(r route, o operation) object {
	success, answer := object{"description": "Done."}, answerOf(r, o)
	switch {
	case o.streamed == "":
		success["content"] = object{"application/json": object{"schema": b.schema(answer)}}
	case answer != nil:
		success["content"] = object{o.streamed: object{"schema": isText, "x-line": b.schema(answer)}}
	default:
		success["content"] = object{o.streamed: object{}}
	}
	out := object{"200": success, "default": object{"$ref": "#/components/responses/default"}}
	for _, status := range statusesOf(r, o) {
		out[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + strconv.Itoa(status)}
	}
	if r.page {
		out["303"] = object{"$ref": "#/components/responses/303"}
	}
	return out
}

func statusesOf(r route, o operation) []int {
	all := append(slices.Clone(o.also), 421)
	if r.need.kind != public {
		all = append(all, 400, 401, 403)
	}
	if r.method != http.MethodGet {
		all = append(all, 403, 507) // from another origin; the disk is full
	}
	if body, _ := bodyOf(r, o); body != nil {
		all = append(all, 400, 413, 415)
	}
	if r.effect == changes {
		all = append(all, 429)
	}
	if strings.Contains(r.path, ":id") {
		all = append(all, 404)
	}
	return all
}

func (b *builder) responses() object {
	schema := b.schema(reflect.TypeFor[api.Error]())
	out := object{"default": object{"description": "Anything else that went wrong.", "content": object{"application/json": object{"schema": schema}}}}
	out["303"] = object{"description": "To a browser's form, where Accept names text/html, instead of 200; refusals are pages then.",
		"headers": object{"Location": object{"description": "A path of this server.", "schema": isText}}}
	for status, r := range refusals {
		example := api.Error{Status: status, Detail: api.ErrorDetail{Reason: r.reason, Code: r.code}}
		one := object{"description": r.about, "content": object{"application/json": object{"schema": schema, "example": example}}}
		switch status {
		case 401:
			one["headers"] = object{"WWW-Authenticate": object{"description": "RFC 6750, 3.", "schema": isText}}
		case 429, 503:
			one["headers"] = object{"Retry-After": object{"description": "Seconds.", "schema": object{"type": "integer", "minimum": 1}}}
		}
		out[strconv.Itoa(status)] = one
	}
	return out
}

// schema returns the schema of a type; that of a struct is a component, and
// this a reference to it.
func (b *builder) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return b.schema(t.Elem())
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": b.schema(t.Elem())}
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Interface:
		return object{"type": "object"}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": b.schema(t.Elem())}
	case t.Kind() == reflect.Struct && t.Name() == "":
		return b.members(t)
	case t.Kind() == reflect.Struct:
		name := schemaName(t)
		if b.schemas[name] == nil {
			b.schemas[name] = object{} // a type that has itself inside ends here
			b.schemas[name] = b.members(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	}
	return b.simple(t)
}

func (b *builder) simple(t reflect.Type) object {
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	}
	b.t.Fatalf("a wire type has a member of type %s: say in (*builder).schema how that is written", t)
	return nil
}

// schemaName is the name of a type, and TokenSearch for Search[Token].
func schemaName(t reflect.Type) string {
	outer, inner, generic := strings.Cut(t.Name(), "[")
	if !generic {
		return outer
	}
	inner = strings.TrimSuffix(inner, "]")
	return inner[strings.LastIndexByte(inner, '.')+1:] + outer
}

// members is the schema of a struct. A member without omitempty is always
// there.
func (b *builder) members(t reflect.Type) object {
	properties, required := object{}, []string{}
	b.addMembers(t, properties, &required)
	out := object{"type": "object"}
	if len(properties) > 0 {
		out["properties"] = properties
	}
	if len(required) > 0 {
		slices.Sort(required)
		out["required"] = required
	}
	outer, _, _ := strings.Cut(t.Name(), "[")
	if about := b.comments[outer]; about != "" {
		out["description"] = about
	}
	return out
}

func (b *builder) addMembers(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			b.addMembers(f.Type, properties, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			b.t.Fatalf("%s.%s goes out without a json tag", t, f.Name)
		}
		absent := strings.Contains(options, "omitempty")
		if !absent {
			*required = append(*required, name)
		}
		properties[name] = b.member(t, f, absent)
	}
}

func (b *builder) member(t reflect.Type, f reflect.StructField, absent bool) object {
	s := maps.Clone(b.schema(f.Type))
	outer, _, _ := strings.Cut(t.Name(), "[")
	at := outer + "." + f.Name
	if words := values[at]; words != nil {
		s["enum"], b.used[at] = words, true
	}
	if f.Type.Kind() == reflect.Pointer && !absent {
		if s["$ref"] != nil {
			s = object{"anyOf": []any{s, object{"type": "null"}}}
		} else {
			s["type"] = []any{s["type"], "null"}
		}
	}
	if strings.Contains(f.Name, "Password") && f.Type.Kind() == reflect.String && f.Name != "PasswordHash" {
		s["format"] = "password"
	}
	if about := b.comments[at]; about != "" {
		s["description"] = strings.ToUpper(about[:1]) + strings.TrimSuffix(about[1:], ".") + "."
	}
	return s
}
