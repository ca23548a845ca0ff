package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"husk/web/api"
)

// printedError is what --json prints of an error, on one line: the form of an answer
// of the API, with the next step and the exit code.
type printedError struct {
	Status int           `json:"status,omitempty"` // of HTTP; absent where no server has answered
	Error  printedDetail `json:"error"`
	Exit   int           `json:"exit"`
}

type printedDetail struct {
	Reason string `json:"reason"`
	Code   string `json:"code"`           // the API's, else the exit code's word
	Next   string `json:"next,omitempty"` // the next step

	// Errors are all that is wrong, as the API tells it, where that is more than one thing.
	Errors []api.ErrorDetail `json:"errors,omitempty"`
}

// exitWords are the codes of errors that have none of the API's.
var exitWords = map[int]string{
	exitFailure: "failure", exitUsage: "usage", exitNotFound: "not_found", exitConflict: "conflict", exitDenied: "denied",
	exitBusy: "busy", exitInvalid: "invalid", exitAttention: "attention",
}

// printError writes what happened, why, and the next step.
func (a *app) printError(err error, asJSON bool) {
	what, next := a.renamed(err.Error()), a.renamed(nextStep(err))
	if asJSON {
		told := printedError{Error: printedDetail{Reason: what, Next: next}, Exit: exitCode(err)}
		var answer *api.Error
		if errors.As(err, &answer) {
			told.Status, told.Error.Code, told.Error.Errors = answer.Status, answer.Detail.Code, answer.Detail.Errors
		}
		told.Error.Code = cmp.Or(told.Error.Code, exitWords[told.Exit])
		_ = writeLine(a.stderr, told) // there is nobody else to tell
		return
	}
	fmt.Fprintf(a.stderr, "husk: %s\n", printable(what))
	if next != "" {
		fmt.Fprintf(a.stderr, "  %s\n", next)
	}
}

func nextStep(err error) string {
	var own *failure
	var answer *api.Error
	switch {
	case errors.As(err, &own):
		return own.next
	case errors.As(err, &answer) && answer.RetryAfter > 0:
		return "try again in " + answer.RetryAfter.String()
	}
	return ""
}

// wantsJSON tells whether errors are to be JSON, also where the command line
// was not understood so far that it would be known.
func (a *app) wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	asked, _ := strconv.ParseBool(a.getenv(envName("json"))) // what is neither is refused as a setting
	for _, arg := range args {
		switch value, given := strings.CutPrefix(arg, "--json="); {
		case arg == "--json":
			asked = true
		case given:
			asked, _ = strconv.ParseBool(value)
		}
	}
	return asked
}
