// Package keys holds the asymmetric keys that proofs are made and checked with: JWKs in and out (RFC 7517), thumbprints
// (RFC 7638), and signers kept in memory or in a file.
//
// [ParsePublic] is what a verifier wants: it gives a [Public] only for a public key that is whole, on its curve and of
// a bounded size, so that no later step has to look again. [Generate], [CreateFile] and [OpenFile] give a [Signer].
//
// What is not checked: whether the key is anybody's. That is the token's confirmation to say.
package keys

import "crypto"

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

// Thumbprint is the SHA-256 thumbprint of a public key (RFC 7638). It is comparable; the zero value belongs to no key.
type Thumbprint [32]byte

// ParseThumbprint reads the base64url form without padding, as in `cnf.jkt` (RFC 9449, section 6.1). Only the one
// canonical spelling is accepted.
func ParseThumbprint(s string) (Thumbprint, error) { panic("stub") }

// String returns the base64url form without padding.
func (t Thumbprint) String() string { panic("stub") }

// Public is a public key that was checked when it was made. It is immutable and safe for concurrent use.
type Public struct {
	key crypto.PublicKey
}

// NewPublic checks key, an *ecdsa.PublicKey (P-256, P-384, P-521), ed25519.PublicKey or *rsa.PublicKey (2048 to 4096
// bits). kid and alg are published with it and may be empty; an alg binds the key to that algorithm.
func NewPublic(key crypto.PublicKey, kid string, alg Algorithm) (*Public, error) { panic("stub") }

// ParsePublic reads one public JWK. It refuses private members, duplicate members, coordinates that are short or off
// the curve, and RSA keys outside 2048 to 4096 bits before any arithmetic with them.
func ParsePublic(jwk []byte) (*Public, error) { panic("stub") }

// ParseSet reads a JWK Set (RFC 7517, section 5). Keys of an unknown type, or for encryption, are left out, as the RFC
// asks; a broken key of a known type is an error. At most 64 keys are read.
func ParseSet(jwks []byte) ([]*Public, error) { panic("stub") }

// Key returns the key in the standard library's type.
func (p *Public) Key() crypto.PublicKey { panic("stub") }

// KeyID returns the `kid`, or "".
func (p *Public) KeyID() string { panic("stub") }

// Algorithm returns the `alg` that the key is bound to, or "" if its JWK named none.
func (p *Public) Algorithm() Algorithm { panic("stub") }

// Thumbprint returns the RFC 7638 SHA-256 thumbprint.
func (p *Public) Thumbprint() Thumbprint { panic("stub") }

// MarshalJSON returns the JWK: the required members, and kid, alg and use if set.
func (p *Public) MarshalJSON() ([]byte, error) { panic("stub") }

// Verify checks a signature in the JOSE form (ECDSA as R || S). It refuses an algorithm that doesn't fit the key's type
// and curve, or another one than the key is bound to.
func (p *Public) Verify(alg Algorithm, message, signature []byte) error { panic("stub") }

// Signer is a private key with the algorithm that it signs with. It prints as [redacted] and is safe for concurrent use.
type Signer struct {
	signer crypto.Signer
}

// NewSigner wraps a crypto.Signer, which may live in hardware. kid may be empty.
func NewSigner(key crypto.Signer, kid string, alg Algorithm) (*Signer, error) { panic("stub") }

// Generate makes a fresh key in memory.
func Generate(alg Algorithm) (*Signer, error) { panic("stub") }

// ParseSigner reads a private JWK with an `alg`, or one whose type implies it (P-256: ES256, Ed25519: Ed25519, …).
func ParseSigner(jwk []byte) (*Signer, error) { panic("stub") }

// CreateFile makes a fresh key and writes it as a private JWK, mode 0600, atomically. An existing file is an error.
func CreateFile(path string, alg Algorithm) (*Signer, error) { panic("stub") }

// OpenFile reads a file that [CreateFile] wrote. It refuses one that others than its owner may read.
func OpenFile(path string) (*Signer, error) { panic("stub") }

// Public returns the public half.
func (s *Signer) Public() *Public { panic("stub") }

// Algorithm returns the algorithm that Sign uses.
func (s *Signer) Algorithm() Algorithm { panic("stub") }

// Sign returns a signature over message in the JOSE form.
func (s *Signer) Sign(message []byte) ([]byte, error) { panic("stub") }

// MarshalPrivateJWK returns the private JWK of a key in memory; a key in hardware is an error.
func (s *Signer) MarshalPrivateJWK() ([]byte, error) { panic("stub") }
