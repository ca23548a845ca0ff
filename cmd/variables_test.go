package cmd

import (
	"slices"
	"strings"
	"testing"
)

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	for variable, near := range map[string]string{
		"HUSK_PUBLICURL=x":        "HUSK_PUBLIC_URL",
		"HUSK_public_url=x":       "HUSK_PUBLIC_URL",
		"husk_data=x":             "HUSK_DATA",
		"HUSK_SEVRER=x":           "HUSK_SERVER",
		"HUSK_TLS_CERTS=x":        "HUSK_TLS_CERT",
		"HUSK_TRUSTED_PROXIES=x":  "",
		"HUSK_TRUSTED_PROXYS=x":   "HUSK_TRUSTED_PROXY",
		"HUSK_SOMETHING_ELSE=x":   "",
		"HUSK_PORT=9000":          "",
		"HUSK_DATABASE_URL=pg://": "",
	} {
		name, _, _ := strings.Cut(variable, "=")
		if got := unknownVariables([]string{variable}); len(got) != 1 || got[0] != (unknownVariable{name, near}) {
			t.Errorf("%s: want %q, got %v", variable, near, got)
		}
	}
	known := []string{
		"HUSK_DATA=x", "HUSK_CONFIG=x", "HUSKY=0", "HUSK=1", "PATH=x", "HUSK_PUBLICURL=",
		// What Kubernetes and Docker set for services of these names.
		"HUSK_SERVICE_HOST=10.0.0.1", "HUSK_SERVICE_PORT=80", "HUSK_SERVICE_PORT_HTTP=80", "HUSK_PORT=tcp://10.0.0.1:80",
		"HUSK_PORT_80_TCP=tcp://10.0.0.1:80", "HUSK_PORT_80_TCP_PROTO=tcp", "HUSK_PORT_80_TCP_PORT=80", "HUSK_PORT_80_TCP_ADDR=10.0.0.1",
		"HUSK_METRICS_SERVICE_HOST=10.0.0.2", "HUSK_METRICS_PORT=tcp://10.0.0.2:9", "HUSK_METRICS_PORT_9_UDP_ADDR=10.0.0.2",
	}
	if got := unknownVariables(known); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

// What is nearly Husk's, every command tells; the rest, who shows or takes the
// settings of a server. No value is told.
func TestUnknownVariablesAreTold(t *testing.T) {
	t.Parallel()
	env := []string{"HUSK_SEVRER=hunter2", "HUSK_OWN=hunter2"}
	config := writeFile(t, t.TempDir(), "husk.yaml", "")
	for _, c := range []struct {
		args []string
		both bool
	}{
		{[]string{"version"}, false},
		{[]string{"token", "list", "--data", "/no/such"}, false},
		{[]string{"config", "show"}, true},
		{[]string{"config", "check", config}, true},
		{[]string{"serve", "--notify-command", "/no/such"}, true},
	} {
		r := runHere(t, env, "", c.args...)
		if !strings.Contains(r.errors, "HUSK_SEVRER; did you mean HUSK_SERVER?") || strings.Contains(r.errors, "HUSK_OWN") != c.both || strings.Contains(r.errors, "hunter2") {
			t.Errorf("%v: %s", c.args, r.errors)
		}
		if quiet := runHere(t, env, "", append(slices.Clone(c.args), "--quiet")...); c.args[0] != "serve" && strings.Contains(quiet.errors, "warning") {
			t.Errorf("%v --quiet: %s", c.args, quiet.errors)
		}
	}
}
