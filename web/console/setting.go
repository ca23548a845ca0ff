package console

import (
	"strings"

	"husk/web/api"
)

var settingPlaces = []Place{get(roomSettings, Handler{answer: settingsPage})}

// Settings shows the settings as the server has them.
type Settings struct {
	inSystem
	File     string // of the configuration; may be empty
	Groups   []SettingGroup
	Waiting  int // how many have another value in the file than they had when it was read
	Terminal Terminal
}

// SettingGroup is settings of one kind.
type SettingGroup struct {
	Title Text
	Rows  []SettingRow
}

// SettingRow is a setting.
type SettingRow struct {
	Name   string
	About  Text   // what it is, by its name
	Value  string // "": none
	Source Text
	State  State
}

func (Settings) view() (file string, title Text) { return "settings.html", say("setting.list") }

// settingGroups are the groups of settings, in the order in which they are shown.
var settingGroups = []struct {
	name  string
	title Text
}{
	{"server", say("setting.server")},
	{"gate", say("setting.gate")},
	{"command", say("setting.command")},
}

func settingsPage(v *Visit) error {
	if _, err := v.me(); err != nil {
		return err
	}
	found, err := v.API.Configuration(v.r.Context())
	if err != nil {
		return err
	}
	page := Settings{inSystem: v.inSystem(roomSettings), File: found.File, Terminal: Terminal{"terminal", "husk config show\nhusk config check"}}
	for _, g := range settingGroups {
		group := SettingGroup{Title: g.title}
		for _, s := range found.Settings {
			if s.Group == g.name {
				group.Rows = append(group.Rows, settingRow(s))
			}
			if s.Group == g.name && s.Waiting {
				page.Waiting++
			}
		}
		if len(group.Rows) > 0 {
			page.Groups = append(page.Groups, group)
		}
	}
	return v.show(page)
}

func settingRow(s api.ConfigSetting) SettingRow {
	about := Text{key: "about." + strings.ReplaceAll(s.Name, "-", "_"), plain: s.About}
	row := SettingRow{Name: s.Name, About: about, Value: s.Value, Source: say("setting.default")}
	switch s.Source {
	case "flag":
		row.Source = say("setting.flag", "name", "--"+s.Name)
	case "env":
		row.Source = say("setting.variable", "name", s.Variable)
	case "file":
		row.Source = say("setting.file")
		if s.Line > 0 {
			row.Source = say("setting.line", "line", s.Line)
		}
	}
	switch {
	case s.Waiting:
		row.State = State{"warn", say("setting.waiting")}
	case s.Secret:
		row.State = State{"plain", say("setting.secret")}
	}
	return row
}
