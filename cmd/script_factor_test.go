//go:build unix

package cmd

import (
	"strconv"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

// totpCode is the command totp. A code is good once, and a step ahead of the clock, too:
// so a script has two of them without waiting.
func totpCode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 3, "totp NAME SECRET STEP")
	step, err := strconv.Atoi(args[2])
	ts.Check(err)
	scriptOf(ts).secrets[args[1]] = true
	code, err := totp.GenerateCode(args[1], time.Now().Add(time.Duration(step)*30*time.Second))
	ts.Check(err)
	ts.Setenv(args[0], code)
}
