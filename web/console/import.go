package console

import (
	"net/http"

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
	Missing Field
	Would   Text // what would be done; may say nothing
	Done    Text // what was done; may say nothing
	Skipped Text
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
	page.Missing = page.field(Field{Name: "if_missing", Type: "check", Label: say("import.existing"),
		Options: []Option{{Value: "yes", Label: say("import.if_missing"), Hint: say("import.if_missing.hint"), Chosen: true}}})
	return v.showAs(status, page)
}

// maxImport is how large a file may be, in bytes, as the API has it.
const maxImport = 64 << 20

// MaxBytes is how large a file may be: templates ask.
func (Import) MaxBytes() int64 { return maxImport }

// importUsers makes the users of a file. The file may give any role, so it is sensitive.
var importUsers = Handler{
	Fields: []string{"if_missing", "file"}, Uploads: true,
	answer:    func(v *Visit) error { return v.importFile(false) },
	form:      needs(permUserCreate, func(v *Visit) error { return v.showImport(Import{Form: v.again()}, http.StatusOK) }),
	sensitive: func(*Visit) bool { return true },
}

// checkImport tells what an import would do.
var checkImport = Handler{
	Fields: []string{"if_missing", "file"}, Uploads: true,
	answer: func(v *Visit) error { return v.importFile(true) },
}

func (v *Visit) importFile(dryRun bool) error {
	if v.file == nil {
		return v.showImport(Import{Form: v.formWith(fieldProblem{"file", say("import.no_file")})}, http.StatusBadRequest)
	}
	done, err := v.API.ImportUsers(v.r.Context(), v.file, api.ImportOptions{IfMissing: v.form.Get("if_missing") != "", DryRun: dryRun})
	if refused := refusedBy(err); refused != nil && refused.Status != http.StatusUnauthorized {
		retryAfter(v.w, refused)
		// The reason names a line of the file, which no message of a code does.
		problem := fieldProblem{"file", say("import.refused", "reason", refused.Sentence())}
		return v.showImport(Import{Form: v.formWith(problem)}, refused.Status)
	}
	if err != nil {
		return err
	}
	page := Import{Form: v.again()}
	page.Problem = Text{}
	switch {
	case dryRun:
		page.Would = say("import.would", "n", done.Created)
	default:
		page.Done = say("import.done", "n", done.Created)
	}
	if done.Skipped > 0 {
		page.Skipped = say("import.skipped", "n", done.Skipped)
	}
	if err := v.askProof(&page.Form); err != nil {
		return err
	}
	return v.showImport(page, http.StatusOK)
}

// FileProblem is what is wrong with the file: templates ask.
func (p Import) FileProblem() Text { return p.problems["file"] }

// Example is a file as it may be: templates ask.
func (Import) Example() string {
	return `{"email":"ann@example.com","name":"Ann","roles":["user"]}` + "\n" +
		`{"email":"bob@example.com","password_hash":"$2y$10$…"}`
}
