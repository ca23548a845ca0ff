package session

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"maps"
	"strings"
	"testing"
	"time"

	"husk/db"
)

var (
	now    = time.Date(2040, 5, 6, 7, 8, 9, 0, time.UTC)
	secret = []byte("0123456789abcdef0123456789abcdef")
	one    = &db.Session{ID: "5f0c3a52-91a8-4d9a-8a3e-6d7b6b1f0a11", User: "coco-default-user", Created: now, Expires: now.Add(24 * time.Hour)}
)

func keySet() *db.KeySet {
	signing := &db.Key{ID: "k1", Secret: secret}
	old := &db.Key{ID: "k0", Secret: []byte("fedcba9876543210fedcba9876543210"), Retired: now.Add(-time.Hour), Ends: now.Add(time.Hour)}
	ended := &db.Key{ID: "ended", Secret: secret, Retired: now.Add(-2 * time.Hour), Ends: now}
	return &db.KeySet{Signing: signing, ByID: map[string]*db.Key{"k1": signing, "k0": old, "ended": ended}}
}

func parser() *Parser { return NewParser(func() time.Time { return now }) }

type object map[string]any

var b64 = base64.RawURLEncoding

func part(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b64.EncodeToString(text)
}

func mac(h func() hash.Hash, key []byte, input string) string {
	m := hmac.New(h, key)
	m.Write([]byte(input))
	return input + "." + b64.EncodeToString(m.Sum(nil))
}

// craft makes a JWT that is good but for what is changed; nil removes.
func craft(header, claims object) string {
	h := object{"alg": "HS256", "typ": "JWT", "kid": "k1"}
	c := object{"iss": "husk", "aud": "husk", "sub": one.User, "jti": one.ID, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	for base, change := range map[*object]object{&h: header, &c: claims} {
		maps.Copy(*base, change)
		maps.DeleteFunc(*base, func(_ string, v any) bool { return v == nil })
	}
	return mac(sha256.New, secret, part(h)+"."+part(c))
}

func TestSignAndParse(t *testing.T) {
	text, err := Sign(keySet().Signing, one, "the secret")
	if err != nil {
		t.Fatal(err)
	}
	claims, key, err := parser().Parse(text, keySet())
	want := Claims{Iss: "husk", Aud: "husk", Sub: one.User, Jti: "the secret", Iat: now.Unix(), Nbf: now.Unix(), Exp: now.Add(24 * time.Hour).Unix()}
	if err != nil || *claims != want || key.ID != "k1" {
		t.Errorf("%+v by %v, %v; want %+v", claims, key, err, want)
	}
	header, _, _ := strings.Cut(text, ".")
	if got, _ := b64.DecodeString(header); string(got) != `{"alg":"HS256","kid":"k1","typ":"JWT"}` {
		t.Errorf("the header is %s", got)
	}
	payload, _ := b64.DecodeString(strings.Split(text, ".")[1])
	for _, word := range []string{"role", "permission", "email", "name"} {
		if strings.Contains(string(payload), word) {
			t.Errorf("the claims hold %s: %s", word, payload)
		}
	}
}

func TestAccepted(t *testing.T) {
	for name, text := range map[string]string{
		"as made":              craft(nil, nil),
		"retired key in grace": mac(sha256.New, []byte("fedcba9876543210fedcba9876543210"), part(object{"alg": "HS256", "kid": "k0"})+"."+part(object{"iss": "husk", "aud": "husk", "sub": "u", "jti": "j", "exp": now.Unix() + 1})),
		"no typ":               craft(object{"typ": nil}, nil),
		"no nbf":               craft(nil, object{"nbf": nil}),
		"last second":          craft(nil, object{"exp": now.Unix() + 1}),
		"foreign claims":       craft(nil, object{"roles": []string{"admin"}, "permissions": "*"}),
		"keys named in header": craft(object{"jku": "http://127.0.0.1:1/keys", "x5u": "file:///etc/passwd"}, nil),
	} {
		if _, _, err := parser().Parse(text, keySet()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each fault alone is refused, and all with the same error.
func TestRefused(t *testing.T) {
	good := craft(nil, nil)
	parts := strings.Split(good, ".")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs256 := func(h object) string {
		input := part(h) + "." + parts[1]
		sum := sha256.Sum256([]byte(input))
		sig, err := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + b64.EncodeToString(sig)
	}
	own := []byte("attacker's key, 32 bytes long, ok")
	jwk := object{"kty": "oct", "k": b64.EncodeToString(own), "kid": "k1", "alg": "HS256"}
	refused := map[string]string{
		"empty": "", "a word": "x", "dots": "..", "many dots": strings.Repeat(".", 8000), "two parts": parts[0] + "." + parts[1], "four parts": good + ".x",
		"alg none":                  part(object{"alg": "none", "kid": "k1"}) + "." + parts[1] + ".",
		"alg None":                  part(object{"alg": "None", "kid": "k1"}) + "." + parts[1] + ".",
		"alg none with a signature": part(object{"alg": "none", "kid": "k1"}) + "." + parts[1] + "." + parts[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"HS384 by the secret":       mac(sha512.New384, secret, part(object{"alg": "HS384", "kid": "k1"})+"."+parts[1]),
		"HS512 by the secret":       mac(sha512.New, secret, part(object{"alg": "HS512", "kid": "k1"})+"."+parts[1]),
		"RS256":                     rs256(object{"alg": "RS256", "kid": "k1"}),
		"RS256 by the secret":       mac(sha256.New, secret, part(object{"alg": "RS256", "kid": "k1"})+"."+parts[1]),
		"hs256":                     mac(sha256.New, secret, part(object{"alg": "hs256", "kid": "k1"})+"."+parts[1]),
		"no alg":                    craft(object{"alg": nil}, nil),
		"alg of another type":       craft(object{"alg": 256}, nil),
		"alg of a list":             craft(object{"alg": []string{"HS256"}}, nil),
		"no kid":                    craft(object{"kid": nil}, nil),
		"empty kid":                 craft(object{"kid": ""}, nil),
		"unknown kid":               craft(object{"kid": "k2"}, nil),
		"kid in another case":       craft(object{"kid": "K1"}, nil),
		"kid of another key":        craft(object{"kid": "k0"}, nil),
		"ended key":                 craft(object{"kid": "ended"}, nil),
		"kid of another type":       craft(object{"kid": 1}, nil),
		"kid as a path":             craft(object{"kid": "../../../dev/null"}, nil),
		"signed with its own jwk":   mac(sha256.New, own, part(object{"alg": "HS256", "kid": "k1", "jwk": jwk})+"."+parts[1]),
		"jwk and no kid":            mac(sha256.New, own, part(object{"alg": "HS256", "jwk": jwk})+"."+parts[1]),
		"jku":                       mac(sha256.New, own, part(object{"alg": "HS256", "kid": "k1", "jku": "https://evil.example/keys"})+"."+parts[1]),
		"x5c":                       mac(sha256.New, own, part(object{"alg": "HS256", "kid": "k1", "x5c": []string{"MII"}})+"."+parts[1]),
		"empty secret":              mac(sha256.New, nil, parts[0]+"."+parts[1]),
		"other claims signed":       parts[0] + "." + part(object{"iss": "husk", "aud": "husk", "sub": "root", "jti": one.ID, "exp": now.Unix() + 9}) + "." + parts[2],
		"no exp":                    craft(nil, object{"exp": nil}),
		"exp zero":                  craft(nil, object{"exp": 0}),
		"exp past":                  craft(nil, object{"exp": now.Unix() - 1}),
		"exp now":                   craft(nil, object{"exp": now.Unix()}),
		"exp negative":              craft(nil, object{"exp": -1}),
		"exp as text":               craft(nil, object{"exp": "9999999999"}),
		"exp beyond numbers":        craft(nil, object{"exp": 1e300}),
		"nbf future":                craft(nil, object{"nbf": now.Unix() + 1}),
		"other iss":                 craft(nil, object{"iss": "coco"}),
		"no iss":                    craft(nil, object{"iss": nil}),
		"iss in another case":       craft(nil, object{"iss": "Husk"}),
		"other aud":                 craft(nil, object{"aud": "coco"}),
		"no aud":                    craft(nil, object{"aud": nil}),
		"empty aud":                 craft(nil, object{"aud": ""}),
		"list of aud":               craft(nil, object{"aud": []string{"coco", "husk"}}),
		"no sub":                    craft(nil, object{"sub": nil}),
		"no jti":                    craft(nil, object{"jti": nil}),
		"jti of another type":       craft(nil, object{"jti": 1}),
		"claims are a list":         mac(sha256.New, secret, parts[0]+"."+part([]int{1})),
		"claims are null":           mac(sha256.New, secret, parts[0]+"."+part(nil)),
		"header is a list":          mac(sha256.New, secret, part([]int{1})+"."+parts[1]),
		"cut":                       good[:len(good)-1],
		"space behind":              good + " ",
		"line end behind":           good + "\n",
		"line end inside":           good[:len(good)-9] + "\r\n" + good[len(good)-9:],
		"padding":                   good + "=",
		"standard base64":           parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "=",
		"Bearer before":             "Bearer " + good,
	}
	// The last character of a signature has spare bits: other spellings decode to
	// the same bytes, and none of them is the token.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	for spare := 1; spare < 4; spare++ {
		refused["spare bits "+string(rune('0'+spare))] = good[:len(good)-1] + string(alphabet[last&^3|spare])
	}
	for name, text := range refused {
		if text == good {
			t.Fatalf("%s changes nothing", name)
		}
		if claims, key, err := parser().Parse(text, keySet()); !errors.Is(err, ErrInvalid) || err != ErrInvalid || claims != nil || key != nil {
			t.Errorf("%s: %+v, %v", name, claims, err)
		}
	}
}

// Every changed bit is told.
func TestEveryFlipIsTold(t *testing.T) {
	good, p, keys := craft(nil, nil), parser(), keySet()
	for i := range good {
		for bit := range 8 {
			text := []byte(good)
			text[i] ^= 1 << bit
			if _, _, err := p.Parse(string(text), keys); err == nil {
				t.Errorf("bit %d of byte %d changed and nobody minds: %s", bit, i, text)
			}
		}
	}
}

// FuzzJWT: what is taken was signed by a key of the set, and has one spelling.
func FuzzJWT(f *testing.F) {
	p, keys := parser(), keySet()
	f.Fuzz(func(t *testing.T, text string) {
		claims, key, err := p.Parse(text, keys)
		if err != nil {
			if err != ErrInvalid || claims != nil || key != nil {
				t.Fatalf("%+v, %v, %v", claims, key, err)
			}
			return
		}
		i := strings.LastIndexByte(text, '.')
		if mac(sha256.New, key.Secret, text[:i]) != text {
			t.Fatalf("taken without a signature: %q", text)
		}
		if claims.Iss != Issuer || claims.Aud != Audience || claims.Exp <= now.Unix() || claims.Sub == "" || claims.Jti == "" {
			t.Fatalf("taken: %+v", claims)
		}
	})
}
