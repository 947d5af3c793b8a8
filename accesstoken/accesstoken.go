// Package accesstoken verifies access tokens at a resource server: JWTs of RFC 9068 against an issuer's keys, and opaque
// ones by introspection (RFC 7662). Both give a [Token] with its confirmation (RFC 7800).
package accesstoken

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-project/holdfast/keys"
)

// Hash is the SHA-256 of a token as sent. Caches and audit logs use it, never the token.
type Hash [32]byte

// Token is what a verified token says. Only a Verifier of this package fills one; don't write to its slices.
type Token struct {
	Issuer       string
	Subject      string
	ClientID     string
	ID           string // jti, or ""
	Audience     []string
	Scope        []string
	IssuedAt     time.Time
	Expires      time.Time
	Confirmation Confirmation
	Hash         Hash
	// Claims is the JSON object it was read from: the JWT's claims or the introspection answer.
	Claims []byte
}

// Verifier turns a token as sent into what it says. Implementations are safe for concurrent use. Errors are *Error.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Token, error)
}

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

// Confirmation is a checked `cnf` claim: at most one method, so that nobody can choose between two.
type Confirmation struct {
	Binding     Binding
	Thumbprint  keys.Thumbprint // of the key, for jkt, jwk and htsk
	Certificate [32]byte        // SHA-256 of the certificate, for x5t#S256
	Key         *keys.Public    // for jwk and htsk
	Algorithm   string          // for htsk: the HTTP Signature Algorithms name it is bound to
}

// ParseConfirmation reads the JSON value of `cnf`. An unknown method, two methods, or none in a present cnf is an error,
// never an unbound token.
func ParseConfirmation(cnf []byte) (Confirmation, error) { panic("stub") }

// AppendHTSK appends the `cnf` value {"htsk":{…}} of a run-time key to dst (draft-richer-oauth-httpsig-03).
func AppendHTSK(dst []byte, key *keys.Public, algorithm string) ([]byte, error) { panic("stub") }

// ParseRuntimeKey reads the raw public key of a `pub` parameter or `htsk.pub` for algorithm (ecdsa-p256-sha256: 65
// bytes, ecdsa-p384-sha384: 97, ed25519: 32).
func ParseRuntimeKey(algorithm string, pub []byte) (*keys.Public, error) { panic("stub") }

// RuntimeKey returns the algorithm name and raw bytes of key, as ParseRuntimeKey reads them.
func RuntimeKey(key *keys.Public) (algorithm string, pub []byte, err error) { panic("stub") }

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

// KeySource finds an issuer's key by key id.
type KeySource interface {
	// Key returns the key with this kid. An empty kid matches only a set of one key. Errors are *Error: UnknownKey, or
	// Unavailable when there is no set at all.
	Key(ctx context.Context, kid string) (*keys.Public, error)
}

// StaticKeys is a fixed KeySource.
type StaticKeys []*keys.Public

// Key implements KeySource.
func (s StaticKeys) Key(ctx context.Context, kid string) (*keys.Public, error) { panic("stub") }

// NewJWTVerifier returns a Verifier for RFC 9068 tokens.
func NewJWTVerifier(cfg JWTConfig) (Verifier, error) { panic("stub") }

// JWKSConfig configures JWKS.
type JWKSConfig struct {
	// Issuer, whose RFC 8414 metadata names the jwks_uri; or URL, the jwks_uri itself. Exactly one.
	Issuer string
	URL    string
	Client *http.Client // If nil, one with a 5 s timeout that follows no redirect
	// Refresh is how old a set may be before it is fetched again in the background. If zero, 5 minutes.
	Refresh time.Duration
	// Stale is how long a set is still used when refreshing fails. If zero, 24 hours.
	Stale time.Duration
	// UnknownEvery limits fetches caused by unknown key ids. If zero, one per 10 s.
	UnknownEvery time.Duration
	Now          func() time.Time
}

// JWKS is an issuer's key set, kept fresh in the background. Safe for concurrent use.
type JWKS struct{}

// OpenJWKS returns at once; the first set is fetched on first need. ctx ends its background work, as does Close.
func OpenJWKS(ctx context.Context, cfg JWKSConfig) (*JWKS, error) { panic("stub") }

// Key implements KeySource.
func (j *JWKS) Key(ctx context.Context, kid string) (*keys.Public, error) { panic("stub") }

// Ready fetches the set if there is none yet.
func (j *JWKS) Ready(ctx context.Context) error { panic("stub") }

// Close ends the background work.
func (j *JWKS) Close() error { panic("stub") }

// IntrospectionConfig configures an introspecting Verifier (RFC 7662).
type IntrospectionConfig struct {
	Issuer   string // what a Token's Issuer is set to when the answer has no `iss`; must equal it when it has
	Endpoint string
	Audience string // required; must be in `aud`
	ClientID string // of this resource server, for client_secret_basic
	Secret   string
	Client   *http.Client // If nil, one with a 5 s timeout that follows no redirect
	Skew     time.Duration
	Now      func() time.Time
}

// NewIntrospector returns a Verifier that asks the issuer about each token. Wrap it with NewCache.
func NewIntrospector(cfg IntrospectionConfig) (Verifier, error) { panic("stub") }

// CacheConfig bounds a cache.
type CacheConfig struct {
	Entries int           // If zero, 10,000
	MaxAge  time.Duration // how long an answer is trusted, at most until the token expires. If zero, 1 minute
	Now     func() time.Time
}

// Cache is a Verifier that remembers the answers of another by token hash. Refusals aren't remembered. Concurrent
// questions about one token become one.
type Cache struct{}

// NewCache wraps next.
func NewCache(next Verifier, cfg CacheConfig) *Cache { panic("stub") }

// Verify implements Verifier.
func (c *Cache) Verify(ctx context.Context, token string) (*Token, error) { panic("stub") }

// Forget drops a token, for instance when it was revoked.
func (c *Cache) Forget(h Hash) { panic("stub") }

// Reason says why a token was refused.
type Reason string

// The reasons.
const (
	Malformed        Reason = "token-malformed"
	TypeMismatch     Reason = "token-type"              // typ isn't at+jwt (RFC 9068, section 4)
	AlgRefused       Reason = "token-alg"               // not accepted, or not the key's
	UnknownKey       Reason = "token-unknown-key"       // no such kid
	BadSignature     Reason = "token-signature"         //
	IssuerMismatch   Reason = "token-issuer-mismatch"   //
	AudienceMismatch Reason = "token-audience-mismatch" //
	Expired          Reason = "token-expired"           //
	NotYetValid      Reason = "token-not-yet-valid"     //
	Inactive         Reason = "token-inactive"          // introspection: active is false
	BadConfirmation  Reason = "token-confirmation"      // cnf malformed, unknown or ambiguous
	Unavailable      Reason = "issuer-unavailable"      // keys or introspection can't be reached: our failure, not the client's
)

// Error is why a token was refused.
type Error struct {
	Reason   Reason
	Section  string
	Part     string
	Expected string // never token bytes
	Got      string
	Err      error // for Unavailable
}

func (e *Error) Error() string { panic("stub") }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
