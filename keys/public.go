package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha512"
	"math/big"

	"github.com/holdfast-project/holdfast/internal/strictjson"
)

// Public is a public key that was checked when it was made. It is immutable and safe for concurrent use.
type Public struct {
	key        crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
	form       form
	kid        string
	alg        Algorithm // "" if not bound to one
	use        bool      // whether the JWK says that it is for signatures
	thumbprint Thumbprint
}

// NewPublic checks key, an *ecdsa.PublicKey (P-256, P-384, P-521), ed25519.PublicKey or *rsa.PublicKey (2048 to 4096
// bits), and copies it. kid and alg are published with it and may be empty; an alg binds the key to that algorithm.
func NewPublic(key crypto.PublicKey, kid string, alg Algorithm) (*Public, error) {
	p := &Public{kid: kid, alg: alg, use: true}
	var err error
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		err = p.setECDSA(key)
	case ed25519.PublicKey:
		err = p.setEd25519(bytes.Clone(key))
	case *rsa.PublicKey:
		err = p.setRSA(key)
	default:
		err = refuse(Unsupported, "kty")
	}
	if err != nil {
		return nil, err
	}
	if alg != "" {
		if err := p.fits(alg); err != nil {
			return nil, err
		}
	}
	p.thumbprint = p.hash()
	return p, nil
}

func (p *Public) setECDSA(key *ecdsa.PublicKey) error {
	if key == nil || key.Curve == nil {
		return refuse(NoKey, "")
	}
	var curve elliptic.Curve
	switch key.Curve.Params() {
	case elliptic.P256().Params():
		p.form, curve = formP256, elliptic.P256()
	case elliptic.P384().Params():
		p.form, curve = formP384, elliptic.P384()
	case elliptic.P521().Params():
		p.form, curve = formP521, elliptic.P521()
	default:
		return refuse(Unsupported, "crv")
	}
	point, err := key.Bytes()
	if err != nil {
		return refuse(Invalid, "")
	}
	return p.setPoint(curve, point)
}

func (p *Public) setPoint(curve elliptic.Curve, point []byte) error {
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return refuse(Invalid, "")
	}
	p.key = key
	return nil
}

func (p *Public) setEd25519(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize {
		return refuse(Malformed, "x")
	}
	if smallOrder(key) {
		return refuse(Invalid, "x")
	}
	p.form, p.key = formEd25519, key
	return nil
}

// smallOrder tells whether an Ed25519 point has order 1, 2, 4 or 8. Under such a key one signature holds for every
// message, or for every eighth, whoever made it.
func smallOrder(point []byte) bool {
	masked := [32]byte(point)
	masked[31] &= 0x7f // the sign of x; both points of a pair have the same order
	switch masked {
	case [32]byte{}, [32]byte{1}: // y = 0, y = 1
		return true
	case [32]byte{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	}, [32]byte{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	}:
		return true
	}
	// y = p - 1, and the second spellings p and p + 1 of 0 and 1, where p = 2^255 - 19.
	for _, b := range masked[1:31] {
		if b != 0xff {
			return false
		}
	}
	return masked[31] == 0x7f && 0xec <= masked[0] && masked[0] <= 0xee
}

func (p *Public) setRSA(key *rsa.PublicKey) error {
	if key == nil || key.N == nil || key.N.Sign() <= 0 {
		return refuse(NoKey, "")
	}
	if n := key.N.BitLen(); n < minModulus || n > maxModulus || key.N.Bit(0) == 0 {
		return refuse(SizeRefused, "n")
	}
	if e := key.E; e < minExponent || e > maxExponent || e&1 == 0 {
		return refuse(SizeRefused, "e")
	}
	p.form, p.key = formRSA, &rsa.PublicKey{N: new(big.Int).Set(key.N), E: key.E}
	return nil
}

// Key returns the key in the standard library's type. It must not be changed.
func (p *Public) Key() crypto.PublicKey { return p.key }

// KeyID returns the `kid`, or "".
func (p *Public) KeyID() string { return p.kid }

// Algorithm returns the `alg` that the key is bound to, or "" if its JWK named none.
func (p *Public) Algorithm() Algorithm { return p.alg }

// Thumbprint returns the RFC 7638 SHA-256 thumbprint. A nil key has the zero one, which belongs to no key.
func (p *Public) Thumbprint() Thumbprint {
	if p == nil {
		return Thumbprint{}
	}
	return p.thumbprint
}

// MarshalJSON returns the JWK: the required members, and kid, alg and use if set.
func (p *Public) MarshalJSON() ([]byte, error) {
	if p == nil || p.key == nil {
		return nil, refuse(NoKey, "")
	}
	return p.appendRest(p.AppendJWK(nil)), nil
}

// appendRest adds the optional members to the JWK at the end of dst.
func (p *Public) appendRest(dst []byte) []byte {
	dst = dst[:len(dst)-1]
	if p.kid != "" {
		dst = append(dst, `,"kid":`...)
		dst = strictjson.AppendString(dst, p.kid)
	}
	if p.alg != "" {
		dst = append(dst, `,"alg":"`...)
		dst = append(dst, p.alg...)
		dst = append(dst, '"')
	}
	if p.use {
		dst = append(dst, `,"use":"sig"`...)
	}
	return append(dst, '}')
}

// fits checks that the key can be used with alg, and is bound to no other one.
func (p *Public) fits(alg Algorithm) error {
	m, ok := alg.method()
	if !ok {
		return refuse(Unsupported, "alg")
	}
	if m.form != p.form || p.alg != "" && !p.alg.same(alg) {
		return refuse(AlgorithmMismatch, "alg")
	}
	return nil
}

// Verify checks a signature in the JOSE form (ECDSA as R || S). It refuses an algorithm that doesn't fit the key's type
// and curve, or another one than the key is bound to.
func (p *Public) Verify(alg Algorithm, message, signature []byte) error {
	if p == nil || p.key == nil {
		return refuse(NoKey, "")
	}
	if err := p.fits(alg); err != nil {
		return err
	}
	m, _ := alg.method()
	ok := false
	switch key := p.key.(type) {
	case *ecdsa.PublicKey:
		ok = verifyECDSA(key, m, message, signature)
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, message, signature)
	case *rsa.PublicKey:
		ok = len(signature) == key.Size() && verifyRSA(key, m, message, signature) == nil
	}
	if !ok {
		return refuse(BadSignature, "")
	}
	return nil
}

func verifyECDSA(key *ecdsa.PublicKey, m method, message, signature []byte) bool {
	// One allocation for both, as VerifyASN1 lets them escape.
	var buf struct {
		digest [sha512.Size]byte
		der    [maxDER]byte
	}
	der, ok := appendDER(buf.der[:0], signature, m.form.coordinate())
	return ok && ecdsa.VerifyASN1(key, m.digest(message, &buf.digest), der)
}

func verifyRSA(key *rsa.PublicKey, m method, message, signature []byte) error {
	var buf [sha512.Size]byte
	digest := m.digest(message, &buf)
	if m.pss {
		// The salt is as long as the hash (RFC 7518, section 3.5).
		return rsa.VerifyPSS(key, m.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.VerifyPKCS1v15(key, m.hash, digest, signature)
}
