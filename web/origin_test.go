package web_test

import (
	"testing"

	"husk/web"
)

// What an operator writes has to equal what browsers send, and be one origin.
func TestParseOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://id.example.com":       "https://id.example.com",
		"https://id.example.com/":      "https://id.example.com",
		"HTTPS://ID.Example.COM":       "https://id.example.com",
		"https://id.example.com:443":   "https://id.example.com",
		"http://id.example.com:80/":    "http://id.example.com",
		"http://id.example.com:443":    "http://id.example.com:443",
		"https://id.example.com:8443":  "https://id.example.com:8443",
		"http://localhost:9000":        "http://localhost:9000",
		"http://my_host":               "http://my_host",
		"http://[2001:DB8::1]:9000":    "http://[2001:db8::1]:9000",
		"http://[::1]:80":              "http://[::1]",
		"https://xn--mnchen-3ya.de":    "https://xn--mnchen-3ya.de",
		"https://*.example.com":        "",
		"https://*":                    "",
		"https://id.example.*":         "",
		"https://id.example.com,b.com": "",
		"https://münchen.de":           "", // browsers send xn--mnchen-3ya.de
		"https://:9000":                "",
		"https://id..example.com":      "",
		"https://id.example.com?":      "",
		"https://id.example.com#x":     "",
		"https://id.example.com/husk":  "",
		"https://u:p@id.example.com":   "",
		"//id.example.com":             "",
		"ftp://id.example.com":         "",
		"null":                         "",
		"*":                            "",
		"":                             "",
	} {
		if got, err := web.ParseOrigin(text); got != want || (err == nil) != (want != "") {
			t.Errorf("ParseOrigin(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}
