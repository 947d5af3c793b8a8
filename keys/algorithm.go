package keys

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
)

// Algorithm is a JOSE signature algorithm by its registered name (RFC 7518 section 3.1, RFC 8037, RFC 9864).
type Algorithm string

// The asymmetric algorithms that holdfast makes and checks. EdDSA is the older name for Ed25519; the two are the same
// on an Ed25519 key.
const (
	ES256   Algorithm = "ES256"
	ES384   Algorithm = "ES384"
	ES512   Algorithm = "ES512"
	Ed25519 Algorithm = "Ed25519"
	EdDSA   Algorithm = "EdDSA"
	PS256   Algorithm = "PS256"
	PS384   Algorithm = "PS384"
	PS512   Algorithm = "PS512"
	RS256   Algorithm = "RS256"
	RS384   Algorithm = "RS384"
	RS512   Algorithm = "RS512"
)

// Supported tells whether a is one of this package's algorithms, by its exact name.
func (a Algorithm) Supported() bool {
	_, ok := a.method()
	return ok
}

// form is a key's type and curve, named as in `crv`, or "RSA".
type form string

const (
	formP256    form = "P-256"
	formP384    form = "P-384"
	formP521    form = "P-521"
	formEd25519 form = "Ed25519"
	formRSA     form = "RSA"
)

// method is what an algorithm name stands for.
type method struct {
	form form
	hash crypto.Hash // 0 for Ed25519, which takes the message itself
	pss  bool
}

func (a Algorithm) method() (method, bool) {
	switch a {
	case ES256:
		return method{form: formP256, hash: crypto.SHA256}, true
	case ES384:
		return method{form: formP384, hash: crypto.SHA384}, true
	case ES512:
		return method{form: formP521, hash: crypto.SHA512}, true
	case Ed25519, EdDSA:
		return method{form: formEd25519}, true
	case PS256:
		return method{form: formRSA, hash: crypto.SHA256, pss: true}, true
	case PS384:
		return method{form: formRSA, hash: crypto.SHA384, pss: true}, true
	case PS512:
		return method{form: formRSA, hash: crypto.SHA512, pss: true}, true
	case RS256:
		return method{form: formRSA, hash: crypto.SHA256}, true
	case RS384:
		return method{form: formRSA, hash: crypto.SHA384}, true
	case RS512:
		return method{form: formRSA, hash: crypto.SHA512}, true
	}
	return method{}, false
}

// same tells whether two names stand for one algorithm: EdDSA and Ed25519 do, on the only curve that is supported
// (RFC 9864, section 2.2).
func (a Algorithm) same(b Algorithm) bool {
	return a == b || a == EdDSA && b == Ed25519 || a == Ed25519 && b == EdDSA
}

// implied returns the algorithm that a key form has alone. RSA has several, so it implies none.
func (f form) implied() Algorithm {
	switch f {
	case formP256:
		return ES256
	case formP384:
		return ES384
	case formP521:
		return ES512
	case formEd25519:
		return Ed25519
	}
	return ""
}

// coordinate returns the octets of a coordinate on an ECDSA curve, or 0.
func (f form) coordinate() int {
	switch f {
	case formP256:
		return 32
	case formP384:
		return 48
	case formP521:
		return 66
	}
	return 0
}

// digest hashes message into buf.
func (m method) digest(message []byte, buf *[sha512.Size]byte) []byte {
	switch m.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(message)
		return buf[:copy(buf[:], sum[:])]
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return buf[:copy(buf[:], sum[:])]
	default:
		*buf = sha512.Sum512(message)
		return buf[:]
	}
}
