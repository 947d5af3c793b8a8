package accesstoken

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

// maxConfirmation has room for an RSA-4096 JWK with a short certificate chain.
const maxConfirmation = 8 << 10

// Binding names the confirmation method of a token.
type Binding string

// The confirmation methods.
const (
	Unbound   Binding = ""         // no cnf: a plain bearer token
	BoundJKT  Binding = "jkt"      // DPoP, RFC 9449 section 6
	BoundX5T  Binding = "x5t#S256" // mutual TLS, RFC 8705 section 3.1
	BoundJWK  Binding = "jwk"      // RFC 7800 section 3.2; OAuth httpsig with a pre-registered key
	BoundHTSK Binding = "htsk"     // OAuth httpsig draft -03 with a run-time key
)

// The names of the HTTP Signature Algorithms registry (RFC 9421, section 6.2.2) that a run-time key may have.
const (
	runtimeP256    = "ecdsa-p256-sha256"
	runtimeP384    = "ecdsa-p384-sha384"
	runtimeEd25519 = "ed25519"
)

const draftHTTPSig = "draft-richer-oauth-httpsig-03, confirmation methods"

// Confirmation is a checked `cnf` claim: at most one method, so that nobody can choose between two.
type Confirmation struct {
	Binding     Binding
	Thumbprint  keys.Thumbprint // of the key, for jkt, jwk and htsk
	Certificate [32]byte        // SHA-256 of the certificate, for x5t#S256
	Key         *keys.Public    // for jwk and htsk
	Algorithm   string          // for htsk: the HTTP Signature Algorithms name it is bound to
}

// ParseConfirmation reads the JSON value of `cnf`. An unknown method, two methods, or none in a present cnf is an error,
// never an unbound token. (RFC 7800, section 3.1, would ignore unknown members; what they demand would then not be met.)
//
// A jwk must be public and say which algorithm it is for, by its alg or by its type: RSA needs an alg. The older name
// EdDSA is accepted on an Ed25519 key, whose curve leaves no choice.
func ParseConfirmation(cnf []byte) (Confirmation, error) {
	c, err := parseConfirmation(cnf)
	if err != nil {
		return Confirmation{}, err
	}
	return *c, nil
}

func parseConfirmation[Text ~string | ~[]byte](cnf Text) (*Confirmation, *Error) {
	if len(cnf) > maxConfirmation {
		return nil, badConfirmation("RFC 7800, section 3.1", "at most 8 KiB", "more", nil)
	}
	var c Confirmation
	members := 0
	err := strictjson.Object(cnf, func(name string, v strictjson.Value) error {
		if members++; members > 1 {
			return badConfirmation("RFC 7800, section 3.1", "one confirmation method", "several", nil)
		}
		if err := c.read(Binding(name), v); err != nil {
			return err
		}
		return nil
	})
	if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	if err != nil {
		return nil, badConfirmation("RFC 7800, section 3.1", "a JSON object", "another text", err)
	}
	if members == 0 {
		return nil, badConfirmation("RFC 7800, section 3.1", "one confirmation method", "none", nil)
	}
	return &c, nil
}

// read reads the value of one method.
func (c *Confirmation) read(method Binding, v strictjson.Value) *Error {
	c.Binding = method
	switch method {
	case BoundJKT:
		return c.readThumbprint(v)
	case BoundX5T:
		return c.readCertificate(v)
	case BoundJWK:
		return c.readJWK(v)
	case BoundHTSK:
		return c.readHTSK(v)
	}
	return badConfirmation("RFC 7800, section 3.1", "jkt, x5t#S256, jwk or htsk", quote(string(method)), nil)
}

func (c *Confirmation) readThumbprint(v strictjson.Value) *Error {
	const section, expected = "RFC 9449, section 6.1", "jkt with a SHA-256 thumbprint in base64url"
	text, err := v.String()
	if err != nil {
		return badConfirmation(section, expected, "", err)
	}
	if c.Thumbprint, err = keys.ParseThumbprint(text); err != nil {
		return badConfirmation(section, expected, "", err)
	}
	if c.Thumbprint == (keys.Thumbprint{}) {
		return badConfirmation(section, expected, "zeros", nil)
	}
	return nil
}

func (c *Confirmation) readCertificate(v strictjson.Value) *Error {
	const section, expected = "RFC 8705, section 3.1", "x5t#S256 with a SHA-256 hash in base64url"
	text, err := v.String()
	if err != nil {
		return badConfirmation(section, expected, "", err)
	}
	hash, err := base64url.Decode(text)
	if err != nil {
		return badConfirmation(section, expected, "", err)
	}
	if len(hash) != len(c.Certificate) {
		return badConfirmation(section, expected, fmt.Sprintf("%d bytes", len(hash)), nil)
	}
	c.Certificate = [32]byte(hash)
	if c.Certificate == ([32]byte{}) {
		return badConfirmation(section, expected, "zeros", nil)
	}
	return nil
}

func (c *Confirmation) readJWK(v strictjson.Value) *Error {
	key, err := keys.ParsePublic([]byte(v.Raw()))
	if err != nil {
		return badConfirmation("RFC 7800, section 3.2", "jwk with a public key", "", err)
	}
	if _, isRSA := key.Key().(*rsa.PublicKey); isRSA && key.Algorithm() == "" {
		return badConfirmation(draftHTTPSig, "jwk that names one algorithm", "RSA without alg", nil)
	}
	c.Key, c.Thumbprint = key, key.Thumbprint()
	return nil
}

func (c *Confirmation) readHTSK(v strictjson.Value) *Error {
	const expected = "htsk with alg and pub"
	var pub string
	err := v.Object(func(name string, v strictjson.Value) (err error) {
		switch name {
		case "alg":
			c.Algorithm, err = v.String()
		case "pub":
			pub, err = v.String()
		default:
			return errors.New("an unknown member")
		}
		return err
	})
	if err != nil {
		return badConfirmation(draftHTTPSig, expected, "", err)
	}
	raw, err := base64url.Decode(pub)
	if err != nil {
		return badConfirmation(draftHTTPSig, expected, "", err)
	}
	if c.Key, err = ParseRuntimeKey(c.Algorithm, raw); err != nil {
		return badConfirmation(draftHTTPSig, expected, "", err)
	}
	c.Thumbprint = c.Key.Thumbprint()
	return nil
}

func badConfirmation(section, expected, got string, err error) *Error {
	return &Error{Reason: BadConfirmation, Section: section, Part: "cnf", Expected: expected, Got: got, Err: err}
}

// AppendHTSK appends the `cnf` value {"htsk":{…}} of a run-time key to dst (draft-richer-oauth-httpsig-03). An algorithm
// other than the key's own is an error.
func AppendHTSK(dst []byte, key *keys.Public, algorithm string) ([]byte, error) {
	own, pub, err := RuntimeKey(key)
	if err != nil {
		return dst, err
	}
	if own != algorithm {
		return dst, fmt.Errorf("accesstoken: a run-time key for %s, not for %s", own, quote(algorithm))
	}
	dst = append(dst, `{"htsk":{"alg":"`...)
	dst = append(dst, algorithm...)
	dst = append(dst, `","pub":"`...)
	dst = base64url.AppendEncode(dst, pub)
	return append(dst, `"}}`...), nil
}

// ParseRuntimeKey reads the raw public key of a `pub` parameter or `htsk.pub` for algorithm (ecdsa-p256-sha256: 65
// bytes, ecdsa-p384-sha384: 97, ed25519: 32).
func ParseRuntimeKey(algorithm string, pub []byte) (*keys.Public, error) {
	switch algorithm {
	case runtimeP256:
		return parseRuntimePoint(elliptic.P256(), pub)
	case runtimeP384:
		return parseRuntimePoint(elliptic.P384(), pub)
	case runtimeEd25519:
		if len(pub) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("accesstoken: an ed25519 key of %d bytes", len(pub))
		}
		return keys.NewPublic(ed25519.PublicKey(append([]byte(nil), pub...)), "", "")
	}
	return nil, fmt.Errorf("accesstoken: %s is no algorithm for a run-time key", quote(algorithm))
}

func parseRuntimePoint(curve elliptic.Curve, pub []byte) (*keys.Public, error) {
	// It refuses any length, form or point but an uncompressed one on the curve.
	key, err := ecdsa.ParseUncompressedPublicKey(curve, pub)
	if err != nil {
		return nil, fmt.Errorf("accesstoken: no uncompressed point of %s in %d bytes", curve.Params().Name, len(pub))
	}
	return keys.NewPublic(key, "", "")
}

// RuntimeKey returns the algorithm name and raw bytes of key, as ParseRuntimeKey reads them.
func RuntimeKey(key *keys.Public) (algorithm string, pub []byte, err error) {
	if key == nil {
		return "", nil, errors.New("accesstoken: no key")
	}
	switch k := key.Key().(type) {
	case ed25519.PublicKey:
		return runtimeEd25519, append([]byte(nil), k...), nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			algorithm = runtimeP256
		case elliptic.P384():
			algorithm = runtimeP384
		default:
			return "", nil, fmt.Errorf("accesstoken: no algorithm for a run-time key on %s", k.Params().Name)
		}
		pub, err = k.Bytes()
		return algorithm, pub, err
	}
	return "", nil, errors.New("accesstoken: a run-time key is ECDSA or Ed25519")
}
