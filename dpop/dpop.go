// Package dpop makes and verifies DPoP proofs (RFC 9449).
package dpop

import (
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// Params says what a proof is for.
type Params struct {
	Method    string         // htm, as on the wire
	TargetURI string         // absolute; its query and fragment are left out of htu
	Token     string         // the access token, for ath; "" at the token endpoint
	Nonce     string         // the server's last nonce, or ""
	Now       time.Time      // iat; if zero, time.Now
	ID        string         // jti; if "", 128 random bits
	Claims    map[string]any // further claims, which may not be one of RFC 9449's
}

// Sign makes a proof: a compact JWS with the public key in its header (RFC 9449, section 4.2).
func Sign(signer *keys.Signer, p Params) (string, error) { panic("stub") }

// Config is what a Verifier accepts.
type Config struct {
	// Algorithms that a proof may use. If empty: ES256, ES384, ES512, Ed25519, EdDSA. RSA only if named here.
	Algorithms []keys.Algorithm
	// MaxAge is how old iat may be. If zero, 60 s.
	MaxAge time.Duration
	// Skew is how far iat may lie ahead, and is granted to MaxAge too. If zero, 5 s; negative means none.
	Skew time.Duration
	// MaxBytes bounds the proof. If zero, 8192.
	MaxBytes int
	// Nonces, if set, must have issued the nonce of every proof (section 4.3, step 10, and section 11.3).
	Nonces NonceChecker
	// Now tells the time. If nil, time.Now.
	Now func() time.Time
}

// NonceChecker tells whether a nonce was issued by this server and is still good. *Nonces is one.
type NonceChecker interface {
	Check(nonce string) error
}

// Verifier checks proofs. It is immutable and safe for concurrent use; it remembers nothing (see package replay).
type Verifier struct{}

// NewVerifier checks cfg and copies it.
func NewVerifier(cfg Config) (*Verifier, error) { panic("stub") }

// Algorithms returns the accepted algorithms, for the `algs` of a challenge and for metadata.
func (v *Verifier) Algorithms() []keys.Algorithm { panic("stub") }

// Request is the request that a proof came with.
type Request struct {
	Fields    []string // the values of its DPoP fields, as received: exactly one is right
	Method    string
	TargetURI string // the external URL as the server knows it, raw, query included or not
	// Token is the access token that the proof accompanies; "" at the token endpoint, where ath isn't looked at.
	Token string
	// Thumbprint, if not zero, is the key that the token, code or refresh token is bound to (section 4.3, step 12).
	Thumbprint keys.Thumbprint
}

// Verify runs the twelve checks of RFC 9449, section 4.3, in their order. Errors are *Error. The caller claims
// (Thumbprint, ID) at its replay guard afterwards, until Expires.
func (v *Verifier) Verify(r Request) (*Proof, error) { panic("stub") }

// Proof is a verified proof. Only Verify fills one.
type Proof struct{}

// Thumbprint returns the thumbprint of the key that signed it.
func (p *Proof) Thumbprint() keys.Thumbprint { panic("stub") }

// Key returns the key that signed it.
func (p *Proof) Key() *keys.Public { panic("stub") }

// Algorithm returns the algorithm of its signature.
func (p *Proof) Algorithm() keys.Algorithm { panic("stub") }

// ID returns the jti.
func (p *Proof) ID() string { panic("stub") }

// IssuedAt returns iat.
func (p *Proof) IssuedAt() time.Time { panic("stub") }

// Expires returns the moment from which Verify would refuse the proof for its age.
func (p *Proof) Expires() time.Time { panic("stub") }

// Nonce returns the nonce claim, or "".
func (p *Proof) Nonce() string { panic("stub") }

// Claim returns a further string claim, or "".
func (p *Proof) Claim(name string) string { panic("stub") }

// Nonces makes and checks nonces that hold their own time: any node with the secret accepts them, nothing is stored.
// Safe for concurrent use.
type Nonces struct{}

// NoncesConfig configures Nonces.
type NoncesConfig struct {
	Secret []byte        // at least 32 bytes, shared by the fleet
	Scope  string        // what the nonces are for; nonces of another scope are refused
	Window time.Duration // how long one is good. If zero, 5 minutes
	Now    func() time.Time
}

// NewNonces derives the MAC key from the secret and scope.
func NewNonces(cfg NoncesConfig) (*Nonces, error) { panic("stub") }

// Issue returns a nonce of NQCHARs (RFC 9449, section 8.1).
func (n *Nonces) Issue() string { panic("stub") }

// Check implements NonceChecker.
func (n *Nonces) Check(nonce string) error { panic("stub") }

// Reason says which check refused a proof. Each is stable text.
type Reason string

// The reasons, in the order of RFC 9449, section 4.3.
const (
	FieldCount     Reason = "dpop-field-count"     // step 1
	Malformed      Reason = "dpop-malformed"       // step 2: not one well-formed JWT, too long, duplicate members
	ClaimMissing   Reason = "dpop-claim"           // step 3: a required claim is absent or of the wrong type
	TypMismatch    Reason = "dpop-typ"             // step 4
	AlgRefused     Reason = "dpop-alg"             // step 5
	KeyRefused     Reason = "dpop-jwk"             // step 6 and 7: absent, malformed, weak or private key
	BadSignature   Reason = "dpop-signature"       // step 6
	MethodMismatch Reason = "dpop-method-mismatch" // step 8
	TargetMismatch Reason = "dpop-target-mismatch" // step 9
	NonceRequired  Reason = "dpop-nonce-required"  // step 10: absent
	NonceMismatch  Reason = "dpop-nonce-mismatch"  // step 10: unknown or stale
	TooOld         Reason = "dpop-too-old"         // step 11
	InFuture       Reason = "dpop-in-future"       // step 11
	TokenMismatch  Reason = "dpop-token-mismatch"  // step 12: ath
	KeyMismatch    Reason = "dpop-key-mismatch"    // step 12: cnf.jkt
)

// Error is why a proof was refused.
type Error struct {
	Reason   Reason
	Section  string // such as "RFC 9449, section 4.3, step 9"
	Part     string // what differed: a claim, or a part of the URL such as "htu host"
	Expected string // never key or token bytes
	Got      string
}

func (e *Error) Error() string { panic("stub") }
