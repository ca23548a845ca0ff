package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"husk/web/api"
)

const pageImport = roomUsers + "/import"

var importPlaces = []Place{
	get(pageImport, Handler{answer: needs(permUserCreate, importPage)}),
	post(pageImport, importUsers),
	get(pageImport+"/check", Handler{answer: needs(permUserCreate, importPage)}),
	post(pageImport+"/check", checkImport),
}

// Import makes users of a file.
type Import struct {
	Form
	Format  Field
	Domain  Field
	Roles   Field // shown where it has a name
	Others  Field // shown where it has a name
	Missing Field
	Told    Imported
}

// Imported tells what became of a file, or would. Each text may say nothing.
type Imported struct {
	Would       Text
	Done        Text
	Skipped     Text
	Unsupported Text
	Lines       []ImportLine // of those with a hash that is not imported
	More        Text         // of which there are more
}

// ImportLine is a line that was left out.
type ImportLine struct {
	Line int
	Kind Text // of the hash
}

func (Import) view() (file string, title Text) { return "import.html", say("import.title") }
func (Import) room() string                    { return roomUsers }

func importPage(v *Visit) error {
	f := v.newForm()
	if err := v.askProof(&f); err != nil {
		return err
	}
	return v.showImport(Import{Form: f}, http.StatusOK)
}

func (v *Visit) showImport(page Import, status int) error {
	roles, err := v.knownRoles()
	if err != nil {
		return err
	}
	json := Option{Value: api.FormatNDJSON, Label: say("import.json"), Hint: say("import.json.hint"), Chosen: true}
	htpasswd := Option{Value: api.FormatHtpasswd, Label: say("import.htpasswd"), Hint: say("import.htpasswd.hint")}
	page.Format = page.field(Field{Name: "format", Type: "radio", Label: say("import.format"), Options: []Option{json, htpasswd}})
	page.Domain = page.field(Field{Name: "domain", Label: say("import.domain"), Hint: say("import.domain.hint"), Max: 250})
	if len(roles) > 0 {
		page.Roles = v.rolesField(page.Form, roles, nil)
		page.Roles.Label, page.Roles.Hint = say("import.roles"), say("import.roles.hint")
		page.Others = otherRoles(page.Form, roles)
	}
	page.Missing = page.field(Field{Name: "if_missing", Type: "check", Label: say("import.existing"),
		Options: []Option{{Value: "yes", Label: say("import.if_missing"), Hint: say("import.if_missing.hint"), Chosen: true}}})
	return v.showAs(status, page)
}

// MaxBytes is how large a file may be: templates ask.
func (Import) MaxBytes() int64 { return api.MaxImport }

// importFields are those of the form, before the file.
var importFields = []string{"format", "domain", "roles", fieldOtherRoles, "if_missing", "file"}

// importUsers makes the users of a file. The file may give any role, so it is sensitive.
var importUsers = Handler{
	Fields: importFields, Many: []string{"roles"}, Uploads: true,
	answer:    func(v *Visit) error { return v.importFile(false) },
	form:      needs(permUserCreate, func(v *Visit) error { return v.showImport(Import{Form: v.again()}, http.StatusOK) }),
	sensitive: func(*Visit) bool { return true },
}

// checkImport tells what an import would do.
var checkImport = Handler{
	Fields: importFields, Many: []string{"roles"}, Uploads: true,
	answer: func(v *Visit) error { return v.importFile(true) },
}

func (v *Visit) importFile(dryRun bool) error {
	if v.file == nil {
		return v.showImport(Import{Form: v.formWith(fieldProblem{"file", say("import.no_file")})}, http.StatusBadRequest)
	}
	asked := api.ImportOptions{IfMissing: v.form.Get("if_missing") != "", DryRun: dryRun, Format: v.form.Get("format")}
	if asked.Format == api.FormatHtpasswd { // what the other format has no use for is not shown there
		asked.Domain, asked.Roles = v.form.Get("domain"), v.sentRoles()
	}
	done, err := v.API.ImportUsers(v.r.Context(), v.file, asked)
	refused, err := v.forForm(err)
	if refused != nil {
		return v.showImport(Import{Form: v.formWith(importProblem(refused))}, refused.Status)
	}
	if err != nil {
		return err
	}
	page := Import{Form: v.again(), Told: tellImport(done)}
	page.Problem = Text{}
	if err := v.askProof(&page.Form); err != nil {
		return err
	}
	return v.showImport(page, http.StatusOK)
}

// importProblem tells what the API has against a file, at the field that mends it.
func importProblem(e *api.Error) fieldProblem {
	field := "file"
	switch e.Detail.Code {
	case "bad_domain", "domain_missing":
		field = "domain"
	case "other_format":
		field = "format"
	}
	// Of an import that was cut short the reason tells how far it came, which no
	// message of a code does.
	why := literal(e.Sentence())
	switch {
	case e.Detail.Line > 0:
		bare := *e
		bare.Detail.Reason = strings.TrimPrefix(e.Detail.Reason, fmt.Sprintf("line %d: ", e.Detail.Line))
		reason, _ := problemOf(&bare)
		why = say("import.line", "line", e.Detail.Line, "reason", reason)
	case slices.Contains(beforeImport, e.Detail.Code):
		why, _ = problemOf(e)
	}
	return fieldProblem{field, say("import.refused", "reason", why)}
}

// beforeImport are refusals, about no line, that come before the first user is made.
var beforeImport = []string{"bad_domain", "body_cut", "body_too_large", "busy"}

// mostImportLines is how many of the lines that were left out a page names.
const mostImportLines = 100

func tellImport(done api.Imported) (told Imported) {
	if done.DryRun {
		told.Would = say("import.would", "n", done.Created)
	} else {
		told.Done = say("import.done", "n", done.Created)
	}
	if there := done.Skipped - done.Unsupported; there > 0 {
		told.Skipped = say("import.skipped", "n", there)
	}
	if done.Unsupported == 0 {
		return told
	}
	told.Unsupported = say("import.unsupported", "n", done.Unsupported)
	for _, h := range done.UnsupportedLines[:min(len(done.UnsupportedLines), mostImportLines)] {
		kind := literal(h.Kind)
		if strings.HasPrefix(h.Kind, "$") || strings.HasPrefix(h.Kind, "{") {
			kind = say("import.begins", "text", h.Kind)
		}
		told.Lines = append(told.Lines, ImportLine{h.Line, kind})
	}
	if more := done.Unsupported - len(told.Lines); more > 0 {
		told.More = say("import.more_lines", "n", more)
	}
	return told
}

// FileProblem is what is wrong with the file: templates ask.
func (p Import) FileProblem() Text { return p.problems["file"] }

// Example is a file of JSON lines as it may be: templates ask.
func (Import) Example() string {
	return `{"email":"ann@example.com","name":"Ann","roles":["user"]}` + "\n" +
		`{"email":"bob@example.com","password_hash":"$2y$10$…"}`
}

// HtpasswdExample is an htpasswd file as it may be: templates ask.
func (Import) HtpasswdExample() string {
	return "# the team\nann:$2y$10$…\nbob@example.org:$2y$10$…"
}
