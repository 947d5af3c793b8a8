package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// Thumbprint is the SHA-256 thumbprint of a public key (RFC 7638). It is comparable; the zero value belongs to no key.
type Thumbprint [32]byte

// ParseThumbprint reads the base64url form without padding, as in `cnf.jkt` (RFC 9449, section 6.1). Only the one
// canonical spelling is accepted.
func ParseThumbprint(s string) (Thumbprint, error) {
	var t Thumbprint
	if len(s) != 43 {
		return Thumbprint{}, refuse(Malformed, "jkt")
	}
	if _, err := base64url.Append(t[:0], s); err != nil {
		return Thumbprint{}, refuse(Malformed, "jkt")
	}
	return t, nil
}

// String returns the base64url form without padding.
func (t Thumbprint) String() string { return base64url.Encode(t[:]) }

// IsZero tells whether t is the zero value, which belongs to no key.
func (t Thumbprint) IsZero() bool { return t == Thumbprint{} }

// AppendJWK appends the JWK with its required members only, as RFC 7638 orders them: what a thumbprint is the hash of,
// and all that the header of a proof needs.
func (p *Public) AppendJWK(dst []byte) []byte {
	switch key := p.key.(type) {
	case *ecdsa.PublicKey:
		// Bytes can't fail: the key was found to be on its curve when p was made.
		point, _ := key.Bytes()
		n := p.form.coordinate()
		x, y := base64url.Encode(point[1:1+n]), base64url.Encode(point[1+n:])
		return appendEC(dst, p.form, x, y)
	case ed25519.PublicKey:
		return appendOKP(dst, base64url.Encode(key))
	case *rsa.PublicKey:
		return appendRSA(dst, base64url.Encode(key.N.Bytes()), base64url.Encode(exponentBytes(key.E)))
	}
	return dst
}

func appendEC(dst []byte, crv form, x, y string) []byte {
	dst = append(dst, `{"crv":"`...)
	dst = append(dst, crv...)
	dst = append(dst, `","kty":"EC","x":"`...)
	dst = append(dst, x...)
	dst = append(dst, `","y":"`...)
	dst = append(dst, y...)
	return append(dst, `"}`...)
}

func appendOKP(dst []byte, x string) []byte {
	dst = append(dst, `{"crv":"Ed25519","kty":"OKP","x":"`...)
	dst = append(dst, x...)
	return append(dst, `"}`...)
}

func appendRSA(dst []byte, n, e string) []byte {
	dst = append(dst, `{"e":"`...)
	dst = append(dst, e...)
	dst = append(dst, `","kty":"RSA","n":"`...)
	dst = append(dst, n...)
	return append(dst, `"}`...)
}

// thumbprint hashes p's JWK. The parsers have its members as text already and don't come here.
func (p *Public) hash() Thumbprint {
	var buf [192]byte
	return sha256.Sum256(p.AppendJWK(buf[:0]))
}
