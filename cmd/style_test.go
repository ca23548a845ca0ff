package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestStyle holds the source to the numbers that docs/style.md names.
func TestStyle(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/style.md")
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\| (.+) \| (\d+) \|$`).FindAllStringSubmatch(string(page), -1) {
		limits[m[1]], _ = strconv.Atoi(m[2])
	}
	m := measureSource(t)
	slices.Sort(m.functions)
	for what, got := range map[string]int{
		"lines of a function in the middle":              m.functions[len(m.functions)/2],
		"lines of nine functions in ten":                 m.functions[len(m.functions)*9/10],
		"lines of any function":                          m.functions[len(m.functions)-1],
		"lines of a file":                                m.longest,
		"exported names without a comment, of a hundred": 100 * len(m.bare) / m.exported,
	} {
		limit, known := limits[what]
		if !known {
			t.Errorf("docs/style.md does not say how many %s there are at most", what)
		} else if got > limit {
			t.Errorf("%s: %d, and docs/style.md says %d at most", what, got, limit)
		}
		delete(limits, what)
	}
	for what := range limits {
		t.Errorf("docs/style.md has a number for %q, which nothing measures", what)
	}
	if t.Failed() {
		t.Logf("longest: %s, %s; without a comment: %s", m.longestFunction, m.longestFile, strings.Join(m.bare, ", "))
	}
}

// source is what was measured of it.
type source struct {
	functions                    []int // lines of each
	longestFunction, longestFile string
	longest                      int // lines of a file
	exported                     int
	bare                         []string // exported and without a comment
}

func measureSource(t *testing.T) (m source) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		m.file(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.functions) < 1000 || m.exported < 300 {
		t.Fatalf("only %d functions and %d exported names were found", len(m.functions), m.exported)
	}
	return m
}

func (m *source) file(t *testing.T, path string) {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if lines := files.File(f.Pos()).LineCount(); lines > m.longest {
		m.longest, m.longestFile = lines, path
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			lines := files.Position(d.End()).Line - files.Position(d.Pos()).Line + 1
			if len(m.functions) == 0 || lines > slices.Max(m.functions) {
				m.longestFunction = path + " " + d.Name.Name
			}
			m.functions = append(m.functions, lines)
			if d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type)) {
				m.name(path, d.Name, d.Doc != nil)
			}
		case *ast.GenDecl:
			m.declared(path, d)
		}
	}
}

// declared counts the exported names of a declaration. What explains a whole
// group, or stands behind a name, counts for it.
func (m *source) declared(path string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			m.name(path, spec.Name, d.Doc != nil || spec.Doc != nil)
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				m.name(path, name, d.Doc != nil || spec.Doc != nil || spec.Comment != nil)
			}
		}
	}
}

func (m *source) name(path string, name *ast.Ident, explained bool) {
	if !name.IsExported() {
		return
	}
	m.exported++
	if !explained {
		m.bare = append(m.bare, path+" "+name.Name)
	}
}

// receiver is the name of the type that a method is of.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
