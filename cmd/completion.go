package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// completionCommand adds the command that prints the scripts, cobra's own with a
// script for bash that needs no other package.
func (a *app) completionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	completion.Args, completion.RunE = cobra.ArbitraryArgs, group // an unknown shell is a misuse
	for _, shell := range completion.Commands() {
		shell.Example, shell.Args = completionExamples[shell.Name()], none
		switch shell.Name() {
		case "bash":
			shell.Long, shell.RunE = bashLong, a.printBash
		case "zsh":
			shell.RunE = a.printZsh
		}
	}
}

var completionExamples = map[string]string{
	"bash": `  source <(husk completion bash)
  husk completion bash >/etc/bash_completion.d/husk`,
	"zsh": `  source <(husk completion zsh)
  husk completion zsh >"${fpath[1]}/_husk"`,
	"fish": `  husk completion fish | source
  husk completion fish >~/.config/fish/completions/husk.fish`,
	"powershell": `  husk completion powershell | Out-String | Invoke-Expression`,
}

const bashLong = `Print the script that completes husk's commands in bash, for this shell or, in
a folder that bash reads, for each new one. It works with the package
bash-completion and without it.`

func (a *app) printBash(cmd *cobra.Command, _ []string) error {
	bare, err := cmd.Flags().GetBool("no-descriptions")
	if err != nil {
		return err
	}
	if err := cmd.Root().GenBashCompletionV2(a.stdout, !bare); err != nil {
		return err
	}
	_, err = fmt.Fprint(a.stdout, bashAlone)
	return err
}

// zshAsks is how the script asks for candidates. A completion in zsh has # for a
// part of a pattern, and what matches no file is left out: so would a permission.
const (
	zshAsks        = "out=$(eval ${requestComp} 2>/dev/null)"
	zshAsksForThat = "out=$(setopt noglob; eval ${requestComp} 2>/dev/null)"
)

func (a *app) printZsh(cmd *cobra.Command, _ []string) error {
	bare, err := cmd.Flags().GetBool("no-descriptions")
	if err != nil {
		return err
	}
	var script strings.Builder
	generate := cmd.Root().GenZshCompletion
	if bare {
		generate = cmd.Root().GenZshCompletionNoDesc
	}
	if err := generate(&script); err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, strings.Replace(script.String(), zshAsks, zshAsksForThat, 1))
	return err
}

// bashAlone takes the place of what the script wants of the package
// bash-completion, where that is not there. Bash ends a word at each of
// COMP_WORDBREAKS, the : of a permission among them: what stands together in the
// line is one word again.
const bashAlone = `
__husk_init_completion()
{
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local line=${COMP_LINE:0:COMP_POINT} rest i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        rest=${line#"${line%%[![:blank:]]*}"}
        if ((i == 0)) || [[ $rest != "$line" || -z $line ]]; then
            words+=("")
        fi
        if ((i == COMP_CWORD)); then
            words[${#words[@]}-1]+=$rest
        else
            words[${#words[@]}-1]+=${COMP_WORDS[i]}
            line=${rest#"${COMP_WORDS[i]}"}
        fi
    done
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword > 0 ? cword - 1 : 0]}
}

if ! declare -F _filedir >/dev/null; then
    _filedir()
    {
        local IFS=$'\n'
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(if [[ ${1-} == -d ]]; then compgen -d -- "$cur"; else compgen -f -- "$cur"; fi))
    }
fi
`
