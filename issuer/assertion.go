package issuer

import (
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/internal/strictjson"
	"github.com/holdfast-project/holdfast/keys"
	"github.com/holdfast-project/holdfast/replay"
)

const (
	// maxAssertion bounds a client assertion, in bytes: a handful of claims and a signature.
	maxAssertion = 8 << 10
	// assertionLife is how far ahead exp may lie, and how far back iat: what replay has to remember.
	assertionLife = 5 * time.Minute

	assertionSection = "RFC 7523, section 3"
)

// assertionAlgorithms are those that a client may sign assertions with; its key narrows them to one. RS256 is not among
// them (FAPI 2.0 Security Profile, section 5.4.1).
var assertionAlgorithms = []keys.Algorithm{keys.ES256, keys.Ed25519, keys.EdDSA, keys.PS256}

// assertionClaims are the claims of a client assertion. A time is zero if absent.
type assertionClaims struct {
	issuer, subject, audience, id string
	expires, notBefore, issuedAt  time.Time
}

// refuseAssertion says what was wrong with an assertion.
func refuseAssertion(part string, err error) *Error {
	return &Error{Reason: AssertionRefused, Section: assertionSection, Part: part, Err: err}
}

// authenticateAssertion checks private_key_jwt (RFC 7523, section 3).
func (s *Server) authenticateAssertion(r *http.Request, f form) (caller, error) {
	if f.get("client_assertion_type") != jwtBearer {
		return caller{}, refuseAssertion("client_assertion_type", nil)
	}
	token, err := jws.Parse(f.get("client_assertion"), maxAssertion)
	if err != nil {
		return caller{}, refuseAssertion("client_assertion", err)
	}
	claims, err := parseAssertion(token.Payload)
	if err != nil {
		return caller{}, err
	}
	named, err := s.client(r, claims.subject)
	if err != nil {
		return caller{}, err
	}
	if err := s.mayTry(r, named); err != nil {
		return caller{client: named}, err
	}
	if named == nil {
		return caller{}, &Error{Reason: AuthRefused, Section: assertionSection, Part: "sub"}
	}
	c := caller{client: named}
	if c.AuthMethod != PrivateKeyJWT {
		return c, &Error{Reason: AuthRefused, Section: assertionSection, Part: "method", Expected: string(c.AuthMethod), Got: string(PrivateKeyJWT)}
	}
	key, err := c.verifyAssertion(token)
	if err != nil {
		return c, err
	}
	if err := claims.check(s.issuer, s.now()); err != nil {
		return c, err
	}
	c.assertion = claims.use(key.Thumbprint())
	return c, nil
}

// verifyAssertion checks the signature with the client's key, which the kid names.
func (c *client) verifyAssertion(token *jws.Compact) (*keys.Public, error) {
	// What the client's key signed for another purpose is no assertion.
	switch token.Header.Typ {
	case "", "JWT", "client-authentication+jwt":
	default:
		return nil, refuseAssertion("typ", nil)
	}
	key := c.keys[token.Header.KeyID]
	if key == nil {
		return nil, refuseAssertion("kid", nil)
	}
	if !slices.Contains(assertionAlgorithms, token.Header.Alg) {
		return nil, refuseAssertion("alg", nil)
	}
	if err := token.Verify(key); err != nil {
		return nil, refuseAssertion("signature", err)
	}
	return key, nil
}

// parseAssertion reads the claims and judges nothing but their types: an aud that isn't a single string, for one, is
// none that we take (FAPI 2.0 Security Profile, section 5.3.2.1).
func parseAssertion(payload string) (assertionClaims, error) {
	var c assertionClaims
	err := strictjson.Object(payload, func(name string, value strictjson.Value) (err error) {
		switch name {
		case "iss":
			c.issuer, err = value.String()
		case "sub":
			c.subject, err = value.String()
		case "aud":
			c.audience, err = value.String()
		case "jti":
			c.id, err = value.String()
		case "exp":
			c.expires, err = value.NumericDate()
		case "nbf":
			c.notBefore, err = value.NumericDate()
		case "iat":
			c.issuedAt, err = value.NumericDate()
		}
		if err != nil {
			return refuseAssertion(name, err)
		}
		return nil
	})
	if err == nil {
		return c, nil
	}
	if asError(err).Reason == AssertionRefused {
		return c, err
	}
	return c, refuseAssertion("claims", err)
}

// check judges the claims in the order of RFC 7523, section 3.
func (c assertionClaims) check(issuer string, now time.Time) error {
	latest := now.Add(skew)
	switch {
	case c.issuer != c.subject: // which named the client
		return refuseAssertion("iss", nil)
	case c.audience != issuer:
		// Only the issuer: a token endpoint's URL can be given out by another server as its own.
		return refuseAssertion("aud", nil)
	case c.expires.IsZero(), !c.expires.After(now), c.expires.After(latest.Add(assertionLife)):
		return refuseAssertion("exp", nil)
	case c.notBefore.After(latest):
		return refuseAssertion("nbf", nil)
	case c.issuedAt.After(latest), !c.issuedAt.IsZero() && c.issuedAt.Before(now.Add(-assertionLife-skew)):
		return refuseAssertion("iat", nil)
	case c.id == "":
		return refuseAssertion("jti", nil)
	}
	return nil
}

// use is the one use of the assertion, which the store remembers.
func (c assertionClaims) use(owner keys.Thumbprint) *replay.Claim {
	return &replay.Claim{Owner: owner, ID: "assertion " + c.subject + " " + c.id, Until: c.expires}
}
