// Command vet looks at packages as go vet does, and reads what they import from its
// source: go vet compiles all of it first, for each platform that it looks at.
//
//	GOOS=windows GOARCH=amd64 vet ./...
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"
	"golang.org/x/tools/go/analysis/suite/vet"
)

func main() { multichecker.Main(vet.Suite...) }
