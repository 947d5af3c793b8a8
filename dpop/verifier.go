package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/base64url"
	"github.com/holdfast-project/holdfast/internal/htu"
	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
)

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

// maxWindow bounds MaxAge and Skew: a proof that is good for longer is as good as a bearer token.
const maxWindow = 24 * time.Hour

func (c Config) algorithms() []keys.Algorithm {
	if len(c.Algorithms) == 0 {
		return []keys.Algorithm{keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.EdDSA}
	}
	return slices.Clone(c.Algorithms)
}

func (c Config) maxAge() time.Duration {
	if c.MaxAge == 0 {
		return 60 * time.Second
	}
	return c.MaxAge
}

func (c Config) skew() time.Duration {
	if c.Skew == 0 {
		return 5 * time.Second
	}
	return max(c.Skew, 0)
}

func (c Config) maxBytes() int {
	if c.MaxBytes == 0 {
		return 8192
	}
	return c.MaxBytes
}

func (c Config) now() func() time.Time {
	if c.Now == nil {
		return time.Now
	}
	return c.Now
}

// NonceChecker tells whether a nonce was issued by this server and is still good. *Nonces is one.
type NonceChecker interface {
	Check(nonce string) error
}

// Verifier checks proofs. It is safe for concurrent use. It remembers keys that it has parsed, but nothing of proofs (see
// package replay).
type Verifier struct {
	algorithms []keys.Algorithm
	maxAge     time.Duration
	skew       time.Duration
	maxBytes   int
	nonces     NonceChecker
	now        func() time.Time
	keys       keyCache
}

// NewVerifier checks cfg and copies it.
func NewVerifier(cfg Config) (*Verifier, error) {
	v := &Verifier{
		algorithms: cfg.algorithms(),
		maxAge:     cfg.maxAge(),
		skew:       cfg.skew(),
		maxBytes:   cfg.maxBytes(),
		nonces:     cfg.Nonces,
		now:        cfg.now(),
	}
	for _, alg := range v.algorithms {
		if !alg.Supported() {
			return nil, fmt.Errorf("dpop: unsupported algorithm %q", alg)
		}
	}
	if v.maxAge < 0 || v.maxAge > maxWindow || v.skew > maxWindow {
		return nil, fmt.Errorf("dpop: MaxAge and Skew must be between 0 and %v", maxWindow)
	}
	if v.maxBytes < 0 {
		return nil, errors.New("dpop: MaxBytes is negative")
	}
	return v, nil
}

// Algorithms returns the accepted algorithms, for the `algs` of a challenge and for metadata.
func (v *Verifier) Algorithms() []keys.Algorithm { return slices.Clone(v.algorithms) }

// Request is the request that a proof came with.
type Request struct {
	Fields    []string // the values of its DPoP fields, as received: exactly one is right
	Method    string
	TargetURI string // the external URL as the server knows it, raw, query included or not
	// Token is the access token that the proof accompanies; "" at the token endpoint, where ath isn't looked at.
	Token string
	// Thumbprint is the key that the token is bound to: a Token without it is refused (section 4.3, step 12). Without a
	// Token, it is the key that the code or refresh token is bound to, or zero if none is yet.
	Thumbprint keys.Thumbprint
}

// Verify runs the twelve checks of RFC 9449, section 4.3, in their order, but that the key is compared with the expected
// one before its signature is verified. Errors are *Error. The caller claims
// (Thumbprint, ID) at its replay guard afterwards, until Expires.
func (v *Verifier) Verify(r Request) (*Proof, error) {
	c := check{verifier: v, request: r, now: v.now()}
	for _, step := range [...]func(*check) *Error{
		(*check).oneField,
		(*check).wellFormed,
		(*check).requiredClaims,
		(*check).proofType,
		(*check).algorithm,
		(*check).parseKey,
		(*check).binding, // else any sender could have the costliest signature verified, of milliseconds with P-521
		(*check).signature,
		(*check).method,
		(*check).target,
		(*check).nonce,
		(*check).age,
		(*check).token,
	} {
		if err := step(&c); err != nil {
			return nil, err
		}
	}
	return c.proof(), nil
}

// check is a proof on its way through the steps. What a step fills in, later ones rely on.
type check struct {
	verifier *Verifier
	request  Request
	now      time.Time
	compact  *jws.Compact
	claims   claims
	key      *keys.Public
	known    bool // the key was parsed before
}

// oneField is step 1.
func (c *check) oneField() *Error {
	if n := len(c.request.Fields); n != 1 {
		return refuse(FieldCount, 1, "DPoP").differ("1", fmt.Sprint(n))
	}
	return nil
}

// wellFormed is step 2. Header members of the wrong kind belong to the steps that want them.
func (c *check) wellFormed() *Error {
	compact, err := jws.Parse(c.request.Fields[0], c.verifier.maxBytes)
	if err != nil {
		e, _ := errors.AsType[*jws.Error](err)
		switch {
		case e == nil || e.Reason != jws.BadMember:
			return refuse(Malformed, 2, err.Error())
		case e.Member == "typ":
			return refuse(TypMismatch, 4, "typ")
		case e.Member == "alg":
			return refuse(AlgRefused, 5, "alg")
		case e.Member == "jwk":
			return refuse(KeyRefused, 6, "jwk")
		default:
			return refuse(Malformed, 2, e.Member)
		}
	}
	c.compact = compact
	return c.claims.read(compact.Payload)
}

// requiredClaims is step 3.
func (c *check) requiredClaims() *Error {
	switch {
	case c.claims.id == "" || len(c.claims.id) > maxID:
		return refuse(ClaimMissing, 3, "jti")
	case c.claims.method == "":
		return refuse(ClaimMissing, 3, "htm")
	case c.claims.target == "":
		return refuse(ClaimMissing, 3, "htu")
	case !c.claims.hasTime:
		return refuse(ClaimMissing, 3, "iat")
	}
	return nil
}

// proofType is step 4.
func (c *check) proofType() *Error {
	if c.compact.Header.Typ != typ {
		return refuse(TypMismatch, 4, "typ").differ(typ, c.compact.Header.Typ)
	}
	return nil
}

// algorithm is step 5.
func (c *check) algorithm() *Error {
	if !slices.Contains(c.verifier.algorithms, c.compact.Header.Alg) {
		return refuse(AlgRefused, 5, "alg")
	}
	return nil
}

// parseKey is what step 6 needs, and step 7: private members must be refused before the key is used.
func (c *check) parseKey() *Error {
	text := c.compact.Header.JWK
	if text == "" {
		return refuse(KeyRefused, 6, "jwk")
	}
	if c.key, c.known = c.verifier.keys.get(text); c.known {
		return nil
	}
	key, err := keys.ParsePublic(text)
	if err != nil {
		return refuseKey(err)
	}
	c.key = key
	return nil
}

// binding is the key's part of step 12, and the binding of codes and refresh tokens (sections 5 and 10), which has the
// same form.
func (c *check) binding() *Error {
	if c.request.Token == "" && c.request.Thumbprint == (keys.Thumbprint{}) {
		return nil
	}
	if c.key.Thumbprint() != c.request.Thumbprint {
		return refuse(KeyMismatch, 12, "jkt")
	}
	return nil
}

// signature is step 6.
func (c *check) signature() *Error {
	if err := c.compact.Verify(c.key); err != nil {
		return refuseKey(err)
	}
	if !c.known {
		c.verifier.keys.add(c.compact.Header.JWK, c.key)
	}
	return nil
}

// refuseKey tells what package keys refused: the signature, a private key, or a key that isn't good enough.
func refuseKey(err error) *Error {
	e, ok := errors.AsType[*keys.Error](err)
	switch {
	case ok && e.Reason == keys.BadSignature:
		return refuse(BadSignature, 6, "")
	case ok && e.Reason == keys.PrivateMember:
		return refuse(KeyRefused, 7, "jwk: "+err.Error())
	}
	return refuse(KeyRefused, 6, "jwk: "+err.Error())
}

// method is step 8. Methods are case-sensitive.
func (c *check) method() *Error {
	if c.claims.method != c.request.Method {
		return refuse(MethodMismatch, 8, "htm").differ(c.request.Method, c.claims.method)
	}
	return nil
}

// target is step 9. Query and fragment of the request don't count. An htu that has them is no htu (section 4.2), and is
// refused: it may mean that the client believes them covered.
func (c *check) target() *Error {
	if strings.ContainsAny(c.claims.target, "?#") {
		return refuse(TargetMismatch, 9, "htu query")
	}
	part, want, got, err := htu.Diff(c.request.TargetURI, c.claims.target)
	if err != nil {
		if _, bad := htu.Parse(c.request.TargetURI); bad != nil {
			return refuse(TargetMismatch, 9, "request target") // the caller's mistake, not the sender's
		}
		return refuse(TargetMismatch, 9, err.Error())
	}
	if part != "" {
		return refuse(TargetMismatch, 9, "htu "+part).differ(want, got)
	}
	return nil
}

// nonce is step 10.
func (c *check) nonce() *Error {
	if c.verifier.nonces == nil {
		return nil
	}
	if c.claims.nonce == "" {
		return refuse(NonceRequired, 10, "nonce")
	}
	if err := c.verifier.nonces.Check(c.claims.nonce); err != nil {
		return refuse(NonceMismatch, 10, "nonce")
	}
	return nil
}

// age is step 11.
func (c *check) age() *Error {
	if !c.now.Before(c.expires()) {
		return refuse(TooOld, 11, "iat").differ("after "+stamp(c.now.Add(-c.verifier.maxAge-c.verifier.skew)), stamp(c.claims.time))
	}
	if latest := c.now.Add(c.verifier.skew); c.claims.time.After(latest) {
		return refuse(InFuture, 11, "iat").differ("until "+stamp(latest), stamp(c.claims.time))
	}
	// RFC 9449 has neither claim, but whoever uses them means what RFC 7519 says (sections 4.1.4 and 4.1.5).
	if until := c.claims.until; !until.IsZero() && !c.now.Before(until.Add(c.verifier.skew)) {
		return refuse(TooOld, 11, "exp").differ("after "+stamp(c.now.Add(-c.verifier.skew)), stamp(until))
	}
	if latest := c.now.Add(c.verifier.skew); c.claims.from.After(latest) {
		return refuse(InFuture, 11, "nbf").differ("until "+stamp(latest), stamp(c.claims.from))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (c *check) expires() time.Time {
	return c.claims.time.Add(c.verifier.maxAge + c.verifier.skew)
}

// token is the token's part of step 12.
func (c *check) token() *Error {
	if c.request.Token != "" && !c.hashes(c.request.Token) {
		return refuse(TokenMismatch, 12, "ath")
	}
	return nil
}

// hashes tells whether ath is the hash of token.
func (c *check) hashes(token string) bool {
	ath, err := c.claims.ath.String()
	if err != nil {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	var buf [43]byte
	want := base64url.AppendEncode(buf[:0], sum[:])
	return subtle.ConstantTimeCompare([]byte(ath), want) == 1
}

// claims are those of a proof (RFC 9449, section 4.2).
type claims struct {
	id, method, target string
	time               time.Time
	hasTime            bool
	until, from        time.Time // exp and nbf; zero if absent
	nonce              string
	ath                strictjson.Value // its kind matters only where a token does
}

func (c *claims) read(payload string) *Error {
	err := strictjson.Object(payload, func(name string, value strictjson.Value) error {
		var err error
		switch name {
		case "jti":
			c.id, err = value.String()
		case "htm":
			c.method, err = value.String()
		case "htu":
			c.target, err = value.String()
		case "iat":
			c.time, err = value.NumericDate()
			c.hasTime = true
		case "exp":
			c.until, err = value.NumericDate()
		case "nbf":
			c.from, err = value.NumericDate()
		case "nonce":
			c.nonce, err = value.String()
		case "ath":
			c.ath = value
		}
		if err != nil {
			return refuse(ClaimMissing, 3, name)
		}
		return nil
	})
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if err != nil {
		return refuse(Malformed, 2, "claims: "+err.Error())
	}
	return nil
}
