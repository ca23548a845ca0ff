package console

import (
	"time"

	"husk/web/api"
)

// The paths of what stands in the room of the system.
const (
	roomBackups  = roomSystem + "/backups"
	roomKeys     = roomSystem + "/keys"
	roomSettings = roomSystem + "/settings"
)

var systemPlaces = []Place{
	get(roomSystem, Handler{answer: systemPage}),
	post(roomSystem+"/check", Handler{Fields: []string{fieldOnce}, lasts: true, answer: checkStore}),
}

// license is what Husk may be used under.
const license = "Apache License 2.0"

// inSystem is what all pages of the system have.
type inSystem struct{ Tabs []Tab }

func (inSystem) room() string { return roomSystem }

// inSystem has the parts of the room that who looks may see. They have to be known
// already.
func (v *Visit) inSystem(here string) (in inSystem) {
	for _, part := range []struct {
		path  string
		title Text
		needs string
	}{
		{roomSystem, say("system.state"), permSystemRead},
		{roomBackups, say("backup.list"), permBackup},
		{roomKeys, say("key.list"), permKeys},
		{roomSettings, say("setting.list"), permSystemRead},
	} {
		if v.may(part.needs) {
			in.Tabs = append(in.Tabs, Tab{Path: part.path, Title: part.title, Here: part.path == here})
		}
	}
	return in
}

// System shows how the server and its store are.
type System struct {
	inSystem
	State       State
	Warnings    []Advice
	Version     string
	License     string
	Since       time.Time // when the server was started
	Writable    State
	CertExpires *time.Time // of the certificate that is served; nil: none is
	Size, Free  string     // of the store, and what of it waits for the next writes
	Spans       []Tab
	Chart       Chart
	Check       bool // who looks may have the store checked
	Health      Terminal
	Checks      Terminal
}

func (System) view() (file string, title Text) { return "system.html", say("nav.system") }

func systemPage(v *Visit) error {
	if _, err := v.me(); err != nil {
		return err
	}
	h, err := v.API.HealthDetails(v.r.Context())
	if err != nil {
		return err
	}
	span, spans := v.spans(roomSystem, "30d", "400d")
	counted, err := v.API.Statistics(v.r.Context(), span)
	if err != nil {
		return err
	}
	return v.show(System{
		inSystem: v.inSystem(roomSystem), State: healthState(h), Warnings: advise(h.Warnings), Version: h.Version, License: license,
		Since: v.console.Now().Add(-time.Duration(h.Uptime) * time.Second), Writable: writableState(h.Writable), CertExpires: h.CertExpires,
		Size: byteSize(h.StoreBytes), Free: byteSize(h.FreeBytes), Spans: spans, Chart: storeChart(counted), Check: v.may(permBackup),
		Health: Terminal{"terminal-health", "husk health --verbose"}, Checks: Terminal{"terminal-check", "husk check"},
	})
}

func writableState(word string) State {
	switch word {
	case "yes":
		return State{"good", say("system.writable")}
	case "no":
		return State{"bad", say("system.not_writable")}
	}
	return State{"plain", say("system.unproved")}
}

// Checked tells what a check of the store found.
type Checked struct {
	inSystem
	Report   api.CheckReport
	Size     string
	Free     string
	Terminal Terminal // what to do about it
}

func (Checked) view() (file string, title Text) { return "system_checked.html", say("system.checked") }

func checkStore(v *Visit) error {
	report, err := v.API.Check(v.r.Context())
	if err != nil {
		return err
	}
	if _, err := v.me(); err != nil {
		return err
	}
	page := Checked{inSystem: v.inSystem(roomSystem), Report: report, Size: byteSize(report.Size), Free: byteSize(report.Free)}
	switch {
	case !report.OK:
		page.Terminal = Terminal{"terminal-restore", "husk restore BACKUP"}
	case report.Compact:
		page.Terminal = Terminal{"terminal-compact", "husk compact"}
	}
	return v.show(page)
}
