// Package cmd is the command line.
//
// Every command is a client of the HTTP API. Where it runs decides only how
// its http.Transport dials (transport.go): into a handler in the same process
// when no server runs, to the control socket beside a running server, or over
// TCP with --server. The handlers can't tell, so the three give the same
// result, the same checks and the same audit entry.
//
// A closed list of commands works on the data file itself and knows an engine:
// serve, restore, compact, and check when no server runs: that looks into a file
// which can't be opened, and repairs. Others that know the store not at all:
// version, completion, man, config and the proxy commands. No other command may.
//
// One noun is one file; a command in it is an options struct, a constructor
// and a run function. Settings are defined once, in settings.go, as flags;
// HUSK_… variables and the YAML file fill in what no flag gave. Exit codes are
// chosen in exit.go, the rules of output stand at the top of output.go.
package cmd
