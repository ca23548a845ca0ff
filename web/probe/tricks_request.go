package probe

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// pathMarks are what is left of a trick with a path, in lower case.
var pathMarks = []string{"/../", "/..;", "//", "%2f", "%5c", `\`, "%2e", ";", "%00", "%25", "#"}

// pathTricks are paths that a rule and an application may read differently. None
// of them leads out of the path of the URL, whoever reads it.
func pathTricks(c Config) (all []trick) {
	base := strings.TrimSuffix(c.URL.EscapedPath(), "/")
	for _, p := range []struct{ name, target string }{
		{"path-dot-dot", base + "/husk-probe/../"},
		{"path-dot-dot-semicolon", base + "/husk-probe/..;/"},
		{"path-semicolon", base + "/husk-probe;a=b/"},
		{"path-double-slash", base + "//husk-probe"},
		{"path-encoded-slash", base + "/husk%2fprobe"},
		{"path-encoded-backslash", base + "/husk%5cprobe"},
		{"path-backslash", base + `/husk\probe`},
		{"path-encoded-dots", base + "/husk-probe/%2e%2e/"},
		{"path-twice-encoded", base + "/husk-probe/%252e%252e/"},
		{"path-nul", base + "/husk%00probe"},
		{"path-fragment", base + "/husk-probe#/"},
		{"path-absolute", "http://" + evilHost + base + "/"},
	} {
		all = append(all, both(c, trick{name: p.name, topic: topicPath, sees: seesPath, foreign: p.name == "path-absolute"}, ask{target: p.target}))
	}
	return all
}

// connectionTricks name headers that a proxy is to drop on the way (RFC 9110, 7.6.1).
func connectionTricks(c Config) (all []trick) {
	for _, t := range []struct{ name, value string }{
		{"connection-remote-user", "Remote-User"},
		{"connection-remote-name", "close, Remote-Name"},
		{"connection-remote-email", "close, Remote-Email"},
		{"connection-remote-groups", "close, Remote-Groups"},
		{"connection-forwarded", "close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto"},
	} {
		all = append(all, both(c, trick{name: t.name, topic: topicConnection, needs: true, sees: seesDropped}, ask{lines: []string{"Connection: " + t.value}}))
	}
	dropped := func(name, header, value string) trick {
		return trick{name: name, topic: topicConnection, nobody: []ask{{lines: []string{"Connection: close, " + header, header + ": " + value}}}}
	}
	return append(all, dropped("connection-api-token", "X-API-TOKEN", c.MadeUp),
		dropped("connection-authorization", "Authorization", "Bearer "+c.MadeUp),
		dropped("connection-cookie", "Cookie", "husk_gate=aHVzay1wcm9iZS1mb3Jn"))
}

// doubledTricks have of one header two, of which the gate may read the one and the
// application the other.
func doubledTricks(c Config) []trick {
	good, bad := "X-API-TOKEN: "+c.Token, "X-API-TOKEN: "+c.MadeUp
	goodBearer, badBearer := "Authorization: Bearer "+c.Token, "Authorization: Bearer "+c.MadeUp
	lines := func(label string, all ...string) ask { return ask{label: label, lines: all} }
	return []trick{
		{name: "doubled-api-token", topic: topicDoubled, nobody: []ask{{lines: []string{bad, bad}}},
			holder: []ask{lines("the good one first", good, bad), lines("the good one last", bad, good)}},
		{name: "doubled-authorization", topic: topicDoubled, nobody: []ask{{lines: []string{badBearer, badBearer}}},
			holder: []ask{lines("the good one first", goodBearer, badBearer), lines("the good one last", badBearer, goodBearer)}},
		{name: "mixed-credentials", topic: topicDoubled, nobody: []ask{{lines: []string{bad, badBearer}}},
			holder: []ask{lines("a bad Authorization", good, badBearer), lines("a bad X-API-TOKEN", bad, goodBearer)}},
		{name: "doubled-host", topic: topicDoubled, nobody: []ask{{lines: []string{"Host: " + evilHost}}},
			holder: []ask{{lines: []string{"Host: " + evilHost, good}}}},
	}
}

// redirectTricks want a sign-in that leads back to another host.
func redirectTricks(c Config) []trick {
	page := func(lines ...string) []string { return append(lines, asBrowser...) }
	return []trick{
		{name: "redirect-host", topic: topicRedirect, foreign: true, nobody: []ask{{host: evilHost, lines: asBrowser}}},
		{name: "redirect-forwarded-host", topic: topicRedirect, nobody: []ask{
			{label: "X-Forwarded-Host", lines: page("X-Forwarded-Host: " + evilHost)},
			{label: "X-Host", lines: page("X-Host: " + evilHost)},
			{label: "X-Original-URL", lines: page("X-Original-URL: " + c.URL.Scheme + "://" + evilHost + "/")},
			{label: "Forwarded", lines: page("Forwarded: host=" + evilHost)},
		}},
		{name: "redirect-path", topic: topicRedirect, nobody: []ask{
			{label: "//", target: "//" + evilHost + "/", lines: asBrowser},
			{label: `/\`, target: `/\` + evilHost + "/", lines: asBrowser},
		}},
	}
}

// otherTricks are odd requests. Those with a body have one that means the same
// by whatever is believed of its length: nothing is smuggled into a connection that
// others use.
func otherTricks(c Config) []trick {
	const chunked = "5\r\nprobe\r\n0\r\n\r\n"
	length := fmt.Sprintf("Content-Length: %d", len(chunked))
	twoLengths := func(label, coding string) ask {
		return ask{label: label, method: http.MethodPost, lines: []string{length, coding}, body: chunked}
	}
	override := trick{name: "method-override", topic: topicGate, sees: seesNothing}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		override = both(c, override, ask{label: name, lines: []string{name + ": HEAD"}})
	}
	return []trick{
		{name: "preflight", topic: topicGate, judge: (*prober).judgePreflight, nobody: []ask{
			{method: http.MethodOptions, lines: []string{"Origin: https://" + evilHost, "Access-Control-Request-Method: GET"}}}},
		{name: "websocket", topic: topicGate, nobody: []ask{{lines: []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: aHVzayBwcm94eSBwcm9iZQ==", "Origin: " + c.URL.Scheme + "://" + c.URL.Host}}}},
		{name: "two-lengths", topic: topicRequest, nobody: []ask{
			twoLengths("chunked", "Transfer-Encoding: chunked"), twoLengths("a space before the colon", "Transfer-Encoding : chunked"),
			twoLengths("an unknown coding", "Transfer-Encoding: xchunked"), twoLengths("a tab", "Transfer-Encoding:\tchunked"),
		}},
		override,
	}
}

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
