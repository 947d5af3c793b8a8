// Package keys holds the asymmetric keys that proofs are made and checked with: JWKs in and out (RFC 7517), thumbprints
// (RFC 7638), and signers kept in memory or in a file.
//
// [ParsePublic] is what a verifier wants: it gives a [Public] only for a public key that is whole, on its curve and of
// a bounded size, so that no later step has to look again. [Generate], [CreateFile] and [OpenFile] give a [Signer].
//
// What is not checked: whether the key is anybody's (that is the token's confirmation to say), whether an RSA key was
// generated well, and certificates beside the key (x5c, x5u), which are ignored like every unknown member. An Ed25519 key
// that is no point of the curve is not noticed before it verifies a signature, which it never does.
//
// Limits: P-256, P-384, P-521, Ed25519 and RSA of 2048 to 4096 bits; 64 keys in a set; 64 KiB a key file.
package keys

// Reason says why a key or signature was refused.
type Reason string

// The reasons.
const (
	Malformed         Reason = "key-malformed"   // not one JWK: JSON, a member's kind, base64url, a length
	Unsupported       Reason = "key-unsupported" // another type, curve or algorithm, or not for signatures
	PrivateMember     Reason = "key-private"     // private or secret material where a public key belongs
	Invalid           Reason = "key-invalid"     // off its curve, of small order, or halves that don't belong together
	SizeRefused       Reason = "key-size"        // RSA modulus or exponent outside the bounds
	AlgorithmMismatch Reason = "key-algorithm"   // an algorithm that doesn't fit the key, or another than it is bound to
	BadSignature      Reason = "key-signature"   // the signature doesn't verify
	Exposed           Reason = "key-exposed"     // a key file that others than its owner may read or write
	NoKey             Reason = "key-missing"     // a nil or zero key, or one whose private half is out of reach
)

// Error is why a key or signature was refused. It holds nothing of the key.
type Error struct {
	Reason Reason
	Member string // the JWK member, if it is about one
}

func (e *Error) Error() string {
	if e.Member == "" {
		return "keys: " + string(e.Reason)
	}
	return "keys: " + string(e.Reason) + " at " + e.Member
}

func refuse(r Reason, member string) error { return &Error{Reason: r, Member: member} }
