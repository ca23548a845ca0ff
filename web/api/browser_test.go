package api_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"husk/web/api"
)

// browser stands for navigator.credentials and one passkey, whose authenticator asks
// nobody.
type browser struct {
	origin string
	key    ed25519.PrivateKey
	uses   uint32
	user   string
}

func newBrowser(origin string) *browser {
	_, key, err := ed25519.GenerateKey(nil)
	check(err)
	return &browser{origin: origin, key: key}
}

func (b *browser) public() []byte { return b.key.Public().(ed25519.PublicKey) }

// id is that of the passkey.
func (b *browser) id() string { return bytesText(b.public()) }

func bytesText(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// say is the client data and the authenticator data (WebAuthn Level 3, 5.8.1 and 6.1).
func (b *browser) say(kind, challenge, host string, flags byte) (client, data []byte) {
	b.uses++
	client, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": b.origin, "crossOrigin": false})
	check(err)
	hash := sha256.Sum256([]byte(host))
	return client, binary.BigEndian.AppendUint32(append(hash[:], flags), b.uses)
}

// create is navigator.credentials.create.
func (b *browser) create(asked api.NewPasskey) api.CreatedPasskey {
	b.user = asked.PublicKey.User.ID
	client, data := b.say("webauthn.create", asked.PublicKey.Challenge, asked.PublicKey.RP.ID, 0x45) // there, verified, with a key
	key, err := webauthncbor.Marshal(map[int]any{1: 1, 3: -8, -1: 6, -2: b.public()})
	check(err)
	data = binary.BigEndian.AppendUint16(append(data, make([]byte, 16)...), uint16(len(b.public())))
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": append(append(data, b.public()...), key...)})
	check(err)
	return api.CreatedPasskey{ID: b.id(), RawID: b.id(), Type: "public-key",
		Response: api.PasskeyAttestation{ClientDataJSON: bytesText(client), AttestationObject: bytesText(object)}}
}

// get is navigator.credentials.get.
func (b *browser) get(asked api.PasskeyQuestion) api.PasskeyAnswer {
	client, data := b.say("webauthn.get", asked.PublicKey.Challenge, asked.PublicKey.RPID, 0x05) // there, verified
	hash := sha256.Sum256(client)
	signature := ed25519.Sign(b.key, append(append([]byte{}, data...), hash[:]...))
	return api.PasskeyAnswer{State: asked.State, Credential: api.UsedPasskey{ID: b.id(), RawID: b.id(), Type: "public-key",
		Response: api.PasskeyAssertion{ClientDataJSON: bytesText(client), AuthenticatorData: bytesText(data), Signature: bytesText(signature), UserHandle: b.user}}}
}
