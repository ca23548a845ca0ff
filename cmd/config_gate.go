package cmd

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"husk/web/gate"
)

// gateKey is the key of the configuration file under which the gate is.
const gateKey = "gate"

// A list, or the rules, that are longer than gate.Parse takes are read no further:
// a few aliases could make of a small file more than there is memory for.
const (
	readValues = 101
	readRules  = 10_001
)

// gateFile is what a configuration file says of the gate, and where.
type gateFile struct {
	gate.Config
	line  int              // of the key gate
	lines map[string]int   // of its keys
	rules []map[string]int // of the keys of each rule
}

// lineOf is where a fault is: the key where it stands, else the rule, else the gate.
func (g *gateFile) lineOf(f gate.Fault) int {
	for i, rule := range g.Rules {
		if line := g.rules[i][f.Key]; line > 0 && rule.Line == f.Line {
			return line
		}
	}
	return cmp.Or(f.Line, g.lines[f.Key], g.line)
}

// readGate reads the mapping of the gate. What its values mean is judged by
// gate.Parse; see gateRules.
func (c *configFile) readGate(key, value *yaml.Node) {
	g := &gateFile{line: key.Line}
	c.gate = g
	g.lines = c.fields(gateKey, value, map[string]func(name string, n *yaml.Node){
		"login_url":     func(name string, n *yaml.Node) { g.LoginURL, g.LoginLine = c.plain(name, n), n.Line },
		"cookie_domain": func(name string, n *yaml.Node) { g.CookieDomain, g.DomainLine = c.plain(name, n), n.Line },
		"return_ttl":    func(name string, n *yaml.Node) { g.ReturnTTL = c.gateTTL(name, n) },
		"rules": func(name string, n *yaml.Node) {
			if n = resolvedNode(n); n.Kind != yaml.SequenceNode {
				c.add(n.Line, name, "%s is a list, each of which begins with a dash", name)
				return
			}
			for _, item := range n.Content[:min(readRules, len(n.Content))] { // without any, all is refused
				c.readRule(g, item)
			}
		},
	})
}

func (c *configFile) readRule(g *gateFile, n *yaml.Node) {
	rule := gate.Rule{Line: n.Line}
	texts := func(into *[]string) func(string, *yaml.Node) {
		return func(name string, n *yaml.Node) {
			for _, item := range c.items(name, n, readValues) {
				*into = append(*into, c.plain(name, item))
			}
		}
	}
	text := func(into *string) func(string, *yaml.Node) {
		return func(name string, n *yaml.Node) { *into = c.plain(name, n) }
	}
	lines := c.fields("gate.rules", n, map[string]func(name string, n *yaml.Node){
		"host":          text(&rule.Host),
		"path":          text(&rule.Path),
		"methods":       texts(&rule.Methods),
		"from":          texts(&rule.From),
		"require":       texts(&rule.Require),
		"second_factor": func(name string, n *yaml.Node) { rule.SecondFactor = c.oneOf(name, n, "true", "false") == "true" },
		"preflight":     func(name string, n *yaml.Node) { rule.Preflight = c.oneOf(name, n, "allow") == "allow" },
		"upstream":      text(&rule.UpstreamURL),
	})
	if lines == nil { // it is no rule, which was told
		return
	}
	g.Rules, g.rules = append(g.Rules, rule), append(g.rules, lines)
}

// fields goes through a mapping whose keys are known, and returns where each of
// them stands; nil where it is no mapping.
func (c *configFile) fields(path string, n *yaml.Node, known map[string]func(name string, n *yaml.Node)) (lines map[string]int) {
	n = resolvedNode(n)
	if n.Kind != yaml.MappingNode {
		c.add(n.Line, path, "%s is lines of the form 'name: value'", path)
		return nil
	}
	lines = map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := path + "." + key.Value
		read := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			c.add(key.Line, path, "a name in %s is plain text", path)
		case read == nil:
			c.unknownIn(path, key, known)
		case lines[key.Value] != 0:
			c.add(key.Line, name, "%s is set already, on line %d", name, lines[key.Value])
		default:
			lines[key.Value] = key.Line
			read(name, value)
		}
	}
	return lines
}

func (c *configFile) unknownIn(path string, key *yaml.Node, known map[string]func(name string, n *yaml.Node)) {
	var names []string
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names) // the nearest of several is the same each time
	hint := ""
	if near := nearest(key.Value, names); near != "" {
		hint = "; did you mean " + near + "?"
	}
	c.add(key.Line, path+"."+key.Value, "%s has no %s%s", path, key.Value, hint)
}

// resolvedNode is a node, or what an alias stands for, at the alias's line.
func resolvedNode(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.AliasNode {
		return n
	}
	there := *n.Alias
	there.Line = n.Line
	return &there
}

// items are the values of a list, at most so many, or one that stands for itself.
func (c *configFile) items(name string, n *yaml.Node, most int) []*yaml.Node {
	n = resolvedNode(n)
	switch {
	case n.Kind != yaml.SequenceNode:
		return []*yaml.Node{n}
	case len(n.Content) == 0:
		c.add(n.Line, name, "%s is an empty list; leave the line out", name)
	}
	return n.Content[:min(most, len(n.Content))]
}

// plain is a plain value; what is none is told.
func (c *configFile) plain(name string, n *yaml.Node) string {
	n = resolvedNode(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		c.add(n.Line, name, "%s is one value; methods, from and require may be lists of plain ones", name)
	case isNull(n) || strings.TrimSpace(n.Value) == "":
		c.add(n.Line, name, "%s has no value; leave the line out", name)
	default:
		return n.Value
	}
	return ""
}

func (c *configFile) oneOf(name string, n *yaml.Node, words ...string) string {
	text := c.plain(name, n)
	if text != "" && !slices.Contains(words, text) {
		c.add(n.Line, name, "%s: it is %s, or the line is left out", name, strings.Join(words, " or "))
	}
	return text
}

// gateTTL reads how long a return address is good. No time at all would be taken
// for the default.
func (c *configFile) gateTTL(name string, n *yaml.Node) time.Duration {
	ttl := newBounded(gate.DefaultReturnTTL, time.Minute, 24*time.Hour)
	if text := c.plain(name, n); text != "" {
		if err := ttl.Set(text); err != nil {
			c.add(n.Line, name, "%s: %v", name, err)
		}
	}
	return time.Duration(ttl.durationValue)
}
