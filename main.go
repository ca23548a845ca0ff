// Husk answers "who is asking, and may they?" for people with a password,
// browsers with a session and programs with an API token.
package main

import (
	_ "embed"
	"os"

	"husk/cmd"
)

// A program that was built from vendor/ knows the sums of its modules from here
// alone.
//
//go:embed go.sum
var goSum string

func main() { os.Exit(cmd.Main(goSum)) }
