package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"

	"github.com/holdfast-project/holdfast/internal/base64url"
)

// ParseSigner reads a private JWK with an `alg`, or one whose type implies it (P-256: ES256, Ed25519: Ed25519, …; RSA
// implies none). Its halves must belong together.
func ParseSigner(jwk []byte) (*Signer, error) {
	m, err := readMembers(jwk)
	if err != nil {
		return nil, err
	}
	if m.ops && !m.sign {
		return nil, refuse(Unsupported, "key_ops")
	}
	public, err := m.key()
	if err != nil {
		return nil, err
	}
	if m.d == "" {
		return nil, refuse(Malformed, "d")
	}
	key, err := m.privateKey(public)
	if err != nil {
		return nil, err
	}
	return newSigner(key, public)
}

// privateKey decodes the private half and checks it against the public one.
func (m *members) privateKey(public *Public) (crypto.Signer, error) {
	switch want := public.key.(type) {
	case *ecdsa.PublicKey:
		d, err := appendExact(nil, m.d, public.form.coordinate(), "d")
		if err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseRawPrivateKey(want.Curve, d)
		if err != nil || !key.PublicKey.Equal(want) {
			return nil, refuse(Invalid, "d")
		}
		return key, nil
	case ed25519.PublicKey:
		seed, err := appendExact(nil, m.d, ed25519.SeedSize, "d")
		if err != nil {
			return nil, err
		}
		key := ed25519.NewKeyFromSeed(seed)
		if !want.Equal(key.Public()) {
			return nil, refuse(Invalid, "d")
		}
		return key, nil
	case *rsa.PublicKey:
		return m.rsaPrivate(want)
	}
	return nil, refuse(Unsupported, "kty")
}

// rsaPrivate decodes an RSA key of two primes with its CRT values, as RFC 7518, section 6.3.2 has it.
func (m *members) rsaPrivate(public *rsa.PublicKey) (crypto.Signer, error) {
	if m.oth {
		return nil, refuse(Unsupported, "oth")
	}
	key := &rsa.PrivateKey{PublicKey: *public, Primes: make([]*big.Int, 2)}
	for _, part := range []struct {
		name string
		text string
		to   **big.Int
	}{
		{"d", m.d, &key.D}, {"p", m.p, &key.Primes[0]}, {"q", m.q, &key.Primes[1]},
		{"dp", m.dp, &key.Precomputed.Dp}, {"dq", m.dq, &key.Precomputed.Dq}, {"qi", m.qi, &key.Precomputed.Qinv},
	} {
		b, err := appendUint(part.text, maxModulus/8, part.name)
		if err != nil {
			return nil, err
		}
		*part.to = new(big.Int).SetBytes(b)
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, refuse(Invalid, "d")
	}
	return key, nil
}

// MarshalPrivateJWK returns the private JWK of a key in memory; a key in hardware is an error.
func (s *Signer) MarshalPrivateJWK() ([]byte, error) {
	if s == nil || s.signer == nil {
		return nil, refuse(NoKey, "")
	}
	jwk := s.public.AppendJWK(nil)
	switch key := s.signer.(type) {
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		if err != nil {
			return nil, refuse(Invalid, "d")
		}
		jwk = appendMember(jwk, "d", d)
	case ed25519.PrivateKey:
		jwk = appendMember(jwk, "d", key.Seed())
	case *rsa.PrivateKey:
		var err error
		if jwk, err = appendRSAPrivate(jwk, key); err != nil {
			return nil, err
		}
	default:
		return nil, refuse(NoKey, "d")
	}
	return s.public.appendRest(jwk), nil
}

func appendRSAPrivate(jwk []byte, key *rsa.PrivateKey) ([]byte, error) {
	if len(key.Primes) != 2 {
		return nil, refuse(Unsupported, "oth")
	}
	// A copy, because Precompute fills in what is missing.
	full := &rsa.PrivateKey{PublicKey: key.PublicKey, D: key.D, Primes: key.Primes}
	full.Precompute()
	if err := full.Validate(); err != nil {
		return nil, refuse(Invalid, "d")
	}
	jwk = appendMember(jwk, "d", full.D.Bytes())
	jwk = appendMember(jwk, "p", full.Primes[0].Bytes())
	jwk = appendMember(jwk, "q", full.Primes[1].Bytes())
	jwk = appendMember(jwk, "dp", full.Precomputed.Dp.Bytes())
	jwk = appendMember(jwk, "dq", full.Precomputed.Dq.Bytes())
	return appendMember(jwk, "qi", full.Precomputed.Qinv.Bytes()), nil
}

// appendMember adds a base64url member to the JWK at the end of dst.
func appendMember(dst []byte, name string, value []byte) []byte {
	dst = append(dst[:len(dst)-1], `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":"`...)
	dst = base64url.AppendEncode(dst, value)
	return append(dst, `"}`...)
}
