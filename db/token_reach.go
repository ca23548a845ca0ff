package db

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Reach is what an API token reaches behind the gate: some hosts, paths or methods
// alone. A list that is empty limits nothing. All of it is in the form in which the
// gate compares it, sorted, and each thing once.
type Reach struct {
	AllowedHosts   []string `json:"allowed_hosts,omitempty"`   // folded; *.NAME stands for one label
	AllowedPaths   []string `json:"allowed_paths,omitempty"`   // clean; /a names itself and what is under it, /a/ only that
	AllowedMethods []string `json:"allowed_methods,omitempty"` // as clients send them; GET covers HEAD
}

// GateOnly tells whether the token is good behind the gate alone. The API has no
// host, path or method that such a limit could be held against as it was meant.
func (r *Reach) GateOnly() bool {
	return len(r.AllowedHosts)+len(r.AllowedPaths)+len(r.AllowedMethods) > 0
}

// Reaches tells whether the token is good for a request: its method as it was sent,
// its folded host and its clean path.
func (r *Reach) Reaches(method, host, path string) bool {
	return covers(r.AllowedHosts, host, hostCovers) && covers(r.AllowedPaths, path, pathCovers) && covers(r.AllowedMethods, method, methodCovers)
}

// within tells whether by reaches all that r does.
func (r *Reach) within(by *Reach) bool {
	return listWithin(r.AllowedHosts, by.AllowedHosts, hostCovers) && listWithin(r.AllowedPaths, by.AllowedPaths, pathCovers) &&
		listWithin(r.AllowedMethods, by.AllowedMethods, methodCovers)
}

func (r *Reach) equal(other *Reach) bool {
	return slices.Equal(r.AllowedHosts, other.AllowedHosts) && slices.Equal(r.AllowedPaths, other.AllowedPaths) && slices.Equal(r.AllowedMethods, other.AllowedMethods)
}

// The functions below say what a pattern covers: a value, or all that another
// pattern does. It is one question, since a pattern is covered where it is when
// taken for a value. Who changes one of them keeps that so, or a token makes wider
// ones than itself.

func hostCovers(pattern, host string) bool {
	if under, wild := strings.CutPrefix(pattern, "*"); wild {
		label, found := strings.CutSuffix(host, under)
		return found && label != "" && !strings.Contains(label, ".")
	}
	return pattern == host
}

func pathCovers(pattern, path string) bool {
	rest, found := strings.CutPrefix(path, pattern)
	return found && (rest == "" || rest[0] == '/' || strings.HasSuffix(pattern, "/"))
}

func methodCovers(pattern, method string) bool {
	return pattern == method || pattern == "GET" && method == "HEAD"
}

// covers tells whether one of the patterns covers a value; no patterns cover all.
func covers(patterns []string, value string, by func(pattern, value string) bool) bool {
	for _, pattern := range patterns {
		if by(pattern, value) {
			return true
		}
	}
	return len(patterns) == 0
}

// listWithin tells whether each of inner is covered by one of outer; no outer ones
// cover everything, no inner ones need everything.
func listWithin[T any](inner, outer []T, covers func(outer, inner T) bool) bool {
	if len(outer) == 0 {
		return true
	}
	for _, in := range inner {
		if !slices.ContainsFunc(outer, func(out T) bool { return covers(out, in) }) {
			return false
		}
	}
	return len(inner) > 0
}

// Bounds of what a token names: a page of a list has up to a thousand tokens.
const (
	maxReach      = 100     // of one list
	maxReachBytes = 2 << 10 // of all three, as they are kept
)

// check refuses what is too much, as it was asked for.
func (r *Reach) check() error {
	most := 0
	for _, list := range r.lists() {
		most = max(most, len(*list))
	}
	kept, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("measure what a token reaches: %w", err)
	}
	if most > maxReach || len(kept) > maxReachBytes {
		return fail(ErrInvalid, "reach_too_long", "a token names at most 100 hosts, 100 paths and 100 methods, all of them in 2,048 bytes of JSON: name wider ones, such as *.example.com or /app")
	}
	return nil
}

func (r *Reach) lists() [3]*[]string {
	return [...]*[]string{&r.AllowedHosts, &r.AllowedPaths, &r.AllowedMethods}
}

// change takes over the lists that are not nil.
func (r *Reach) change(to Reach) {
	for i, asked := range to.lists() {
		if *asked != nil {
			*r.lists()[i] = sortedOnce(*asked)
		}
	}
}

// sortedOnce returns the texts sorted, each once; nil for none.
func sortedOnce(texts []string) []string {
	if len(texts) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(texts)))
}

// tokenReach decides what a new token reaches: what a limited token mints reaches
// no more than itself, and as much where nothing is asked.
func (t *txn) tokenReach(asked Reach) (reach Reach, err error) {
	reach.change(asked)
	by := t.actor.Token
	if by == nil {
		return reach, nil
	}
	for i, list := range reach.lists() {
		if len(*list) == 0 {
			*list = *by.lists()[i]
		}
	}
	if !reach.within(&by.Reach) {
		return reach, fail(ErrDenied, "wider_reach", "a token can't make one that is good for more hosts, paths or methods than itself")
	}
	return reach, nil
}
