package cmd

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"husk/db/dbtest"
	"husk/web/logtest"
)

// bashPackage is where bash-completion stands, the package, where it is.
const bashPackage = "/usr/share/bash-completion/bash_completion"

// shell is one that a person types at.
type shell struct {
	args  []string
	setUp string // makes what is typed complete, and ^Xp print the line and take it away
	quote string // before a # in a word that was completed
}

const bashSetUp = `source <(husk completion bash); show() { echo "=[$READLINE_LINE]"; READLINE_LINE=; }; bind -x '"\C-xp": show'`

// TestShellsComplete types at shells on a terminal. A bash ends words at the colon
// that permissions have; the script works with the package that knows of that,
// and without it. To a zsh their # is part of a pattern.
func TestShellsComplete(t *testing.T) {
	dbtest.NoRace(t, "shells")
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		prerequisite(t, "there is no bash")
	}
	p := program{data: newData(t)}
	p.ok(t, "user", "create", "ann@example.com", "--no-password")
	p.ok(t, "token", "create", "--name", "with space")
	bash := []string{"bash", "--norc", "--noprofile", "-i"}
	for name, c := range map[string]struct {
		needs string
		shell shell
	}{
		"bash":                  {"/", shell{bash, bashSetUp, ""}},
		"bash with the package": {bashPackage, shell{bash, "source " + bashPackage + "; " + bashSetUp, ""}},
		"zsh": {"/usr/bin/zsh", shell{[]string{"zsh", "-f", "-i"},
			`autoload -U compinit; compinit -D; source <(husk completion zsh); show() { print -r "=[$BUFFER]"; BUFFER= }; zle -N show; bindkey '^Xp' show`, `\`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(c.needs); err != nil {
				prerequisite(t, c.needs)
			}
			p.typeAt(t, c.shell)
		})
	}
}

// typeAt types lines with a TAB in them, and has the shell print what became of
// each.
func (p program) typeAt(t *testing.T, s shell) {
	keys, tty := terminal(t)
	c := exec.Command(s.args[0], s.args[1:]...)
	c.Env = append(environment(), "HUSK_DATA="+p.data, "TERM=dumb", "PS1=", "INPUTRC=/dev/null")
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	var shown logtest.Buffer
	go func() {
		read := make([]byte, 4096)
		for {
			n, err := keys.Read(read)
			_, _ = shown.Write(read[:n])
			if err != nil {
				return
			}
		}
	}()
	tells := func(want string) {
		t.Helper()
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("for %q it shows %q", want, shown.String())
			}
		})
		eventually(t, want, func() bool { return strings.Contains(shown.String(), want) })
	}
	fmt.Fprintf(keys, "%s; PS1=rea''dy:\n", s.setUp)
	tells("ready:") // the terminal gives each key from then on
	for _, line := range [][2]string{
		{"husk token create --permission generic#security:princ\t", "husk token create --permission generic" + s.quote + "#security:principal/search "},
		{"husk token create --permission=generic#security:us\tre\t", "husk token create --permission=generic" + s.quote + "#security:user/read "},
		{"husk user show an\t", "husk user show ann@example.com "},
		{"husk token revoke with\t", `husk token revoke with\ space `},
		{"husk token list --data /usr/shar\t", "husk token list --data /usr/share/"},
		{"husk restore " + p.data + "/husk.d\t", "husk restore " + p.data + "/husk.db "},
	} {
		// A TAB waits no longer for the store than a person at a busy machine would like
		// to, and is pressed again.
		want := "=[" + line[1] + "]"
		for range 10 {
			lines := strings.Count(shown.String(), "=[")
			fmt.Fprintf(keys, "%s\x18p", line[0])
			eventually(t, "the line", func() bool { return strings.Count(shown.String(), "=[") > lines })
			if strings.Contains(shown.String(), want) {
				break
			}
		}
		tells(want)
	}
}
