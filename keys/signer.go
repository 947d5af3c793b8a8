package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"fmt"
	"log/slog"
)

// Signer is a private key with the algorithm that it signs with. It prints as [redacted] and is safe for concurrent use.
type Signer struct {
	signer crypto.Signer
	public *Public
	method method
}

// NewSigner wraps a crypto.Signer, which may live in hardware and must be safe for concurrent use. kid may be empty; so
// may alg, for a key whose type implies one.
func NewSigner(key crypto.Signer, kid string, alg Algorithm) (*Signer, error) {
	if key == nil {
		return nil, refuse(NoKey, "")
	}
	public, err := NewPublic(key.Public(), kid, alg)
	if err != nil {
		return nil, err
	}
	return newSigner(key, public)
}

// newSigner gives public the algorithm that its form implies, if it is bound to none.
func newSigner(key crypto.Signer, public *Public) (*Signer, error) {
	if public.alg == "" {
		public.alg = public.form.implied()
	}
	m, ok := public.alg.method()
	if !ok {
		return nil, refuse(AlgorithmMismatch, "alg")
	}
	return &Signer{signer: key, public: public, method: m}, nil
}

// rsaBits is the size of RSA keys made here: BSI TR-02102 and NIST SP 800-57 want more than 2048 beyond 2030.
const rsaBits = 3072

// Generate makes a fresh key in memory. Its kid is its thumbprint.
func Generate(alg Algorithm) (*Signer, error) {
	m, ok := alg.method()
	if !ok {
		return nil, refuse(Unsupported, "alg")
	}
	key, err := generate(m.form)
	if err != nil {
		return nil, fmt.Errorf("keys: making a key for %s: %w", alg, err)
	}
	s, err := NewSigner(key, "", alg)
	if err != nil {
		return nil, err
	}
	s.public.kid = s.public.thumbprint.String()
	return s, nil
}

func generate(f form) (crypto.Signer, error) {
	switch f {
	case formP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case formP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case formP521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case formEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	default:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
}

// Public returns the public half, or nil for a nil Signer.
func (s *Signer) Public() *Public {
	if s == nil {
		return nil
	}
	return s.public
}

// Algorithm returns the algorithm that Sign uses, or "" for a nil or zero Signer.
func (s *Signer) Algorithm() Algorithm {
	if s == nil || s.public == nil {
		return ""
	}
	return s.public.alg
}

// Sign returns a signature over message in the JOSE form.
func (s *Signer) Sign(message []byte) ([]byte, error) {
	if s == nil || s.signer == nil {
		return nil, refuse(NoKey, "")
	}
	var opts crypto.SignerOpts = s.method.hash
	digest := message
	if s.method.hash != 0 {
		var buf [sha512.Size]byte
		digest = s.method.digest(message, &buf)
	}
	if s.method.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.method.hash}
	}
	signature, err := s.signer.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("keys: signing with %s: %w", s.public.alg, err)
	}
	if size := s.method.form.coordinate(); size != 0 {
		raw, ok := rawSignature(signature, size)
		if !ok {
			return nil, refuse(BadSignature, "")
		}
		return raw, nil
	}
	return signature, nil
}

const redacted = "[redacted]"

// String returns [redacted].
func (Signer) String() string { return redacted }

// GoString returns [redacted].
func (Signer) GoString() string { return redacted }

// Format prints [redacted], whatever the verb.
func (Signer) Format(f fmt.State, _ rune) { f.Write([]byte(redacted)) }

// LogValue returns [redacted].
func (Signer) LogValue() slog.Value { return slog.StringValue(redacted) }
