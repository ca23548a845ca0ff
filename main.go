// Husk answers "who is asking, and may they?" for people with a password,
// browsers with a session and programs with an API token.
package main

import (
	"os"

	"husk/cmd"
)

func main() { os.Exit(cmd.Main()) }
