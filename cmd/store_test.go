package cmd

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// Where nobody named a folder, the one in which a store was made is told, once.
func TestMadeStoreIsTold(t *testing.T) {
	for source, told := range map[string]int{fromDefault: 1, fromEnv: 0, fromFile: 0, fromFlag: 0} {
		var said bytes.Buffer
		a := &app{stderr: &said, resolved: &resolution{source: map[string]string{"data": source}}}
		a.settings.Data = filepath.Join(t.TempDir(), "data")
		for range 2 {
			if err := a.makeStore(); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(said.String(), "A new store was made in "+a.settings.Data+"."); n != told {
			t.Errorf("the folder is from %s, and it is told %d times, want %d", source, n, told)
		}
	}
}
