package cmd

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"husk/db/dbtest"
	"husk/web/api"
)

// What only a program that speaks HTTP knows: routes, and the members of bodies
// whose names are no words.
var (
	routeName  = regexp.MustCompile(`\b(GET|POST|PUT|DELETE|PATCH) /|/(account|auth|security|system)/|_(search|rotate|check|import)\b`)
	memberName = regexp.MustCompile(`\b[a-z]+_[a-z_]+\b`)
	codeForm   = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
)

// Codes that no command is answered with: they are about cookies, forms, or
// bodies that the client makes by itself.
var notForCommands = map[string]bool{
	"bad_user": true, "bad_role": true, "bad_token": true, "bad_sort": true, "password_missing": true, "password_change_required": true,
	"totp_not_begun": true, "proof_required": true, "second_factor_required": true, "second_factor_setup_required": true, // of sessions; passwd asks for the code
	"login_url": true, "cookie_domain": true, "return_ttl": true, // of the configuration file, whose keys these are
}

// TestReasonsThatNameTheAPI reads all reasons in the source, and looks whether
// a command says those that name a route or a member in its own words.
func TestReasonsThatNameTheAPI(t *testing.T) {
	dbtest.NoRace(t, "source that one goroutine reads")
	t.Parallel()
	found := 0
	for code, reasons := range reasonsInSource(t) {
		for _, reason := range reasons {
			found++
			if !routeName.MatchString(reason) && !memberName.MatchString(reason) {
				continue
			}
			if inOwnWords[code].what == "" && !notForCommands[code] {
				t.Errorf("code %s: %q names what a command line has not, and inOwnWords has no words for it", code, reason)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d reasons were found", found)
	}
	for code, own := range inOwnWords {
		if text := own.what + own.next; routeName.MatchString(text) || memberName.MatchString(text) {
			t.Errorf("%s: %q", code, text)
		}
	}
}

// reasonsInSource returns what stands beside each code of a failure: two
// strings, one after the other, in a call or a literal.
func reasonsInSource(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, pattern := range []string{"../web/*.go", "../web/*/*.go", "../db/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			constants := stringConstants(tree)
			ast.Inspect(tree, func(n ast.Node) bool {
				code := ""
				for _, part := range partsOf(n) {
					text, ok := textOf(part, constants)
					switch {
					case ok && code != "" && strings.Contains(text, " "):
						all[code] = append(all[code], text)
						code = ""
					case ok && codeForm.MatchString(text):
						code = text
					}
				}
				return true
			})
		}
	}
	return all
}

// partsOf returns the arguments of a call, or the values of a literal.
func partsOf(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		return n.Args
	case *ast.CompositeLit:
		var values []ast.Expr
		for _, e := range n.Elts {
			if pair, ok := e.(*ast.KeyValueExpr); ok {
				if _, ok := pair.Key.(*ast.BasicLit); ok {
					continue // a table of something else
				}
				e = pair.Value
			}
			values = append(values, e)
		}
		return values
	}
	return nil
}

func stringConstants(f *ast.File) map[string]string {
	all := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.ValueSpec); ok {
			for i, v := range s.Values {
				if text, ok := textOf(v, nil); ok && i < len(s.Names) {
					all[s.Names[i].Name] = text
				}
			}
		}
		return true
	})
	return all
}

// textOf is the text of a string as far as it stands in the source.
func textOf(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		text, ok := constants[e.Name]
		return text, ok
	case *ast.BinaryExpr:
		left, _ := textOf(e.X, constants)
		right, _ := textOf(e.Y, constants)
		return left + right, left+right != ""
	}
	return "", false
}

// What a command has put into words itself, about what it was doing, is not
// replaced by what is said of the answer alone.
func TestExplainedOnce(t *testing.T) {
	for _, code := range []string{"internal", "not_signed_in", "own_password"} {
		own := &failure{code: exitBusy, what: "both secrets are good", err: &api.Error{Status: 500, Detail: api.ErrorDetail{Code: code, Reason: "no"}}}
		for _, s := range []*session{{why: func() string { return "the cause" }}, {remote: true, Client: &api.Client{Base: "http://127.0.0.1:1"}}} {
			if err := s.explainAnswer(t.Context(), own); err != error(own) {
				t.Errorf("%s: became %v", code, err)
			}
			if err := s.explainAnswer(t.Context(), own.err); code != "internal" && !errors.As(err, new(*failure)) {
				t.Errorf("%s: the answer is not explained: %v", code, err)
			}
		}
	}
}
