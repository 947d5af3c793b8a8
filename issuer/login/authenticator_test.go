package login

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// The flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	flagPresent  = 1 << 0
	flagVerified = 1 << 2
	flagEligible = 1 << 3
	flagBackedUp = 1 << 4
	flagAttested = 1 << 6
)

// authenticator is a device with one passkey, together with the browser that it is connected to. Its fields are what it
// says; a test that wants a lie changes them.
type authenticator struct {
	origin      string
	crossOrigin bool
	domain      string // RP ID
	flags       byte
	count       uint32
	steps       uint32 // what each use adds to count
	id          []byte
	userHandle  []byte
	key         crypto.Signer
	format      string
	statement   map[string]any
}

// newAuthenticator makes one for an issuer.
func newAuthenticator(t testing.TB, issuer string) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &authenticator{
		origin: issuer, domain: "localhost", flags: flagPresent | flagVerified, count: 1, steps: 1,
		id: []byte(rand.Text()), key: key, format: "none", statement: map[string]any{},
	}
}

// options is what both kinds of options have that a device needs.
type options struct {
	PublicKey struct {
		Challenge        string `json:"challenge"`
		RPID             string `json:"rpId"`
		UserVerification string `json:"userVerification"`
		Attestation      string `json:"attestation"`
		RP               struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"user"`
		Exclude []struct {
			ID string `json:"id"`
		} `json:"excludeCredentials"`
		Selection struct {
			ResidentKey      string `json:"residentKey"`
			UserVerification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
	} `json:"publicKey"`
}

func (a *authenticator) clientData(t testing.TB, kind, challenge string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": a.crossOrigin})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// data is authenticator data, without what only attestation adds.
func (a *authenticator) data(flags byte) []byte {
	domain := sha256.Sum256([]byte(a.domain))
	data := append(domain[:], a.flags|flags)
	return binary.BigEndian.AppendUint32(data, a.count)
}

// create answers creation options, as navigator.credentials.create does, and the script.
func (a *authenticator) create(t testing.TB, o options) map[string]any {
	t.Helper()
	if handle, err := base64url.Decode(o.PublicKey.User.ID); err == nil && a.userHandle == nil {
		a.userHandle = handle
	}
	data := append(a.data(flagAttested), make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), a.coseKey(t)...)
	object, err := cbor.Marshal(map[string]any{"fmt": a.format, "attStmt": a.statement, "authData": data})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"id": base64url.Encode(a.id), "clientDataJSON": base64url.Encode(a.clientData(t, "webauthn.create", o.PublicKey.Challenge)),
		"attestationObject": base64url.Encode(object),
	}
}

// coseKey is the public key (RFC 9053, sections 7.1 and 7.2).
func (a *authenticator) coseKey(t testing.TB) []byte {
	t.Helper()
	var m map[int]any
	switch key := a.key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		m = map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}
	case ed25519.PublicKey:
		m = map[int]any{1: 1, 3: -8, -1: 6, -2: []byte(key)}
	}
	text, err := cbor.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// get answers request options, as navigator.credentials.get does, and the script.
func (a *authenticator) get(t testing.TB, o options) map[string]any {
	t.Helper()
	a.count += a.steps
	clientData := a.clientData(t, "webauthn.get", o.PublicKey.Challenge)
	data := a.data(0)
	hash := sha256.Sum256(clientData)
	signed := append(append([]byte{}, data...), hash[:]...)
	how := crypto.Hash(0)
	if _, ok := a.key.Public().(*ecdsa.PublicKey); ok {
		sum := sha256.Sum256(signed)
		signed, how = sum[:], crypto.SHA256
	}
	signature, err := a.key.Sign(rand.Reader, signed, how)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"id": base64url.Encode(a.id), "clientDataJSON": base64url.Encode(clientData), "authenticatorData": base64url.Encode(data),
		"signature": base64url.Encode(signature), "userHandle": base64url.Encode(a.userHandle), "back": "",
	}
}

// post sends JSON as the script does, and reads the answer into to if it is a good one.
func (b *browser) post(t *testing.T, path string, body any, to any) (status int, text string) {
	t.Helper()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", b.f.url+"/login/passkey/"+path, strings.NewReader(string(sent)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", b.f.url)
	resp, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && to != nil {
		if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, ""
	}
	var said struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, said.Error
}
