package cmd

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Each setting is described in Chinese, too, and no other: the console shows them by
// their names. In English they are described as the help has it.
func TestSettingsHaveMessages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../web/console/messages/zh.json")
	if err != nil {
		t.Fatal(err)
	}
	var messages map[string]string
	if err := json.Unmarshal(text, &messages); err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	allSettings().VisitAll(func(f *pflag.Flag) { wanted[f.Name] = true })
	for _, s := range (&app{resolved: &resolution{}}).gateSettings() {
		wanted[s.Name] = true
	}
	for name := range wanted {
		if key := "about." + strings.ReplaceAll(name, "-", "_"); messages[key] == "" {
			t.Errorf("zh has no %s", key)
		}
	}
	for key := range messages {
		if name, ok := strings.CutPrefix(key, "about."); ok && !wanted[strings.ReplaceAll(name, "_", "-")] && !wanted[name] {
			t.Errorf("%s describes no setting", key)
		}
	}
}
