// Package cmd is the command line.
//
// Every command is a client of the HTTP API. Where it runs decides only how
// its http.Transport dials (connect.go): into a handler in the same process when
// no server runs, to the control socket beside a running server (both door.go),
// or over TCP with --server (remote.go). The handlers can't tell, so the three
// give the same result, the same checks and the same audit entry.
//
// A closed list of commands works on the data file itself and knows an engine:
// serve, restore, compact, and check when no server runs: that looks into a file
// which can't be opened, and repairs; check --schema reads one record of it, beside
// whoever has it. Others that know the store not at all: version, completion, man,
// config, the proxy commands and bundle. No other command may.
//
// One noun is one file; a command in it is an options struct, a constructor
// and a run function. Settings are defined once, in settings.go, as flags;
// HUSK_… variables and the YAML file fill in what no flag gave. Exit codes are
// chosen in exit.go, what keeps a command from its files is put into words in
// failures.go and what the API refuses in api_errors.go, and the rules of output
// stand at the top of output.go.
//
// Where the data folder is, who may work in it and what is made there stands in
// datafolder.go; how long who wants the store waits for its lock, in lock.go; how
// a secret is handed out and, where it can't be, taken back, in secret_output.go.
package cmd
