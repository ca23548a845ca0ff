package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"husk/web/factor"
	"husk/web/gate"
	"husk/web/upkeep"
)

// This file is the one judgement of a server's settings. What serve would
// refuse for their sake is told here, so that serve, its reload, 'config show'
// and 'config check' can't be of different minds. It changes nothing and takes
// no address: whether a port is free is no matter of settings.

// judged is what the settings come to.
type judged struct {
	tls           keyPairs       // nil: http
	gate          *gate.Rules    // nil: there is none
	notifyCommand string         // absolute path, or empty
	sealer        *factor.Sealer // without keys where no file is named
	backups       upkeep.Backups
	warnings      []string
}

// fault is a setting that serve refuses.
type fault struct {
	setting string
	err     error
	problem problem // of a line of the file; its Line is 0 where that is the setting's
}

// judge looks at all of the settings, as the user whom serve would be: root is
// the owner of the data folder there.
func (a *app) judge(log *slog.Logger) (j judged, faults []fault) {
	add := func(setting string, err error) {
		if err != nil {
			faults = append(faults, fault{setting: setting, err: err})
		}
	}
	leave, err := a.visit()
	if err != nil {
		add("data", err)
		return j, faults
	}
	defer leave()
	setting := ""
	j.tls, setting, err = a.tlsPairs(log)
	add(setting, err)
	j.notifyCommand, err = a.notifyCommand()
	add("notify-command", err)
	j.sealer, err = a.sealer()
	add("secrets-key-file", err)
	j.warnings = a.settings.warnings()
	j.backups, setting, err = a.backups()
	var exposed *upkeep.ExposedError
	if errors.As(err, &exposed) {
		j.warnings, err = append(j.warnings, err.Error()), nil
	}
	add(setting, err)
	add("metrics-addr", a.checkAddrs())
	var wrong []fault
	j.gate, wrong = a.gateRules()
	j.warnings = append(j.warnings, a.settings.gateWarnings(j.gate, j.tls)...)
	return j, append(faults, wrong...)
}

// checkAddrs finds two doors at one address.
func (a *app) checkAddrs() error {
	_, port, err := net.SplitHostPort(a.settings.Addr)
	if err != nil || port == "0" || a.settings.MetricsAddr != a.settings.Addr {
		return nil
	}
	return usage("metrics-addr is the address of addr", "give the metrics one of their own, such as 127.0.0.1:9464")
}

// refuse is the error of serve where there are faults: the first of them, after
// the others were told.
func (a *app) refuse(faults []fault) error {
	if len(faults) == 0 {
		return nil
	}
	for _, f := range faults[1:] {
		fmt.Fprintf(a.stderr, "husk: %s\n", printable(f.text()))
	}
	return faults[0].err
}

// text is what is wrong, with the name of the setting.
func (f fault) text() string {
	if text := f.err.Error(); f.problem.Line > 0 || strings.Contains(text, f.setting) {
		return text
	}
	return f.setting + ": " + f.err.Error()
}
