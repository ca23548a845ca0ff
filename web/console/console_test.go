package console

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"husk/web/api"
	"husk/web/manual"
)

const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'` + "`" + `{{.}}`

// samples are the pages with a value in every field, and as they first show.
func samples(text string) map[string]Page {
	all := cards(text)
	maps.Copy(all, roomsOfMine(text))
	maps.Copy(all, roomsOfAudit(text))
	maps.Copy(all, roomsOfSystem(text))
	maps.Copy(all, roomsOfUsers(text))
	maps.Copy(all, pagesOfFactors(text))
	return all
}

// cards are those that stand alone, mostly.
func cards(text string) map[string]Page {
	said := literal(text)
	return map[string]Page{
		"setup":          Setup{Problem: said, Code: text, Name: text, Email: text},
		"setup new":      Setup{},
		"setup wait":     Setup{Problem: said, Wait: 1, Code: text, Name: text, Email: text},
		"login wait":     Login{Problem: said, Wait: 15},
		"password wait":  Password{Problem: said, Wait: 3600, Username: text, Must: true},
		"failure wait":   Failure{Title: said, Text: said, Wait: 60},
		"failure within": Failure{Title: said, Text: said, Wait: 60, within: roomMe},
		"login single":   Login{},
		"login out":      Login{Host: text, Return: text, Out: true},
		"login out wait": Login{Problem: said, Wait: 15, Host: text, Return: text, Out: true},
		"password out":   Password{Must: true, Return: text, Out: true},
		"login multi":    Login{Problem: said, Multi: true, Email: text, Program: text, Return: text, Kept: text},
		"resume":         Resume{Path: "/me/tokens", Fields: []Hidden{{"name", text}, {"kept", "yes"}}},
		"manual":         Manual{Query: text, Found: []manual.Hit{{Page: "gate", Title: text, Heading: text, ID: "a", Excerpt: text}}},
		"manual list":    Manual{Groups: []ManualGroup{{text, []manual.Page{{Name: "gate", Title: text}}}}},
		"me single":      Me{Name: "coco-default-user"},
		"password":       Password{Problem: said, Username: text, Return: text},
		"password old":   Password{Problem: said, At: "old_password", Username: "ann"},
		"password new":   Password{Problem: said, At: "new_password", Username: "ann"},
		"password again": Password{Problem: said, At: "again", Username: "ann"},
		"password must":  Password{Must: true},
		"connect":        Connect{Program: text, Product: text, Provider: text, RequestID: text, User: text, TokenName: text},
		"connected":      Connected{Program: text, TokenName: text, Link: DesktopLink(text, text, text)},
		"failure":        Failure{Title: said, Text: said, Next: said},
		"failure plain":  Failure{Title: say("failure.forbidden"), Text: literal("That needs a permission."), Back: "/me/tokens"},
		"password plain": Password{Username: "ann@example.com"},
		"reference":      Reference{Plain: template.HTML(html.EscapeString(text))},
	}
}

// anybody is who sees the pages of the tests: an administrator, of a long name.
var anybody = api.Profile{ID: "u1", Name: "Ann", Email: "ann@example.com", Administrator: true}

// inFrame is the page as a browser gets it, in a language.
func inFrame(p Page, tag string) ([]byte, error) {
	r := httptest.NewRequest("GET", "/x", nil)
	r.Header.Set("Accept-Language", tag)
	f := frame{Page: p, Looks: lookLinks(r)}
	if path := roomOf(p); path != "" {
		f.Shell = (&Console{Version: "1.2.3"}).shell(anybody, path)
	}
	return render(lookOf(r), f)
}

func parse(t *testing.T, p Page) (*html.Node, string) {
	t.Helper()
	body, err := inFrame(p, "en")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	return doc, string(body)
}

func elements(doc *html.Node, names ...string) (found []*html.Node) {
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (len(names) == 0 || slices.Contains(names, n.Data)) {
			found = append(found, n)
		}
	}
	return found
}

func attribute(n *html.Node, name string) (value string, there bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// Elements and attributes that a page may have: a script, a style or a frame
// is none of them, whether we wrote it or a value brought it.
var (
	allowedElements = strings.Fields(`html head body meta title link main footer noscript p img h1 h2 h3 h4 section div blockquote em hr label input span code kbd pre button form a
		dl dt dd strong details summary header nav ul li ol dialog bdi time table thead tbody tr th td caption fieldset legend select option textarea
		svg g rect line text path figure figcaption progress br`)
	allowedAttrs = strings.Fields(`lang charset name content rel href type class src alt width height method action for id value required
		autocomplete autocapitalize spellcheck aria-describedby aria-hidden aria-label aria-labelledby aria-current aria-invalid autofocus maxlength
		minlength role hidden readonly tabindex http-equiv popover popovertarget datetime data-day data-over data-copy data-done data-filter data-row
		data-at-once data-unsaved data-live data-label checked selected rows min max step scope colspan open enctype accept multiple
		data-group data-upload data-failed data-max data-too-large data-progress formaction data-strength data-levels aria-live open rel xmlns fill shape-rendering
		viewbox x y x1 x2 y1 y2 d dx dy rx data-theme placeholder pattern inputmode download viewBox data-busy data-download preserveAspectRatio`)
)

func TestPagesHoldNoForeignMarkup(t *testing.T) {
	for name, p := range samples(evil) {
		t.Run(name, func(t *testing.T) {
			doc, body := parse(t, p)
			for _, e := range elements(doc) {
				if !slices.Contains(allowedElements, e.Data) && !isOurScript(e, p) {
					t.Errorf("element %s in\n%s", e.Data, body)
				}
				for _, a := range e.Attr {
					if (a.Key == "defer" || a.Key == "blocking") && isOurScript(e, p) {
						continue
					}
					if !slices.Contains(allowedAttrs, a.Key) {
						t.Errorf("%s has the attribute %s", e.Data, a.Key)
					}
				}
			}
			if strings.Contains(body, "ZgotmplZ") {
				t.Errorf("a value was refused by the template:\n%s", body)
			}
		})
	}
}

// isOurScript tells whether e is one of the two scripts there are, or one of the viewer's,
// on a page that is let have it.
func isOurScript(e *html.Node, p Page) bool {
	src, _ := attribute(e, "src")
	blocking, _ := attribute(e, "blocking") // or what is seen already moves when it comes
	if _, isReference := p.(Reference); isReference {
		return e.Data == "script" && strings.HasPrefix(src, pageAPI+"/") && textOf(e) == "" && PolicyOf(p) == referencePolicy
	}
	mine := src == AssetURL("countdown.js") || roomOf(p) != "" && src == AssetURL("console.js") && blocking == "render"
	return e.Data == "script" && mine && textOf(e) == "" && strings.Contains(PolicyOf(p), "script-src 'self';")
}

// The form of a page may lead to pages of this server alone, but for those that lead
// on to an application: browsers ask about redirects, too.
func TestFormsLeadOut(t *testing.T) {
	for name, p := range samples("Ann") {
		l, ok := p.(interface{ leadsOut() bool })
		want := ownForms
		if ok && l.leadsOut() {
			want = formsOut
		}
		if _, isReference := p.(Reference); isReference {
			want = "form-action 'none'"
		}
		if policy := PolicyOf(p); !strings.HasSuffix(policy, "; "+want) || strings.Count(policy, "form-action") != 1 {
			t.Errorf("%s: %s", name, policy)
		}
		if (want == formsOut) != strings.Contains(name, "out") {
			t.Errorf("%s: %s", name, want)
		}
	}
}

// A page that says how long to wait says so in its text, has the script that
// counts it down and a policy that lets it in; no other page has either.
func TestWaitIsCountedDown(t *testing.T) {
	waits := 0
	for name, p := range samples("Ann") {
		doc, body := parse(t, p)
		scripts := elements(doc, "script")
		if roomOf(p) != "" {
			if len(scripts) == 0 || !isOurScript(scripts[0], p) {
				t.Fatalf("%s: %d scripts", name, len(scripts))
			}
			scripts = scripts[1:]
		}
		wait := waitOf(p)
		if roomOf(p) != "" && wait == 0 {
			if len(scripts) > 0 || strings.Contains(body, "data-over") {
				t.Errorf("%s: %d scripts more", name, len(scripts))
			}
			continue
		}
		if name == "reference" { // which has the viewer's, and counts nothing down
			continue
		}
		if wait == 0 {
			if len(scripts) > 0 || strings.Contains(body, "data-over") || !strings.HasPrefix(PolicyOf(p), noScript) || !strings.Contains(Policy, "script-src 'none';") {
				t.Errorf("%s: %d scripts, %s", name, len(scripts), PolicyOf(p))
			}
			continue
		}
		waits++
		seconds := ""
		for _, e := range elements(doc, "span") {
			if id, _ := attribute(e, "id"); id == "seconds" {
				seconds = textOf(e)
			}
		}
		if len(scripts) != 1 || !isOurScript(scripts[0], p) || seconds != strconv.Itoa(wait) || strings.Count(body, `role="timer"`) != 1 {
			t.Errorf("%s: %d scripts, %q seconds in\n%s", name, len(scripts), seconds, body)
		}
	}
	if waits != 9 {
		t.Errorf("%d pages count down", waits)
	}
}

// Each field of the struct must show, with the value as it was given.
// Each page with a form tells how long there is to wait, and counts it down.
func TestEveryFormWaits(t *testing.T) {
	forms := 0
	for name, p := range samples("Ann") {
		waiting := reflect.New(reflect.TypeOf(p)).Elem()
		waiting.Set(reflect.ValueOf(p))
		form := waiting.FieldByName("Form")
		if !form.IsValid() || form.Type() != reflect.TypeFor[Form]() {
			continue
		}
		form.FieldByName("Wait").SetInt(7)
		form.FieldByName("Problem").Set(reflect.ValueOf(literal("too many tries")))
		_, body := parse(t, waiting.Interface().(Page))
		if !strings.Contains(body, "too many tries") { // its forms are refused on a page of their own
			continue
		}
		forms++
		if strings.Count(body, `<span id="seconds">7</span>`) != 1 || !strings.Contains(body, AssetURL("countdown.js")) {
			t.Errorf("%s tells no wait", name)
		}
	}
	if forms < 15 {
		t.Errorf("%d pages have a form", forms)
	}
}

func TestPagesShowTheirValues(t *testing.T) {
	for name, p := range samples(evil) {
		doc, body := parse(t, p)
		seen := textOf(doc)
		for _, e := range elements(doc, "input") {
			value, _ := attribute(e, "value")
			seen += value
		}
		fields := strings.Count(fmt.Sprintf("%+v", p), evil)
		if got := strings.Count(seen, evil); got < fields {
			t.Errorf("%s shows %d of %d values:\n%s", name, got, fields, body)
		}
	}
}

func TestPagesNameNoOtherServer(t *testing.T) {
	for name, p := range samples("https://evil.example/") {
		doc, _ := parse(t, p)
		for _, e := range elements(doc) {
			for _, key := range []string{"href", "src", "action", "content"} {
				value, _ := attribute(e, key)
				local := strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "//") || strings.HasPrefix(value, "?") || strings.HasPrefix(value, "#")
				desktop := strings.HasPrefix(strings.TrimPrefix(value, "0; url="), "coco://oauth_callback?")
				if key == "content" && !strings.Contains(value, "/") || value == "" {
					continue
				}
				// An application behind the gate has a host of its own, which the API names.
				if rel, _ := attribute(e, "rel"); rel == "external" && e.Data == "a" {
					continue
				}
				if !local && !desktop {
					t.Errorf("%s: %s leads to %q", name, e.Data, value)
				}
			}
		}
	}
}

func TestPagesAreAccessible(t *testing.T) {
	for name, p := range samples("Ann") {
		t.Run(name, func(t *testing.T) {
			doc, body := parse(t, p)
			if !strings.HasPrefix(body, "<!DOCTYPE html>") {
				t.Error("no doctype")
			}
			if lang, _ := attribute(elements(doc, "html")[0], "lang"); lang != "en" {
				t.Errorf("lang %q", lang)
			}
			for _, one := range []string{"title", "main", "h1"} {
				if got := elements(doc, one); len(got) != 1 || strings.TrimSpace(textOf(got[0])) == "" {
					t.Errorf("%d of %s", len(got), one)
				}
			}
			checkLabels(t, doc)
			for _, img := range elements(doc, "img") {
				if _, there := attribute(img, "alt"); !there {
					t.Error("an image without alt")
				}
			}
			for _, form := range elements(doc, "form") {
				// What a search asks for is no secret; a dialog sends nothing.
				if method, _ := attribute(form, "method"); method != "post" && sentBy(form) > len(searches(form)) {
					t.Errorf("a form with the method %q: its values would be in the URL", method)
				}
			}
		})
	}
}

// sentBy is how many fields of a form a browser sends.
func sentBy(form *html.Node) (n int) {
	for _, in := range elements(form, "input", "textarea") {
		if _, named := attribute(in, "name"); named {
			n++
		}
	}
	return n
}

// searches are the fields of a form by which a list is searched.
func searches(form *html.Node) (found []*html.Node) {
	for _, in := range elements(form, "input") {
		if kind, _ := attribute(in, "type"); kind == "search" || kind == "date" {
			found = append(found, in)
		}
	}
	return found
}

func checkLabels(t *testing.T, doc *html.Node) {
	t.Helper()
	labelled, ids, focused := map[string]bool{}, map[string]bool{}, 0
	for _, l := range elements(doc, "label") {
		to, _ := attribute(l, "for")
		labelled[to] = true
	}
	for _, e := range elements(doc) {
		if id, there := attribute(e, "id"); there {
			if ids[id] {
				t.Errorf("two elements with the id %s", id)
			}
			ids[id] = true
		}
		if _, there := attribute(e, "autofocus"); there {
			focused++
		}
	}
	if focused > 1 {
		t.Errorf("%d elements want the focus", focused)
	}
	for _, in := range elements(doc, "input") {
		id, _ := attribute(in, "id")
		kind, _ := attribute(in, "type")
		_, hidden := attribute(in, "hidden")
		if kind != "hidden" && !hidden && !labelled[id] {
			t.Errorf("input %q has no label", id)
		}
		hints, _ := attribute(in, "aria-describedby")
		for hint := range strings.FieldsSeq(hints) {
			if !ids[hint] {
				t.Errorf("input %q is described by %q, which is not there", id, hint)
			}
		}
		if name, _ := attribute(in, "name"); strings.Contains(name, "password") || name == "again" {
			if kind != "password" {
				t.Errorf("%s is of type %q", name, kind)
			}
			if _, there := attribute(in, "value"); there {
				t.Errorf("%s is sent back", name)
			}
		}
	}
}

func TestProblemIsAnnounced(t *testing.T) {
	for name, p := range samples("Ann") {
		doc, _ := parse(t, p)
		_, body := parse(t, p)
		if !strings.Contains(body, `class="problem"`) {
			continue
		}
		for _, e := range elements(doc, "p") {
			class, _ := attribute(e, "class")
			if role, _ := attribute(e, "role"); class == "problem" && role != "alert" {
				t.Errorf("%s: the problem is not announced", name)
			}
		}
	}
}

func TestDesktopLink(t *testing.T) {
	for _, test := range []struct{ token, request, provider, want string }{
		{"a_B", "642a985c-6baa-4ec8-be41-d8c6ddbc0e60", "coco-cloud", "coco://oauth_callback?code=a_B&request_id=642a985c-6baa-4ec8-be41-d8c6ddbc0e60&provider=coco-cloud"},
		{"a&b=c", "#x", "\"> y", "coco://oauth_callback?code=a%26b%3Dc&request_id=%23x&provider=%22%3E+y"},
		{"\r\nSet-Cookie: x", "", "", "coco://oauth_callback?code=%0D%0ASet-Cookie%3A+x&request_id=&provider="},
	} {
		if got := string(DesktopLink(test.token, test.request, test.provider)); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// The link must come out of the template as it went in, in all three places.
func TestConnectedOpensTheLink(t *testing.T) {
	link := string(DesktopLink("tok_en", "642a985c-6baa-4ec8-be41-d8c6ddbc0e60", "coco-cloud"))
	doc, body := parse(t, Connected{Program: "Coco AI", Link: DesktopLink("tok_en", "642a985c-6baa-4ec8-be41-d8c6ddbc0e60", "coco-cloud")})
	var refresh, href, value string
	for _, e := range elements(doc, "meta") {
		if _, there := attribute(e, "http-equiv"); there {
			refresh, _ = attribute(e, "content")
		}
	}
	for _, e := range elements(doc, "a") {
		if class, _ := attribute(e, "class"); class == "button" {
			href, _ = attribute(e, "href")
		}
	}
	for _, e := range elements(doc, "input") {
		value, _ = attribute(e, "value")
	}
	if refresh != "0; url="+link || href != link || value != link {
		t.Errorf("refresh %q\nhref %q\nvalue %q in\n%s", refresh, href, value, body)
	}
}

func TestAssets(t *testing.T) {
	for file, kind := range assetTypes {
		name := strings.TrimPrefix(AssetURL(file), AssetPath)
		if !regexp.MustCompile(`^[a-z]+\.[0-9a-f]{12}\.(css|svg|js)$`).MatchString(name) {
			t.Errorf("%s is served as %q", file, name)
		}
		if a, ok := FindAsset(name); !ok || a.Type != kind || len(a.Body) == 0 {
			t.Errorf("%s: %v %q", name, ok, a.Type)
		}
	}
	for _, name := range []string{"", ".", "..", "husk.css", "static/husk.css", "../console.go", "%2e%2e", "husk.000000000000.css"} {
		if _, ok := FindAsset(name); ok {
			t.Errorf("%q is served", name)
		}
	}
}

func TestStaticFilesNameNoOtherServer(t *testing.T) {
	for file := range assetTypes {
		a, _ := FindAsset(strings.TrimPrefix(AssetURL(file), AssetPath))
		body := strings.ReplaceAll(plainBody(t, a), `xmlns="http://www.w3.org/2000/svg"`, "")
		body = regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(body, "")
		for _, bad := range []string{"//", "url(", "@import", "<script", "expression(", "eval(", "innerHTML"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q", file, bad)
			}
		}
	}
}

// Text and its ground, by name in the style sheet, must keep the contrast of
// WCAG 2.2, 1.4.3 (4.5:1), and the edges of fields that of 1.4.11 (3:1).
func TestContrast(t *testing.T) {
	a, _ := FindAsset(strings.TrimPrefix(AssetURL("palette.css"), AssetPath))
	blocks := regexp.MustCompile(`(?s)--ground: .*?--shade: [^;]*;`).FindAllString(plainBody(t, a), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d sets of colours", len(blocks))
	}
	for i, scheme := range []string{"light", "dark", "dark, chosen by hand"} {
		css := blocks[i]
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"text", "card", 4.5}, {"soft", "card", 4.5}, {"accent", "card", 4.5}, {"accent-strong", "card", 4.5},
			{"text", "ground", 4.5}, {"soft", "ground", 4.5}, {"accent", "ground", 4.5}, {"accent-strong", "accent-ground", 4.5}, {"text", "accent-ground", 4.5}, {"soft", "accent-ground", 4.5},
			{"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5}, {"bad", "bad-ground", 4.5}, {"bad", "card", 4.5}, {"bad", "ground", 4.5},
			{"card", "bad", 4.5}, {"warn", "warn-ground", 4.5}, {"warn", "card", 4.5}, {"edge", "card", 3}, {"edge", "ground", 3},
		} {
			if got := contrast(t, css, pair.front, pair.back); got < pair.least {
				t.Errorf("%s: %s on %s is %.2f:1", scheme, pair.front, pair.back, got)
			}
		}
	}
	if blank := regexp.MustCompile(`\s+`); blank.ReplaceAllString(blocks[1], "") != blank.ReplaceAllString(blocks[2], "") {
		t.Error("the dark colours differ, as the system has it and as one chooses")
	}
}

// plainBody is what a browser makes of a compressed file.
func plainBody(t *testing.T, a Asset) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func contrast(t *testing.T, css, front, back string) float64 {
	t.Helper()
	a, b := luminance(t, css, front)+.05, luminance(t, css, back)+.05
	return max(a, b) / min(a, b)
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(t *testing.T, css, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`--` + name + `: #([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2});`).FindStringSubmatch(css)
	if m == nil {
		t.Fatalf("no colour %s", name)
	}
	sum := 0.0
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, _ := strconv.ParseUint(m[i+1], 16, 8)
		c := float64(n) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
