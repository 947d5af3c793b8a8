package accesstoken

import (
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// JWTConfig says which JWTs to accept.
type JWTConfig struct {
	Issuer   string // required; must equal `iss`
	Audience string // required; must be in `aud`
	// Keys gives the issuer's keys; *JWKS is the usual one.
	Keys KeySource
	// Algorithms that a token may use. If empty: ES256, ES384, ES512, Ed25519, EdDSA, PS256, RS256. The key's own `alg`
	// always rules as well.
	Algorithms []keys.Algorithm
	Skew       time.Duration // for exp, nbf and iat. If zero, 5 s; negative means none
	// InsecureAnyType accepts tokens whose `typ` isn't at+jwt: ID tokens of the same issuer then pass as access tokens
	// where the audience matches. For issuers that don't follow RFC 9068.
	InsecureAnyType bool
	Now             func() time.Time
}

// NewJWTVerifier returns a Verifier for RFC 9068 tokens.
func NewJWTVerifier(cfg JWTConfig) (Verifier, error) { panic("stub") }
