package web

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"husk/db"
	"husk/web/console"
)

// docs/contract.md is what programs rely on. These tests hold its tables to the
// program; those of the command line are in package cmd.

const contractPage = "../docs/contract.md"

// contractTable returns the cells of the rows of the table under a heading,
// without their backticks.
func contractTable(t *testing.T, heading string) (rows [][]string) {
	t.Helper()
	page, err := os.ReadFile(contractPage)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", contractPage, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	_, section, _ = strings.Cut(section, "|---|---|\n")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 {
			break
		}
		rows = append(rows, []string{strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1])})
	}
	if len(rows) == 0 {
		t.Fatalf("no row under %q", heading)
	}
	return rows
}

var inBackticks = regexp.MustCompile("`([^`]+)`")

func words(cell string) (all []string) {
	for _, m := range inBackticks.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// sameSets tells what is in one alone.
func sameSets(t *testing.T, what string, page, program []string) {
	t.Helper()
	for _, one := range page {
		if !slices.Contains(program, one) {
			t.Errorf("%s names the %s %s, which is not there", contractPage, what, one)
		}
	}
	for _, one := range program {
		if !slices.Contains(page, one) {
			t.Errorf("%s does not name the %s %s", contractPage, what, one)
		}
	}
}

func TestContractRoutes(t *testing.T) {
	needs := map[needKind]string{public: "public", signedIn: "signed in", ownSession: "own session"}
	var program, page []string
	for _, r := range (&Server{}).routes() {
		for method := range strings.FieldsSeq(r.method) {
			if htmlOnly[method+" "+r.path] || console.InHouse(r.path) {
				continue
			}
			need := needs[r.need.kind]
			if need == "" {
				need = "`" + r.need.permission + "`"
			}
			program = append(program, "`"+method+" "+r.path+"` "+need)
		}
	}
	for _, row := range contractTable(t, "Routes") {
		page = append(page, row[0]+" "+row[1])
	}
	sameSets(t, "route", page, program)
}

func TestContractPermissions(t *testing.T) {
	var page []string
	for _, row := range contractTable(t, "Permissions") {
		page = append(page, words(row[0])...)
	}
	sameSets(t, "permission", page, db.BuiltinPermissions())
}

func TestContractActions(t *testing.T) {
	var page []string
	for _, row := range contractTable(t, "The audit log") {
		for _, action := range words(row[1]) {
			if noun, _, _ := strings.Cut(action, "."); noun != row[0] {
				t.Errorf("%s stands under %s", action, row[0])
			}
			page = append(page, action)
		}
	}
	sameSets(t, "action", page, db.Actions())
}

func TestContractFindings(t *testing.T) {
	var page []string
	for _, row := range contractTable(t, "What the check of the audit log finds") {
		page = append(page, words(row[0])...)
	}
	sameSets(t, "finding", page, db.AuditFindings())
}

// TestContractCodes reads the source for every code that an answer can have, and
// its status where that stands beside it.
func TestContractCodes(t *testing.T) {
	source := codesInSource(t)
	var page []string
	for _, row := range contractTable(t, "Codes of errors") {
		status, _ := strconv.Atoi(row[0])
		for _, code := range words(row[1]) {
			page = append(page, code)
			if known := source[code]; status != 0 && len(known) > 0 && !known[status] {
				t.Errorf("%s has %s as %d, and it is one of %v", contractPage, code, status, slices.Sorted(maps.Keys(known)))
			}
		}
	}
	for code, statuses := range source {
		if !slices.Contains(page, code) {
			t.Errorf("%s does not name the code %s %v", contractPage, code, slices.Sorted(maps.Keys(statuses)))
		}
	}
	for _, code := range page {
		if _, there := source[code]; !there && !strings.HasPrefix(code, "unknown_") { // what is not known is filled in
			t.Errorf("%s names the code %s, which is not there", contractPage, code)
		}
	}
	if len(source) < 100 {
		t.Errorf("only %d codes were found", len(source))
	}
}

// codesInSource are the codes that stand in the source of what answers, each
// with the statuses that stand beside it.
func codesInSource(t *testing.T) map[string]map[int]bool {
	t.Helper()
	c := &codes{found: map[string]map[int]bool{}, constants: map[string]string{}, kinds: map[string]int{"ErrEnded": http.StatusUnauthorized}}
	for _, k := range kinds {
		c.kinds[kindName(k.kind)] = k.status
	}
	var files []*ast.File
	for _, pattern := range []string{"*.go", "*/*.go", "../db/*.go", "../db/*/*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "go.mod")); err == nil {
				continue // a module of its own is no part of the program
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
			ast.Inspect(f, c.constant)
		}
	}
	for _, f := range files {
		ast.Inspect(f, c.code)
	}
	return c.found
}

// kindName is the identifier of a sentinel of package db, as its text tells.
func kindName(kind error) string {
	for name, err := range map[string]error{"ErrInvalid": db.ErrInvalid, "ErrDenied": db.ErrDenied, "ErrNotFound": db.ErrNotFound, "ErrConflict": db.ErrConflict, "ErrQuota": db.ErrQuota,
		"ErrFull": db.ErrFull, "ErrDisk": db.ErrDisk, "ErrMoved": db.ErrMoved, "ErrLocked": db.ErrLocked, "ErrDamaged": db.ErrDamaged} {
		if kind == err {
			return name
		}
	}
	return fmt.Sprint(kind)
}

type codes struct {
	found     map[string]map[int]bool
	constants map[string]string
	kinds     map[string]int
}

func (c *codes) constant(n ast.Node) bool {
	if v, ok := n.(*ast.ValueSpec); ok {
		for i, name := range v.Names {
			if i < len(v.Values) {
				if lit, ok := v.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					c.constants[name.Name], _ = strconv.Unquote(lit.Value)
				}
			}
		}
	}
	return true
}

// code notes the codes of a call or literal that makes a failure.
func (c *codes) code(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		switch name := identifier(n.Fun); {
		case name == "fail" && len(n.Args) == 3:
			c.note(n.Args[1], c.kinds[identifier(n.Args[0])])
		case name == "tooLarge":
			c.note(n.Args[0], http.StatusRequestEntityTooLarge)
		case name == "tooMany":
			c.note(n.Args[0], http.StatusTooManyRequests)
		case name == "malformed":
			c.note(n.Args[0], http.StatusBadRequest)
		case name == "refusal" && len(n.Args) == 3:
			c.note(n.Args[1], statusNamed(identifier(n.Args[0])))
		case name == "forbidden":
			c.note(n.Args[0], http.StatusForbidden)
		}
	case *ast.CompositeLit:
		c.literal(n)
	}
	return true
}

func (c *codes) literal(n *ast.CompositeLit) {
	var code ast.Expr
	status := 0
	for i, e := range n.Elts {
		pair, keyed := e.(*ast.KeyValueExpr)
		switch {
		case keyed && identifier(pair.Key) == "code", keyed && identifier(pair.Key) == "Code":
			code = pair.Value
		case keyed && identifier(pair.Key) == "status":
			status = statusNamed(identifier(pair.Value))
		case keyed && identifier(pair.Key) == "Kind":
			status = c.kinds[identifier(pair.Value)]
		case !keyed && identifier(n.Type) == "PolicyError" && i == 0:
			code, status = e, http.StatusBadRequest
		case !keyed && i == 1 && statusNamed(identifier(e)) != 0 && len(n.Elts) == 4: // a row of kinds
			code, status = n.Elts[2], statusNamed(identifier(e))
		}
	}
	if code != nil {
		c.note(code, status)
	}
}

var codeForm = regexp.MustCompile(`^[a-z][a-z_]+[a-z]$`)

func (c *codes) note(e ast.Expr, status int) {
	text := c.constants[identifier(e)]
	if lit, ok := e.(*ast.BasicLit); ok {
		text, _ = strconv.Unquote(lit.Value)
	}
	if !codeForm.MatchString(text) {
		return
	}
	if c.found[text] == nil {
		c.found[text] = map[int]bool{}
	}
	if status != 0 {
		c.found[text][status] = true
	}
}

// identifier is the last name of an expression that is one, else "".
func identifier(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// statusNamed is the value of a constant of net/http such as StatusNotFound; 0
// where it is none.
func statusNamed(name string) int {
	name, ok := strings.CutPrefix(name, "Status")
	if !ok {
		return 0
	}
	for status := 400; status < 600; status++ {
		if strings.ReplaceAll(http.StatusText(status), " ", "") == name {
			return status
		}
	}
	return 0
}
