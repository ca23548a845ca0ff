package web

import (
	"strings"

	"husk/db"
	"husk/web/gate"
)

// This file reads what an API token is to reach behind the gate, into the form in
// which the gate compares it.

// parseReach reads the hosts, paths and methods of a token, and tells all that is wrong
// with them. Lists that are nil stay nil, and empty ones empty.
func parseReach(hosts, paths, methods []string) (r db.Reach, err error) {
	var errs [3]error
	r.AllowedHosts, errs[0] = parseEach(hosts, parseHost)
	r.AllowedPaths, errs[1] = parseEach(paths, parsePath)
	r.AllowedMethods, errs[2] = parseEach(methods, parseMethod)
	return r, wrong(errs[:]...)
}

func parseEach(texts []string, parse func(string) (string, error)) ([]string, error) {
	if texts == nil {
		return nil, nil
	}
	parsed := make([]string, 0, len(texts))
	for _, text := range texts {
		one, err := parse(text)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, one)
	}
	return parsed, nil
}

func parseHost(text string) (string, error) {
	folded, err := gate.FoldHostPattern(text)
	if err != nil {
		return "", malformed("bad_host", "allowed_hosts are names such as app.example.com, or addresses, without a port; *.example.com stands for one label")
	}
	return folded, nil
}

// parsePath reads a clean path. One that would be another when it is read again is
// refused: what is shown can be sent back.
func parsePath(text string) (string, error) {
	clean, err := gate.CleanPath(text)
	again, _ := gate.CleanPath(clean) // what fails is another
	if err != nil || again != clean || strings.Contains(text, "?") {
		return "", malformed("bad_path", "allowed_paths are beginnings of paths, such as /api/, written as they are seen: without a query, .., //, \\, ; and #")
	}
	return clean, nil
}

// parseMethod reads a method. One in small letters is a slip, and would let nothing
// through.
func parseMethod(text string) (string, error) {
	if !gate.IsMethod(text) {
		return "", malformed("bad_method", "allowed_methods are names such as GET and POST, in capitals")
	}
	return text, nil
}
