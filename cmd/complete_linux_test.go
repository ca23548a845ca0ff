package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletionInBash types in a real bash, with the script as 'husk
// completion bash' prints it. A permission has colons, at which bash takes
// words apart.
func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		prerequisite(t, "bash-completion")
	}
	data := newData(t)
	p := program{data: data}
	p.ok(t, "token", "create", "--name", "nightly-backup")
	p.ok(t, "role", "set", "reader", "--permission", "wiki#page/edit")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(exe, filepath.Join(dir, "husk")); err != nil {
		t.Fatal(err)
	}
	const typed = `
source "$LIBRARY"
source <(husk completion bash)
type_in() {
	COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMPREPLY=()
	COMP_WORDS=() COMP_CWORD=0
	IFS=$'\n' read -r -d '' -a COMP_WORDS < <(printf '%s' "$1" | sed -e 's/ /\n/g' -e 's/:/\n:\n/g'; printf '\0')
	[ "${1: -1}" = ' ' ] && COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	compopt() { :; }
	__start_husk
	printf '%s\n' "${COMPREPLY[@]}"
}
type_in "$LINE"
`
	for line, want := range map[string]string{
		"husk token revoke nig":                                   "nightly-backup",
		"husk token create --permission wiki":                     "wiki#page/edit",
		"husk token create --permission generic#security:user/re": "user/read", // behind the colon
		"husk role show rea":                                      "reader",
	} {
		c := exec.Command("bash", "--norc", "-c", typed)
		c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HUSK_DATA="+data, "LIBRARY="+library, "LINE="+line)
		out, err := c.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", line, got, want, err)
		}
	}
}
