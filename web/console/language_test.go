package console

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

var (
	placeholder = regexp.MustCompile(`\{[a-z_]+\}`)
	messageKey  = regexp.MustCompile(`^[a-z][a-z_]*(\.[a-z0-9_]+)+$`)
	templateKey = regexp.MustCompile(`"([a-z][a-z_]*(?:\.[a-z0-9_]+)+)"`)
)

// plain is the key of a message that may have forms for numbers.
func plain(key string) string {
	return strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
}

// spokenFor are the areas of messages that stand for English of the API, or of package
// story: English may say it as it comes. Other tests hold these.
var spokenFor = []string{"about", "code", "detail", "found", "told"}

// area is the first part of a key.
func area(key string) string { first, _, _ := strings.Cut(key, "."); return first }

// Each language says all that English says, with the same values in it.
func TestMessagesAreComplete(t *testing.T) {
	english := languages()[0].messages
	for _, l := range languages()[1:] {
		for key, text := range english {
			other, there := l.messages[key]
			if !there && strings.HasSuffix(key, ".one") {
				continue // a language may make no difference
			}
			if !there || strings.TrimSpace(other) == "" {
				t.Errorf("%s has no %s", l.Tag, key)
				continue
			}
			if want, got := placeholdersOf(text), placeholdersOf(other); !slices.Equal(want, got) {
				t.Errorf("%s: %s has %v, English %v", l.Tag, key, got, want)
			}
		}
		for key := range l.messages {
			if _, there := english[key]; !there && !slices.Contains(spokenFor, area(key)) {
				t.Errorf("%s has %s, which English has not", l.Tag, key)
			}
		}
	}
	for key, text := range english {
		if strings.HasSuffix(key, ".one") != (english[plain(key)+".one"] == text && strings.HasSuffix(key, ".one")) || english[plain(key)+".one"] != "" && english[plain(key)+".other"] == "" {
			t.Errorf("%s has no other form", key)
		}
		if gap := regexp.MustCompile(`[。，；：！？] `).FindString(languageOf("zh").messages[key]); gap != "" {
			t.Errorf("zh: %s has a space after a stop", key)
		}
		if strings.ContainsAny(text, "<>&") {
			t.Errorf("%s has markup", key)
		}
	}
}

// Each code that a page may have to tell of is told in every language of the pages; the
// API's own reasons are English.
func TestCodesAreTranslated(t *testing.T) {
	text, err := os.ReadFile("../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	_, codes, _ := strings.Cut(string(text), "## Codes of errors")
	codes, _, _ = strings.Cut(codes, "\n## ")
	known := 0
	for _, row := range regexp.MustCompile(`(?m)^\| \d+ \| (.*) \|$`).FindAllStringSubmatch(codes, -1) {
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			known++
			for _, l := range languages()[1:] {
				if l.messages["code."+m[1]] == "" {
					t.Errorf("%s has no code.%s", l.Tag, m[1])
				}
			}
		}
	}
	if known < 100 {
		t.Errorf("the contract has %d codes", known)
	}
}

func placeholdersOf(text string) []string {
	all := placeholder.FindAllString(text, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

// Files of messages are sorted, so that two people who add some do not meet.
func TestMessagesAreSorted(t *testing.T) {
	for _, one := range languageTags {
		text, err := messageFiles.ReadFile("messages/" + one.tag + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for line := range strings.Lines(string(text)) {
			if key, _, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), `"`), `": "`); found {
				keys = append(keys, key)
			}
		}
		if len(keys) != len(languageOf(one.tag).messages) {
			t.Errorf("%s: %d lines of %d messages", one.tag, len(keys), len(languageOf(one.tag).messages))
		}
		for i := 1; i < len(keys); i++ {
			if keys[i-1] >= keys[i] {
				t.Errorf("%s: %s stands before %s", one.tag, keys[i-1], keys[i])
			}
		}
	}
}

// What templates and code say is there, and what is there is said.
func TestMessagesAreUsed(t *testing.T) {
	english, used := languages()[0].messages, map[string]bool{}
	for key := range usedKeys(t) {
		_, one := english[key]
		_, many := english[key+".other"]
		if !one && !many {
			t.Errorf("%s is said, and stands in no file", key)
		}
		used[key] = true
	}
	for key := range english {
		if !used[key] && !used[plain(key)] && !strings.HasPrefix(key, "code.") && !strings.HasPrefix(key, "reason.") { // those tests of codes hold
			t.Errorf("nothing says %s", key)
		}
	}
}

// usedKeys are the strings in templates and code that have the form of a key of which
// the first part is that of a message.
func usedKeys(t *testing.T) map[string]bool {
	t.Helper()
	areas, used := map[string]bool{}, map[string]bool{}
	for key := range languages()[0].messages {
		area, _, _ := strings.Cut(key, ".")
		areas[area] = true
	}
	add := func(key string) {
		area, _, _ := strings.Cut(key, ".")
		isFile := slices.Contains([]string{".css", ".html", ".js", ".svg"}, filepath.Ext(key))
		if areas[area] && messageKey.MatchString(key) && !isFile {
			used[key] = true
		}
	}
	templates, _ := filepath.Glob("templates/*.html")
	for _, file := range templates {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range templateKey.FindAllStringSubmatch(string(text), -1) {
			add(m[1])
		}
	}
	for _, text := range stringsInCode(t) {
		add(text)
	}
	return used
}

func stringsInCode(t *testing.T) (all []string) {
	t.Helper()
	files, _ := filepath.Glob("*.go")
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					all = append(all, text)
				}
			}
			return true
		})
	}
	return all
}

// What people read stands in messages/, not in templates: there, a name of Husk, a unit
// and what one types are all that is said.
func TestTemplatesSayNothingThemselves(t *testing.T) {
	allowed := regexp.MustCompile(`^(Husk|UTC|s|curl|openapi\.json|Esc|/|\?|·|:|,|\(|\)|-|–|×|%)*$`)
	actions := regexp.MustCompile(`\{\{.*?\}\}`)
	attributesAlone := regexp.MustCompile(`(?m)^\{\{define "described"\}\}.*$`)
	templates, _ := filepath.Glob("templates/*.html")
	for _, file := range templates {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole := attributesAlone.ReplaceAllString(string(text), "")
		doc, err := html.ParseWithOptions(strings.NewReader(actions.ReplaceAllString(whole, "")), html.ParseOptionEnableScripting(false)) // what noscript has, too
		if err != nil {
			t.Fatal(err)
		}
		for n := range doc.Descendants() {
			if n.Type == html.TextNode {
				if words := strings.Join(strings.Fields(n.Data), ""); !allowed.MatchString(words) {
					t.Errorf("%s says %q", file, strings.TrimSpace(n.Data))
				}
			}
			for _, a := range n.Attr {
				if slices.Contains([]string{"alt", "title", "placeholder", "aria-label", "label"}, a.Key) && a.Val != "" {
					t.Errorf("%s has %s=%q", file, a.Key, a.Val)
				}
			}
		}
	}
}

func TestEveryPageInEveryLanguage(t *testing.T) {
	for name, p := range samples("Ann") {
		for _, l := range languages() {
			body, err := inFrame(p, l.Tag)
			if err != nil {
				t.Errorf("%s, %s: %v", name, l.Tag, err)
			}
			if !strings.Contains(string(body), `<html lang="`+l.Tag+`"`) {
				t.Errorf("%s, %s: not in its language", name, l.Tag)
			}
		}
	}
}

func TestAcceptedLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"": "en", "en": "en", "zh": "zh", "zh-CN,zh;q=0.9,en;q=0.8": "zh", "en-US,zh;q=0.9": "en", "de,zh;q=0.3": "zh", "fr": "en",
		"zh;q=0, en": "en", "zh;q=0": "en", "*": "en", "ZH-Hans": "zh", "en;q=0.1,zh;q=0.2": "zh", ";;;,,": "en", strings.Repeat("x,", 5000): "en",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", header)
		if got := lookOf(r).language.Tag; got != want {
			t.Errorf("%q is %s", header, got)
		}
	}
}

// A value is told as it is: markup is none, and its direction is its own.
func TestValuesInMessages(t *testing.T) {
	en := languageOf("en")
	en.messages = maps.Clone(en.messages)
	en.messages["test.n.one"], en.messages["test.n.other"], en.messages["test.v"] = "{n} token", "{n} tokens", "Hello, {name} & {name}"
	defer func() {
		for _, key := range []string{"test.n.one", "test.n.other", "test.v"} {
			delete(en.messages, key)
		}
	}()
	for want, m := range map[string]Text{
		"1 token":            say("test.n", "n", 1),
		"0 tokens":           say("test.n", "n", 0),
		"12\u202f345 tokens": say("test.n", "n", int64(12345)),
		"Hello, &lt;b&gt;{name} &amp; &lt;b&gt;{name}": say("test.v", "name", "<b>{name}"),
		"Hello, <bdi>مريم</bdi> &amp; <bdi>مريم</bdi>": say("test.v", "name", "مريم"),
		"as it is &lt;i&gt;":                           literal("as it is <i>"),
	} {
		if got, err := en.html(m); string(got) != want || err != nil {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	if _, err := en.html(say("no.such")); err == nil {
		t.Error("a message that is not there is said")
	}
}

// commandLine is what belongs to a terminal: somebody in a browser is never told to run
// it, but for the one who sets Husk up, who has just started it there.
var commandLine = regexp.MustCompile(`'husk |\bhusk (check|config|passwd|role|rule|serve|token|user)\b|--[a-z]`)

// A reason of the API that names a command has words of the pages in its place.
func TestPagesNameNoCommands(t *testing.T) {
	english, found := languages()[0].messages, 0
	coded := regexp.MustCompile(`(?:[cC]ode: |fail\(Err\w+, |forbidden\(|malformed\(|tooMany\(|Status\w+, )"([a-z_]+)"`)
	constants := map[string]string{"codeSetupRequired": codeSetupRequired}
	for _, pattern := range []string{"../*.go", "../*/*.go", "../../db/*.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// A code stands on the line of its reason, or on the line before.
			code := ""
			for line := range strings.Lines(string(text)) {
				for name, is := range constants {
					line = strings.ReplaceAll(line, name, strconv.Quote(is))
				}
				before := code
				code = ""
				if m := coded.FindStringSubmatch(line); m != nil && !strings.Contains(line, "Warning{") { // warnings have words of their own
					code = m[1]
				}
				named := code
				if named == "" {
					named = before
				}
				if strings.HasPrefix(strings.TrimSpace(line), "//") || !commandLine.MatchString(line) || named == "" {
					continue
				}
				if found++; english["code."+named] == "" {
					t.Errorf("%s: English has no code.%s, and pages would say %s", file, named, strings.TrimSpace(line))
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d reasons name a command", found)
	}
	allowed := []string{"setup.code.hint", "backup.how_else"}
	for _, l := range languages() {
		for key, text := range l.messages {
			if commandLine.MatchString(text) && !slices.Contains(allowed, key) {
				t.Errorf("%s: %s names a command: %s", l.Tag, key, text)
			}
		}
	}
}

// The words of the glossary are those of the pages, and the others are not.
func TestGlossaryHolds(t *testing.T) {
	text, err := os.ReadFile("../../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| English | Chinese | not |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var all strings.Builder
	for _, message := range languageOf("zh").messages {
		all.WriteString(message + "\n")
	}
	rows := 0
	for row := range strings.Lines(table) {
		part := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		rows++
		for _, term := range strings.Split(part[1], ",") {
			if !strings.Contains(all.String(), strings.TrimSpace(term)) {
				t.Errorf("nothing says %s", term)
			}
		}
		for _, other := range strings.Split(part[2], ",") {
			if strings.Contains(all.String(), strings.TrimSpace(other)) {
				t.Errorf("%s is said, in place of %s", other, part[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("the glossary has %d rows", rows)
	}
}

// The pages of tasks, and the one of the second factor, tell what to press in the words
// that stand there.
func TestTasksNameWhatPagesSay(t *testing.T) {
	t.Parallel()
	said := map[string]bool{"admin": true, "user": true, "reader": true, "helpdesk": true} // names of roles
	for _, text := range languages()[0].messages {
		said[text] = true
	}
	files, err := filepath.Glob("../../docs/tasks/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	sections := map[string]string{"../../docs/second-factor.md": "## Set it up in the console\n"}
	for _, file := range files {
		sections[file] = "## In the browser\n"
	}
	bold := regexp.MustCompile(`\*\*([^*]+)\*\*`)
	for file, heading := range sections {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, steps, _ := strings.Cut(string(text), heading)
		steps, _, _ = strings.Cut(steps, "\n## ")
		found := bold.FindAllStringSubmatch(steps, -1)
		if len(found) == 0 {
			t.Errorf("%s names nothing of the pages", file)
		}
		for _, m := range found {
			if word := strings.Join(strings.Fields(m[1]), " "); !said[word] {
				t.Errorf("%s names %q, which no page says", file, word)
			}
		}
	}
}
