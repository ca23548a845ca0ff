package web_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"husk/web"
	"husk/web/api"
)

func init() {
	web.NewAuthenticator = func(t testing.TB, origin string) web.Authenticator {
		a := newSoftKey(t, origin)
		return web.Authenticator{
			Create: func(asked api.NewPasskey) api.CreatedPasskey { return a.create(asked) },
			Use:    func(asked api.PasskeyQuestion) api.PasskeyAnswer { return a.use(asked) },
		}
	}
}

// Flags of authenticator data (WebAuthn Level 3, 6.1).
const (
	flagUP = 0x01
	flagUV = 0x04
	flagBE = 0x08
	flagBS = 0x10
	flagAT = 0x40
)

// softKey is an authenticator in software, with one passkey; it can lie about everything.
type softKey struct {
	t       testing.TB
	key     crypto.Signer
	id      []byte
	handle  string // base64url, as it was told
	counter uint32
	origin  string // at which the browser is
}

func newSoftKey(t testing.TB, origin string) *softKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return newSoftKeyOf(t, origin, key)
}

func newSoftKeyOf(t testing.TB, origin string, key crypto.Signer) *softKey {
	id := make([]byte, 32)
	rand.Read(id)
	return &softKey{t: t, key: key, id: id, origin: origin}
}

// said is what an authenticator and a browser say, before it is signed.
type said struct {
	Type        string `json:"type"`
	Challenge   string `json:"challenge"`
	Origin      string `json:"origin"`
	CrossOrigin bool   `json:"crossOrigin"`
	TopOrigin   string `json:"topOrigin,omitempty"`

	host    string
	flags   byte
	counter uint32
	handle  string
	id      []byte
	key     []byte // a COSE_Key
	format  string
	more    []byte              // behind the authenticator data
	sign    func([]byte) []byte // nil: as it is
	client  func([]byte) []byte // nil: as it is
}

type lie func(*said)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (a *softKey) say(kind, challenge, host string, flags byte, lies []lie) (s said, client, data []byte) {
	a.t.Helper()
	a.counter++
	s = said{Type: kind, Challenge: challenge, Origin: a.origin, host: host, flags: flags, counter: a.counter, handle: a.handle, id: a.id, key: a.publicKey(), format: "none"}
	for _, tell := range lies {
		tell(&s)
	}
	client, err := json.Marshal(s)
	must(a.t, err)
	if s.client != nil {
		client = s.client(client)
	}
	hash := sha256.Sum256([]byte(s.host))
	data = append(hash[:], s.flags)
	data = binary.BigEndian.AppendUint32(data, s.counter)
	if s.flags&flagAT != 0 {
		data = append(data, make([]byte, 16)...)
		data = binary.BigEndian.AppendUint16(data, uint16(len(s.id)))
		data = append(append(data, s.id...), s.key...)
	}
	return s, client, append(data, s.more...)
}

// create makes the passkey that is asked for.
func (a *softKey) create(asked api.NewPasskey, lies ...lie) api.CreatedPasskey {
	a.t.Helper()
	a.handle = asked.PublicKey.User.ID
	s, client, data := a.say("webauthn.create", asked.PublicKey.Challenge, asked.PublicKey.RP.ID, flagUP|flagUV|flagAT, lies)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": s.format, "attStmt": map[string]any{}, "authData": data})
	must(a.t, err)
	return api.CreatedPasskey{ID: b64(a.id), RawID: b64(a.id), Type: "public-key",
		Response: api.PasskeyAttestation{ClientDataJSON: b64(client), AttestationObject: b64(object), Transports: []string{"usb", "made-up"}}}
}

// use answers what is asked.
func (a *softKey) use(asked api.PasskeyQuestion, lies ...lie) api.PasskeyAnswer {
	a.t.Helper()
	flags := byte(flagUP)
	if asked.PublicKey.UserVerification == "required" {
		flags |= flagUV
	}
	s, client, data := a.say("webauthn.get", asked.PublicKey.Challenge, asked.PublicKey.RPID, flags, lies)
	hash := sha256.Sum256(client)
	signature := a.sign(append(append([]byte{}, data...), hash[:]...))
	if s.sign != nil {
		signature = s.sign(signature)
	}
	return api.PasskeyAnswer{State: asked.State, Credential: api.UsedPasskey{ID: b64(a.id), RawID: b64(a.id), Type: "public-key",
		Response: api.PasskeyAssertion{ClientDataJSON: b64(client), AuthenticatorData: b64(data), Signature: b64(signature), UserHandle: s.handle}}}
}

func (a *softKey) sign(text []byte) []byte {
	a.t.Helper()
	hash := sha256.Sum256(text)
	signed, how := hash[:], crypto.SignerOpts(crypto.SHA256)
	if _, ok := a.key.(ed25519.PrivateKey); ok {
		signed, how = text, crypto.Hash(0)
	}
	signature, err := a.key.Sign(rand.Reader, signed, how)
	must(a.t, err)
	return signature
}

// publicKey is a COSE_Key (RFC 9053).
func (a *softKey) publicKey() []byte {
	a.t.Helper()
	key := map[int]any{}
	switch public := a.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		must(a.t, err)
		key = map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
	case ed25519.PublicKey:
		key = map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(public)}
	case *rsa.PublicKey:
		key = map[int]any{1: 3, 3: -257, -1: public.N.Bytes(), -2: big.NewInt(int64(public.E)).Bytes()}
	}
	text, err := webauthncbor.Marshal(key)
	must(a.t, err)
	return text
}
