package password

import "testing"

// What an import leaves out for its kind is told from what is faulty.
func TestOtherKind(t *testing.T) {
	for encoded, want := range map[string]string{
		"$apr1$Qq1o2hF4$zU1n3eXy0jU0nH1p6e2hM.": "MD5 (apr1)",
		"{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=":     "SHA-1",
		"{SSHA}abc":                             "salted SHA-1",
		"{PLAIN}x":                              "{PLAIN}",
		"$2x$10$":                               "bcrypt of a faulty version",
		"pbkdf2_sha256$260000$salt$tag":         "PBKDF2",
		"$sha1$40000$jtNX3nZ2$x":                "$sha1$",
		"{CRYPT}x":                              "{CRYPT}",
		"rqXexS6ZhobKA":                         "DES crypt",
		"$2a$10$":                               "", "$2b$": "", "$2y$99$x": "", "$argon2id$x": "", // which are faulty
		"": "", "plain words": "", "$no kind$": "", "{}": "", "$ecret": "",
	} {
		if got := OtherKind(encoded); got != want {
			t.Errorf("%q: %q, want %q", encoded, got, want)
		}
		if want != "" && Valid(encoded) == nil {
			t.Errorf("%q is valid, and of another kind", encoded)
		}
	}
}
