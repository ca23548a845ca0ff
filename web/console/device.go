package console

import "strings"

// What a browser calls itself (RFC 9110, 10.1.5) tells people which of their devices it
// is. It is what the browser says, and proves nothing.

// browsers are the words of a User-Agent that name a browser, the telling ones first:
// nearly all of them name Chrome and Safari, too.
var browsers = []struct{ word, name string }{
	{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"}, {"MicroMessenger/", "WeChat"},
	{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
}

var systems = []struct{ word, name string }{
	{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"HarmonyOS", "HarmonyOS"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"},
	{"Mac OS X", "macOS"}, {"Macintosh", "macOS"}, {"FreeBSD", "FreeBSD"}, {"Linux", "Linux"},
}

// maxProgram is how many bytes of the name of a program are shown that is no browser.
const maxProgram = 40

// deviceOf says which browser on which system a User-Agent names; of a program, its
// name.
func deviceOf(agent string) Text {
	var browser, system string
	for _, b := range browsers {
		if browser == "" && strings.Contains(agent, b.word) {
			browser = b.name
		}
	}
	for _, s := range systems {
		if system == "" && strings.Contains(agent, s.word) {
			system = s.name
		}
	}
	program, _, _ := strings.Cut(strings.TrimSpace(agent), "/")
	switch {
	case browser != "" && system != "":
		return say("device.browser_on", "browser", browser, "system", system)
	case browser != "":
		return literal(browser)
	case program == "" || program == "Mozilla" || len(program) > maxProgram:
		return say("device.unknown")
	}
	return literal(program)
}
