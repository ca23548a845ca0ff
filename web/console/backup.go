package console

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"husk/web/api"
)

var backupPlaces = []Place{
	get(roomBackups, Handler{answer: backupsPage}),
	post(roomBackups, Handler{Fields: []string{fieldOnce}, lasts: true, answer: makeBackup}),
	post(roomBackups+"/fresh", taking(takeFresh)),
	post(roomBackups+"/:id/download", taking(takeKept)),
}

// taking is a form that answers with a backup, which holds all that a thief could wish
// for: it is sensitive. What streams is not done once: its answer would be kept.
func taking(answer func(*Visit) error) Handler {
	return Handler{
		Fields: []string{fieldOnce}, lasts: true, answer: answer,
		form: needs(permBackup, func(v *Visit) error {
			return v.show(TakeBackup{Form: v.again().unnamed(), Path: v.r.URL.Path, Name: v.param("id")})
		}),
		sensitive: func(*Visit) bool { return true },
	}
}

// BackupsInstead answers a browser in whose address bar stands a backup itself: who sits
// down at it is led to where the password is asked for.
var BackupsInstead = Handler{answer: func(v *Visit) error { return v.seeOther(roomBackups) }}

// Backups lists what the server keeps of itself.
type Backups struct {
	inSystem
	Done     Text
	Problem  Text
	Wait     int
	Kept     bool // the server keeps some
	Encrypts bool
	Making   bool // one is being made
	Every    Text // how often one is made by schedule
	Keep     int
	Rows     []BackupRow
	Total    int
	None     Empty  // where there are none yet
	Setting  string // the line by which a server that keeps none does
	File     string // in which it is to stand; may be empty
	Terminal Terminal
}

// BackupRow is a backup in a list.
type BackupRow struct {
	Name  string
	Made  time.Time
	Size  string
	Asked Text
	State State
	Holds Text // what is in it, as far as that can be told
}

func (Backups) view() (file string, title Text) { return "backups.html", say("backup.list") }
func (p Backups) waits() int                    { return p.Wait }

// mostBackups is how many are listed: of more, the newest.
const mostBackups = 100

func backupsPage(v *Visit) error {
	page, err := v.backups()
	if err != nil {
		return err
	}
	if v.query("done") == "made" {
		page.Done = say("backup.made")
	}
	return v.show(page)
}

func (v *Visit) backups() (page Backups, err error) {
	if _, err = v.me(); err != nil {
		return page, err
	}
	kept, err := v.API.Backups(v.r.Context())
	if err != nil {
		return page, err
	}
	page = Backups{
		inSystem: v.inSystem(roomBackups), Kept: kept.Kept, Encrypts: kept.Encrypts, Making: kept.Making, Every: every(kept.Every), Keep: kept.Keep, Total: kept.Total, None: Empty{Text: say("backup.none")}, Setting: "backup-dir: /var/backups/husk",
		Terminal: Terminal{"terminal", "husk backup --output husk.tar\nhusk backup list"},
	}
	for _, f := range kept.Files[:min(len(kept.Files), mostBackups)] {
		page.Rows = append(page.Rows, backupRow(f))
	}
	if !kept.Kept && v.may(permSystemRead) {
		if c, err := v.API.Configuration(v.r.Context()); err == nil {
			page.File = c.File
		}
	}
	return page, nil
}

// every is how often something is done, in the largest unit that fits.
func every(seconds int64) Text {
	switch {
	case seconds <= 0:
		return Text{}
	case seconds%86400 == 0:
		return say("every.days", "n", seconds/86400)
	case seconds%3600 == 0:
		return say("every.hours", "n", seconds/3600)
	}
	return say("every.minutes", "n", max(1, seconds/60))
}

func backupRow(f api.BackupFile) BackupRow {
	row := BackupRow{Name: f.Name, Made: f.Made, Size: byteSize(f.Bytes), Asked: say("backup.scheduled")}
	if f.Asked {
		row.Asked = say("backup.asked")
	}
	switch f.Manifest {
	case "ok":
		row.State, row.Holds = State{"good", say("backup.whole")}, say("backup.holds", "users", f.Users, "tokens", f.Tokens, "version", f.Version)
	case "sealed":
		row.State = State{"plain", say("backup.encrypted")}
	case "bad":
		row.State = State{"bad", say("backup.bad")}
	default:
		row.State = State{"warn", say("backup.unreadable")}
	}
	if f.Encrypted {
		row.State.Text = say("backup.encrypted")
	}
	return row
}

// makeBackup lasts as long as the copying. It can't be done twice: the API makes one
// at a time, and one a minute.
func makeBackup(v *Visit) error {
	_, err := v.API.MakeBackup(v.r.Context())
	refused := refusedBy(err)
	switch {
	case err == nil:
		return v.seeOther(roomBackups + "?done=made")
	case refused == nil, refused.Status == http.StatusUnauthorized, refused.Status == http.StatusForbidden:
		return err
	}
	page, err := v.backups()
	if err != nil {
		return err
	}
	page.Problem, page.Wait = problemOf(refused)
	return v.refuse(refused, page)
}

// TakeBackup asks for the password before a backup leaves.
type TakeBackup struct {
	Form
	Path string // that the form is sent to
	Name string // "": one of the store as it is now
}

func (TakeBackup) view() (file string, title Text) { return "backup_take.html", say("backup.take") }
func (TakeBackup) room() string                    { return roomSystem }

// unnamed is the form without the name by which it is done once.
func (f Form) unnamed() Form {
	f.Once = ""
	return f
}

func takeKept(v *Visit) error {
	name := v.param("id")
	return v.download(name, func(w io.Writer) error { return v.API.KeptBackup(v.r.Context(), name, w) })
}

func takeFresh(v *Visit) error {
	name := "husk-" + v.console.Now().UTC().Format("20060102T150405Z") + ".tar"
	return v.download(name, func(w io.Writer) error { return v.API.Backup(v.r.Context(), w, "") })
}

// download answers with a file. What is refused before its first byte is an error like
// any other; after that the answer is cut, which tells the browser that it is not
// whole.
func (v *Visit) download(name string, take func(io.Writer) error) error {
	return take(&download{w: v.w, name: name})
}

// download is a file on its way to a browser.
type download struct {
	w     http.ResponseWriter
	name  string // letters, digits, - and . alone, where there are bytes of it
	size  int64  // in bytes; 0: not known
	begun bool
}

// Size implements api.Sizer.
func (d *download) Size(bytes int64) { d.size = bytes }

// Write implements io.Writer.
func (d *download) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		h := d.w.Header()
		h.Set("Content-Type", "application/x-tar")
		h.Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
		if d.size > 0 {
			h.Set("Content-Length", strconv.FormatInt(d.size, 10))
		}
		d.w.WriteHeader(http.StatusOK)
	}
	return d.w.Write(b)
}
