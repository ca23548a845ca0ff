package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What pages say stands in messages/, a file for each language: an object of keys
// and texts. {name} in a text is a value. A text that counts something has two keys,
// KEY.one and KEY.other, of which the value n chooses one; a language that makes no
// difference has KEY.other alone. Reasons of the API are English and have a code:
// code.CODE is what pages say in its place, in English where the reason is for programs.

//go:embed messages/*.json
var messageFiles embed.FS

// Text is what a page says, before it is said in a language.
type Text struct {
	key   string
	args  []any  // name, value, name, value, ...
	plain string // what is said in a language that has no message of that key
}

// say is the message of a key, with pairs of names and values.
func say(key string, args ...any) Text { return Text{key: key, args: args} }

// literal is a value that is the same in all languages, such as a name.
func literal(value string) Text { return Text{plain: value} }

// Said tells whether there is anything to say: templates ask.
func (t Text) Said() bool { return t.key != "" || t.plain != "" }

// language is one in which pages speak.
type language struct {
	Tag  string // BCP 47
	Name string // in itself
	gap  string // between two sentences

	messages  map[string]string
	templates func() map[string]*template.Template
}

// languageTags are the languages there are; the first is for who names none.
var languageTags = []struct{ tag, name, gap string }{{"en", "English", " "}, {"zh", "简体中文", ""}}

var languages = sync.OnceValue(func() (all []*language) {
	for _, one := range languageTags {
		l := &language{Tag: one.tag, Name: one.name, gap: one.gap, messages: map[string]string{}}
		text, err := messageFiles.ReadFile("messages/" + one.tag + ".json")
		if err == nil {
			err = json.Unmarshal(text, &l.messages)
		}
		if err != nil {
			panic(err) // what is embedded can be read, and a test reads it
		}
		l.templates = sync.OnceValue(l.parse)
		all = append(all, l)
	}
	return all
})

// parse reads the templates for one language. A command that serves its request in
// its own process never shows a page, and pays nothing.
func (l *language) parse() map[string]*template.Template {
	common := template.Must(template.New("layout.html").Funcs(l.functions()).
		ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/passkey_parts.html"))
	all := map[string]*template.Template{}
	files, _ := templateFiles.ReadDir("templates") // what is embedded can be read
	for _, f := range files {
		all[f.Name()] = template.Must(template.Must(common.Clone()).ParseFS(templateFiles, path.Join("templates", f.Name())))
	}
	return all
}

func (l *language) functions() template.FuncMap {
	return template.FuncMap{
		"asset": AssetURL,
		"gap":   func() string { return l.gap },
		"t":     l.t,
		"when":  l.when,
		"day":   l.day,
		"num":   number,
		"bytes": byteSize,
		"say":   say,
	}
}

// t is a message as HTML, for {{t "key" "name" .Value}} and {{t .Text}}. In an
// attribute html/template takes the tags out again.
func (l *language) t(message any, args ...any) (template.HTML, error) {
	switch m := message.(type) {
	case Text:
		return l.html(m)
	case string:
		return l.html(say(m, args...))
	}
	return "", fmt.Errorf("a message is a key or a Text, not %T", message)
}

func (l *language) html(m Text) (template.HTML, error) {
	text, ok := l.message(m)
	if !ok && m.plain == "" {
		return "", fmt.Errorf("no message %q in %s", m.key, l.Tag)
	}
	if !ok {
		return template.HTML(template.HTMLEscapeString(m.plain)), nil
	}
	pairs := make([]string, 0, len(m.args))
	for i := 0; i+1 < len(m.args); i += 2 {
		value, err := l.value(m.args[i+1])
		if err != nil {
			return "", err
		}
		pairs = append(pairs, fmt.Sprintf("{%s}", m.args[i]), string(value))
	}
	return template.HTML(strings.NewReplacer(pairs...).Replace(template.HTMLEscapeString(text))), nil
}

// message finds the text of a message, by its number where it has one.
func (l *language) message(m Text) (text string, ok bool) {
	if text, ok = l.messages[m.key]; ok {
		return text, true
	}
	for i := 0; i+1 < len(m.args); i += 2 {
		if m.args[i] != "n" {
			continue
		}
		if fmt.Sprint(m.args[i+1]) == "1" {
			if text, ok = l.messages[m.key+".one"]; ok {
				return text, true
			}
		}
		text, ok = l.messages[m.key+".other"]
	}
	return text, ok
}

// value is a value in a text. One that is written from right to left keeps its direction
// (HTML, 4.5.24: bdi).
func (l *language) value(v any) (template.HTML, error) {
	switch v := v.(type) {
	case template.HTML:
		return v, nil
	case Text:
		return l.html(v)
	case int, int64, uint64:
		return template.HTML(number(v)), nil
	case time.Time, *time.Time:
		return l.when(v), nil
	}
	text := fmt.Sprint(v)
	escaped := template.HTML(template.HTMLEscapeString(text))
	if strings.ContainsFunc(text, isRightToLeft) {
		return "<bdi>" + escaped + "</bdi>", nil
	}
	return escaped, nil
}

// isRightToLeft tells whether r may turn the direction of a line: a letter of Hebrew,
// Arabic and what stands with them, or a mark that does.
func isRightToLeft(r rune) bool {
	return r >= 0x0590 && r <= 0x08ff || r >= 0x200e && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r >= 0xfb1d && r <= 0xfefc || r >= 0x10800 && r <= 0x10fff || r >= 0x1e800 && r <= 0x1efff
}

// when is a time in UTC, to the minute; a script puts it into the reader's own zone.
// nil and the zero time are never.
func (l *language) when(at any) template.HTML {
	t := timeOf(at)
	if t.IsZero() {
		return l.never()
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s UTC</time>`, t.Format(time.RFC3339), t.Format("2006-01-02 15:04")))
}

// day is the day of a time in UTC.
func (l *language) day(at any) template.HTML {
	t := timeOf(at)
	if t.IsZero() {
		return l.never()
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-day>%s</time>`, t.Format(time.RFC3339), t.Format(time.DateOnly)))
}

func (l *language) never() template.HTML {
	return template.HTML(template.HTMLEscapeString(l.messages["time.never"]))
}

// timeOf reads a time.Time, a *time.Time or Unix seconds, of which those before the
// first are none.
func timeOf(at any) (t time.Time) {
	switch at := at.(type) {
	case time.Time:
		t = at
	case *time.Time:
		if at != nil {
			t = *at
		}
	case int64:
		if at > 0 {
			t = time.Unix(at, 0)
		}
	}
	return t.UTC()
}

// number writes a whole number with its thousands apart.
func number(n any) string {
	digits, sign := fmt.Sprint(n), ""
	if strings.HasPrefix(digits, "-") {
		digits, sign = digits[1:], "-"
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:] // a narrow space that does not break
	}
	return sign + digits
}

// byteSize writes a number of bytes as people read it.
func byteSize(n int64) string {
	const unit = 1024
	if n < unit {
		return strconv.FormatInt(n, 10) + " B"
	}
	size, at := float64(n)/unit, 0
	for size >= unit && at < 3 {
		size, at = size/unit, at+1
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " " + []string{"KiB", "MiB", "GiB", "TiB"}[at]
}

// look is how a browser wants its pages: by its cookie, which the links for it set,
// else by its headers.
type look struct {
	language *language
	theme    string // light, dark or "", which is as the system has it
}

const lookCookie = "husk_look"

// themes are those there are.
var themes = []string{"", "light", "dark"}

// lookOf reads the language and the theme that r asks for.
func lookOf(r *http.Request) (l look) {
	if cookie, err := r.Cookie(lookCookie); err == nil {
		tag, theme, _ := strings.Cut(cookie.Value, ".")
		l.language = languageOf(tag)
		l.theme = themeOf(theme)
	}
	if l.language == nil {
		l.language = accepted(r.Header["Accept-Language"])
	}
	return l
}

func languageOf(tag string) *language {
	for _, l := range languages() {
		if l.Tag == tag {
			return l
		}
	}
	return nil
}

func themeOf(name string) string {
	if slices.Contains(themes, name) {
		return name
	}
	return ""
}

// accepted is the language of the highest weight in Accept-Language (RFC 9110,
// 12.5.4); of two with the same, the first.
func accepted(lines []string) *language {
	best, weight := languages()[0], 0.0
	for one := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, parameters, _ := strings.Cut(one, ";")
		tag, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(name)), "-")
		if l, q := languageOf(tag), weightOf(parameters); l != nil && q > weight {
			best, weight = l, q
		}
	}
	return best
}

// changeLook takes ?lang= and ?theme= of a page's address: it keeps them in a cookie,
// and leads to the page without them.
func (v *Visit) changeLook() bool {
	q := v.r.URL.Query()
	if !IsSafeMethod(v.r) || !q.Has("lang") && !q.Has("theme") {
		return false
	}
	l := lookOf(v.r)
	if asked := languageOf(q.Get("lang")); asked != nil {
		l.language = asked
	}
	if q.Has("theme") {
		l.theme = themeOf(q.Get("theme"))
	}
	http.SetCookie(v.w, v.console.Cookie(lookCookie, l.language.Tag+"."+l.theme, int((365*24*time.Hour).Seconds())))
	q.Del("lang")
	q.Del("theme")
	next := *v.r.URL
	next.Scheme, next.Host, next.RawQuery = "", "", q.Encode()
	seeOther(v.w, "/"+strings.TrimLeft(next.RequestURI(), "/"))
	return true
}
