package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	markdown "github.com/russross/blackfriday/v2"

	"husk/web/console"
)

const plainFile = "openapi/plain.html.gz"

// plainSchema is what of a schema is told in a line; it may be a reference.
type plainSchema struct {
	Ref         string
	Description string
	Type        any // a name, or several
	Enum        []string
	Items       *plainSchema
	AnyOf       []*plainSchema // of what may be null
	Required    []string
	Properties  map[string]*plainSchema
}

// plainContent is bodies by their types.
type plainContent map[string]struct {
	Schema, XLine *plainSchema
	Example       any
}

type plainParameter struct {
	Ref, Name, In, Description string
	Required                   bool
	Schema                     *plainSchema
}

type plainOperation struct {
	Method, Path string

	OperationID, Summary, Description string
	Tags                              []string
	Parameters                        []plainParameter
	RequestBody                       struct{ Content plainContent }
	Responses                         map[string]struct {
		Ref, Description string
		Content          plainContent
	}
}

type plainGroup struct {
	Name, Description string
	Operations        []*plainOperation
}

type plainDocument struct {
	Info       struct{ Description string }
	Tags       []*plainGroup
	Paths      map[string]map[string]*plainOperation
	Components struct {
		Schemas    map[string]*plainSchema
		Parameters map[string]plainParameter
		Responses  map[string]struct {
			Description string
			Content     plainContent
		}
	}
}

// plainReference is the reference as HTML, of the description of the API.
func plainReference(t *testing.T) []byte {
	t.Helper()
	// References and members of ours have names that Go has not.
	text := strings.NewReplacer(`"$ref": "#/components/`, `"ref": "`, `"x-line"`, `"xline"`).Replace(string(buildOpenAPI(t)))
	var d plainDocument
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	for _, r := range (&Server{}).routes() { // in this order
		o := d.Paths[openAPIPath(r.path)][strings.ToLower(r.method)]
		if o == nil {
			continue
		}
		o.Method, o.Path = r.method, openAPIPath(r.path)
		for i, p := range o.Parameters {
			if _, name, shared := strings.Cut(p.Ref, "/"); shared {
				o.Parameters[i] = d.Components.Parameters[name]
			}
		}
		for status, one := range o.Responses {
			if _, name, shared := strings.Cut(one.Ref, "/"); shared {
				one.Description = d.Components.Responses[name].Description
				if name == "default" { // the body of all refusals
					one.Content = d.Components.Responses[name].Content
				}
				o.Responses[status] = one
			}
		}
		at := slices.IndexFunc(d.Tags, func(g *plainGroup) bool { return g.Name == o.Tags[0] })
		d.Tags[at].Operations = append(d.Tags[at].Operations, o)
	}
	var out bytes.Buffer
	if err := plainTemplate.Execute(&out, d); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var plainTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"markdown": func(text string) template.HTML {
		return template.HTML(markdown.Run([]byte(text), markdown.WithNoExtensions()))
	},
	"line": func(text string) template.HTML {
		out := string(markdown.Run([]byte(text), markdown.WithNoExtensions()))
		return template.HTML(strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(out), "<p>"), "</p>"), "</p>\n\n<p>", " "))
	},
	"indent": func(v any) (string, error) {
		if text, ok := v.(string); ok {
			return text, nil
		}
		var out bytes.Buffer
		to := json.NewEncoder(&out)
		to.SetEscapeHTML(false)
		to.SetIndent("", "  ")
		err := to.Encode(v)
		return out.String(), err
	},
	"status": func(code string) string {
		if code == "default" {
			return "else"
		}
		return code
	},
	"type": plainType,
}).Parse(`<div class="about">{{markdown .Info.Description}}</div>
{{range .Tags}}<h2>{{.Name}}</h2>
<p>{{line .Description}}</p>
{{range .Operations}}<details><summary><code>{{.Method}} {{.Path}}</code> {{.Summary}}</summary>
{{markdown .Description}}{{with .Parameters}}<h3>Parameters</h3>
<dl>
{{range .}}<dt><code>{{.Name}}</code></dt><dd>in the {{.In}}, {{type .Schema}}{{if .Required}}, required{{end}}{{with .Description}}. {{line .}}{{end}}</dd>
{{end}}</dl>
{{end}}{{range $kind, $body := .RequestBody.Content}}<h3>Body, {{$kind}}</h3>
<p>{{with .XLine}}Each line: {{end}}{{type (or .XLine .Schema)}}</p>
{{if ne $kind "application/x-www-form-urlencoded"}}{{with .Example}}<pre tabindex="0">{{indent .}}</pre>
{{end}}{{end}}{{end}}<h3>Answers</h3>
<dl>
{{range $status, $answer := .Responses}}<dt>{{status $status}}</dt><dd>{{line .Description}}{{range $kind, $body := .Content}} {{$kind}}{{if .XLine}}, each line: {{type .XLine}}{{else if .Schema}}: {{type .Schema}}{{end}}.{{end}}</dd>
{{end}}</dl>
</details>
{{end}}{{end}}<h2>Types</h2>
{{range $name, $type := .Components.Schemas}}<h3 id="type-{{$name}}">{{$name}}</h3>
{{with .Description}}<p>{{line .}}</p>
{{end}}{{with .Properties}}<dl>
{{range $member, $of := .}}<dt><code>{{$member}}</code></dt><dd>{{type .}}{{with .Description}}. {{line .}}{{end}}</dd>
{{end}}</dl>
{{end}}{{end}}`))

// plainType is a type in words, with links to those that have a name.
func plainType(s *plainSchema) template.HTML {
	if s == nil {
		return "text"
	}
	if _, name, named := strings.Cut(s.Ref, "/"); named {
		return template.HTML(fmt.Sprintf(`<a href="#type-%s">%[1]s</a>`, template.HTMLEscapeString(name)))
	}
	switch {
	case len(s.AnyOf) == 2:
		return plainType(s.AnyOf[0]) + " or " + plainType(s.AnyOf[1])
	case s.Type == "array":
		return "list of " + plainType(s.Items)
	case len(s.Enum) > 0:
		return template.HTML("one of <code>" + template.HTMLEscapeString(strings.Join(s.Enum, " ")) + "</code>")
	}
	if several, ok := s.Type.([]any); ok {
		return template.HTML(fmt.Sprintf("%v or %v", several[0], several[1]))
	}
	return template.HTML(fmt.Sprint(s.Type))
}

// TestOpenAPIPlain makes the reference for browsers without a script.
func TestOpenAPIPlain(t *testing.T) {
	want := plainReference(t)
	if *updateOpenAPI && !t.Failed() {
		if err := os.WriteFile(plainFile, compressed(t, want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	packed, err := openAPIFiles.ReadFile(plainFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(gunzip(t, packed), want) {
		t.Errorf("%s is not what the code says any more: run 'go generate ./web'", plainFile)
	}
}

// Without a script the page has each operation, what it wants and what it answers, and
// where its types are told.
func TestDocsWithoutScript(t *testing.T) {
	s, _, _ := benchServer(t)
	page := getDocs(s, "/docs", http.Header{}).Body.String()
	_, plain, there := strings.Cut(page, `<noscript><div class="plain">`)
	if !there || strings.Count(plain, "<details>") != len(operations) {
		t.Fatalf("%d operations of %d", strings.Count(plain, "<details>"), len(operations))
	}
	for key, o := range operations {
		method, path, _ := strings.Cut(key, " ")
		if want := "<summary><code>" + method + " " + openAPIPath(path) + "</code> " + template.HTMLEscapeString(o.summary); !strings.Contains(plain, want) {
			t.Errorf("%q is not there", want)
		}
	}
	for name := range maps.Keys(readOpenAPI(t)["components"].(object)["schemas"].(object)) {
		if !strings.Contains(plain, `id="type-`+name+`"`) || !strings.Contains(plain, `href="#type-`+name+`"`) {
			t.Errorf("the type %s is not told, or nothing leads there", name)
		}
	}
	if strings.Contains(page, "ZgotmplZ") || !strings.Contains(page, console.AssetURL("palette.css")) {
		t.Error("the page has a value that a template refused, or not the colours")
	}
}
