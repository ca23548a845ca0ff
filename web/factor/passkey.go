package factor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// Party is a relying party (WebAuthn Level 3, 4): one origin, and the host of it, at
// which alone its passkeys are good.
type Party struct {
	Host   string // the RP ID
	Origin string // as browsers write it
}

// Why passkeys can't be used at an origin.
var (
	ErrAddress   = errors.New("passkeys need a name: browsers use none at a bare address")
	ErrPlainHTTP = errors.New("passkeys need https: browsers use none over plain http, but at localhost")
)

// NewParty is the relying party of an origin, of the form that browsers send; or
// ErrAddress or ErrPlainHTTP.
func NewParty(origin string) (Party, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return Party{}, err
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return Party{}, ErrAddress
	}
	if u.Scheme != "https" && host != "localhost" {
		return Party{}, ErrPlainHTTP
	}
	return Party{Host: host, Origin: origin}, nil
}

const (
	challengeBytes = 32 // WebAuthn Level 3, 13.4.3, asks for 16 at least

	// What of a passkey is kept at most: a credential ID as long as one may be, and a
	// key of RSA with 8,192 bits.
	maxCredential = 1023
	maxPublicKey  = 1100
)

// Algorithms are the signatures that are taken, the best first (COSE): ES256, EdDSA with
// Ed25519, and RS256, which is all that some Windows machines have.
var Algorithms = []int{int(webauthncose.AlgES256), int(webauthncose.AlgEdDSA), int(webauthncose.AlgRS256)}

// NewChallenge is what a passkey has to sign: 32 random bytes.
func NewChallenge() []byte {
	challenge := make([]byte, challengeBytes)
	rand.Read(challenge) // never fails (crypto/rand)
	return challenge
}

// NobodysKey makes a public key that nobody has the other part of: what is compared with
// where there is no passkey, in the time that one takes.
func NobodysKey() []byte {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // never: crypto/rand does not fail
	}
	point, err := private.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		panic(err) // never: P-256 is known
	}
	key, err := webauthncbor.Marshal(&webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
	})
	if err != nil {
		panic(err) // never: it is CBOR of numbers and bytes
	}
	return key
}

// Why an answer of a passkey is not taken. Each is told in Husk's own words: those of
// the library can hold what was sent.
var (
	ErrPasskeyForm  = errors.New("that is no answer of a passkey")
	ErrCeremony     = errors.New("the passkey answered another question: one to be set up, and one to sign in, are not the same")
	ErrChallenge    = errors.New("the passkey answered another challenge than the one that was asked last")
	ErrOrigin       = errors.New("the passkey was used on a page of another address")
	ErrCrossOrigin  = errors.New("the passkey was used within a page of another site")
	ErrParty        = errors.New("the passkey answered for another host")
	ErrUserAbsent   = errors.New("the passkey did not see that anybody was there")
	ErrUnverified   = errors.New("the passkey did not verify who used it, by a PIN, a finger or a face, which it has to where no password is asked for")
	ErrSignature    = errors.New("the signature is not that of the passkey")
	ErrPublicKey    = errors.New("the passkey has a key of a kind that is not taken here: ES256, EdDSA and RS256 are")
	ErrBackupFlags  = errors.New("the passkey says that there is a copy of it, and that there can be none")
	ErrBackupMoved  = errors.New("the passkey says of copies what it did not say when it was set up")
	errNotVerified  = errors.New("the answer of the passkey is not valid")
	errOtherSubject = errors.New("the credential that was made is another one than the one that is named")
)

// PasskeyErrors are all of them but ErrSignature, which tells no more than that.
var PasskeyErrors = []error{ErrPasskeyForm, ErrCeremony, ErrChallenge, ErrOrigin, ErrCrossOrigin, ErrParty, ErrUserAbsent,
	ErrUnverified, ErrPublicKey, ErrBackupFlags, ErrBackupMoved, errNotVerified, errOtherSubject}

// Creation is what an authenticator answers that made a passkey.
type Creation struct {
	Credential        []byte // its ID
	ClientData        []byte // JSON
	AttestationObject []byte // CBOR
	Transports        []string
}

// NewPasskey is what is kept of a passkey that was made.
type NewPasskey struct {
	PublicKey  []byte // a COSE_Key
	Counter    uint32
	Verified   bool // the authenticator verified its user
	Eligible   bool // there can be a copy of it
	BackedUp   bool // there is one
	Transports []string
}

// Create verifies the answer to a challenge for a new passkey (WebAuthn Level 3, 7.1).
// It asks for no attestation: what statement comes all the same is not looked at.
func (p Party) Create(challenge []byte, c Creation) (*NewPasskey, error) {
	response := protocol.CredentialCreationResponse{
		PublicKeyCredential: credentialOf(c.Credential),
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: c.ClientData},
			AttestationObject:     c.AttestationObject,
		},
	}
	parsed, err := response.Parse()
	if err != nil {
		return nil, ErrPasskeyForm
	}
	object := &parsed.Response.AttestationObject
	object.Format, object.AttStatement, object.SubStatements = string(protocol.AttestationFormatNone), nil, nil
	data := &object.AuthData
	if err := p.check(&parsed.Response.CollectedClientData, data, protocol.CreateCeremony, challenge, false); err != nil {
		return nil, err
	}
	if err := checkPublicKey(data.AttData.CredentialPublicKey); err != nil {
		return nil, err
	}
	if string(data.AttData.CredentialID) != string(c.Credential) {
		return nil, errOtherSubject
	}
	// All of the standard's steps, by the library: the checks above have the words.
	if _, err := parsed.Verify(challengeText(challenge), p.Host, []string{p.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, false, true, nil, parameters(), protocol.AttestationPolicy{}, protocol.SignaturePolicy{}); err != nil {
		return nil, errNotVerified
	}
	return &NewPasskey{PublicKey: data.AttData.CredentialPublicKey, Counter: data.Counter, Verified: data.Flags.HasUserVerified(),
		Eligible: data.Flags.HasBackupEligible(), BackedUp: data.Flags.HasBackupState(), Transports: knownTransports(c.Transports)}, nil
}

// Assertion is what an authenticator answers that uses a passkey.
type Assertion struct {
	Credential        []byte // its ID
	ClientData        []byte // JSON
	AuthenticatorData []byte
	Signature         []byte
}

// Asserted is what it tells.
type Asserted struct {
	Counter  uint32
	BackedUp bool
	Verified bool // the authenticator verified its user
}

// Assert verifies the answer of a passkey to a challenge (WebAuthn Level 3, 7.2), by its
// key and whether there could be a copy of it when it was set up. Where verified is set
// the authenticator has to have verified its user. The signature is compared whatever
// else is wrong, so that each answer takes the same time.
func (p Party) Assert(challenge, publicKey []byte, eligible, verified bool, a Assertion) (*Asserted, error) {
	response := protocol.CredentialAssertionResponse{
		PublicKeyCredential: credentialOf(a.Credential),
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.ClientData},
			AuthenticatorData:     a.AuthenticatorData, Signature: a.Signature,
		},
	}
	parsed, err := response.Parse()
	if err != nil {
		return nil, ErrPasskeyForm
	}
	data := &parsed.Response.AuthenticatorData
	checked := p.check(&parsed.Response.CollectedClientData, data, protocol.AssertCeremony, challenge, verified)
	if checked == nil && data.Flags.HasBackupEligible() != eligible {
		checked = ErrBackupMoved
	}
	err = parsed.Verify(challengeText(challenge), p.Host, "", []string{p.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, verified, true, publicKey, protocol.SignaturePolicy{})
	switch {
	case checked != nil:
		return nil, checked
	case err != nil:
		return nil, ErrSignature // all else was checked
	}
	return &Asserted{Counter: data.Counter, BackedUp: data.Flags.HasBackupState(), Verified: data.Flags.HasUserVerified()}, nil
}

// check has the words for what the library refuses, and what it does not look at: a
// flag that contradicts another (WebAuthn Level 3, 7.2, step 17).
func (p Party) check(client *protocol.CollectedClientData, data *protocol.AuthenticatorData, ceremony protocol.CeremonyType, challenge []byte, verified bool) error {
	host := sha256.Sum256([]byte(p.Host))
	switch {
	case client.Type != ceremony:
		return ErrCeremony
	case client.Challenge != challengeText(challenge):
		return ErrChallenge
	case client.Origin != p.Origin:
		return ErrOrigin
	case client.CrossOrigin || client.TopOrigin != "":
		return ErrCrossOrigin
	case !bytes.Equal(data.RPIDHash, host[:]):
		return ErrParty
	case !data.Flags.HasUserPresent():
		return ErrUserAbsent
	case verified && !data.Flags.HasUserVerified():
		return ErrUnverified
	case data.Flags.HasBackupState() && !data.Flags.HasBackupEligible():
		return ErrBackupFlags
	}
	return nil
}

func credentialOf(id []byte) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: base64.RawURLEncoding.EncodeToString(id), Type: string(protocol.PublicKeyCredentialType)},
		RawID:      id,
	}
}

func challengeText(challenge []byte) string { return base64.RawURLEncoding.EncodeToString(challenge) }

// checkPublicKey refuses a key that could not be used: nobody should find that out at a
// sign-in.
func checkPublicKey(key []byte) error {
	if len(key) > maxPublicKey {
		return ErrPublicKey
	}
	parsed, err := webauthncose.ParsePublicKey(key)
	if err != nil || !slices.Contains(Algorithms, algorithmOf(parsed)) {
		return ErrPublicKey
	}
	if k, ok := parsed.(webauthncose.RSAPublicKeyData); ok && len(k.Modulus) < 256 {
		return ErrPublicKey // below 2,048 bits
	}
	return nil
}

func algorithmOf(key any) int {
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		return int(k.Algorithm)
	case webauthncose.OKPPublicKeyData:
		return int(k.Algorithm)
	case webauthncose.RSAPublicKeyData:
		return int(k.Algorithm)
	}
	return 0
}

func parameters() (all []protocol.CredentialParameter) {
	for _, a := range Algorithms {
		all = append(all, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.COSEAlgorithmIdentifier(a)})
	}
	return all
}

// Transports by which authenticators are reached (WebAuthn Level 3, 5.8.4).
var transports = []string{"ble", "hybrid", "internal", "nfc", "smart-card", "usb"}

// knownTransports keeps of what a browser says what it may be told again.
func knownTransports(all []string) (known []string) {
	for _, t := range transports {
		if slices.Contains(all, t) {
			known = append(known, t)
		}
	}
	return known
}
