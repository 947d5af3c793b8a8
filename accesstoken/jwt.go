package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

const rfc9068Validation = "RFC 9068, section 4"

// JWTConfig says which JWTs to accept.
type JWTConfig struct {
	Issuer   string // required; must equal `iss`
	Audience string // required; must be in `aud`
	// Keys gives the issuer's keys; *JWKS is the usual one. Required.
	Keys KeySource
	// Algorithms that a token may use. If empty: ES256, ES384, ES512, Ed25519, EdDSA, PS256, RS256. The key's own `alg`
	// always rules as well.
	Algorithms []keys.Algorithm
	Skew       time.Duration // for exp, nbf and iat. If zero, 5 s; negative means none
	// InsecureAnyType accepts tokens whose `typ` isn't at+jwt: ID tokens of the same issuer then pass as access tokens
	// where the audience matches. For issuers that don't follow RFC 9068; sub, client_id, jti and iat may then be absent.
	InsecureAnyType bool
	Now             func() time.Time // If nil, time.Now
}

// jwtVerifier verifies RFC 9068 tokens.
type jwtVerifier struct {
	rules      rules
	keys       KeySource
	algorithms []keys.Algorithm
	anyType    bool
}

// NewJWTVerifier returns a Verifier for RFC 9068 tokens.
func NewJWTVerifier(cfg JWTConfig) (Verifier, error) {
	if cfg.Issuer == "" || cfg.Audience == "" {
		return nil, errors.New("accesstoken: JWTConfig needs an Issuer and an Audience")
	}
	if cfg.Keys == nil {
		return nil, errors.New("accesstoken: JWTConfig needs Keys")
	}
	for _, alg := range cfg.Algorithms {
		if !alg.Supported() {
			return nil, fmt.Errorf("accesstoken: JWTConfig.Algorithms: %s isn't supported", quote(string(alg)))
		}
	}
	v := &jwtVerifier{
		rules:      newRules(rfc9068Validation, cfg.Issuer, cfg.Audience, cfg.Skew, cfg.Now),
		keys:       cfg.Keys,
		algorithms: slices.Clone(cfg.Algorithms),
		anyType:    cfg.InsecureAnyType,
	}
	if len(v.algorithms) == 0 {
		v.algorithms = []keys.Algorithm{
			keys.ES256, keys.ES384, keys.ES512, keys.Ed25519, keys.EdDSA, keys.PS256, keys.RS256,
		}
	}
	v.rules.complete = !v.anyType
	return v, nil
}

// Verify implements Verifier.
func (v *jwtVerifier) Verify(ctx context.Context, token string) (*Token, error) {
	t, refusal := v.verify(ctx, token)
	if refusal != nil {
		return nil, refusal
	}
	return t, nil
}

// verify runs the steps of RFC 9068, section 4, but the signature comes before the claims: what wasn't signed isn't read.
func (v *jwtVerifier) verify(ctx context.Context, token string) (*Token, *Error) {
	c, err := jws.Parse(token, maxToken)
	if err != nil {
		return nil, &Error{Reason: Malformed, Section: "RFC 7519, section 7.2", Part: "token", Err: err}
	}
	if !v.anyType && !isAccessToken(c.Header.Typ) {
		return nil, v.rules.refuse(TypeMismatch, "typ", "at+jwt", quote(c.Header.Typ))
	}
	if refusal := v.checkSignature(ctx, c); refusal != nil {
		return nil, refusal
	}
	claims, refusal := parseClaims(c.Payload)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := v.rules.check(claims); refusal != nil {
		return nil, refusal
	}
	return claims.token(hashToken(token), []byte(c.Payload))
}

// isAccessToken compares media types, of which application/ may be left out (RFC 7515, section 4.1.9).
func isAccessToken(typ string) bool {
	return strings.EqualFold(typ, "at+jwt") || strings.EqualFold(typ, "application/at+jwt")
}

// checkSignature takes from the message only which key to use; whether its algorithm is that key's is for the key to say.
func (v *jwtVerifier) checkSignature(ctx context.Context, c *jws.Compact) *Error {
	alg := c.Header.Alg
	if !slices.Contains(v.algorithms, alg) {
		return algRefused("an accepted algorithm", alg)
	}
	key, err := v.keys.Key(ctx, c.Header.KeyID)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			return e
		}
		return unavailable("key", err)
	}
	err = c.Verify(key)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*keys.Error](err); ok {
		switch e.Reason {
		case keys.BadSignature:
			return v.rules.refuse(BadSignature, "signature", "one by the issuer's key", "another")
		case keys.AlgorithmMismatch:
			return algRefused("the algorithm of the issuer's key", alg)
		}
	}
	return unavailable("key", err)
}

func algRefused(expected string, got keys.Algorithm) *Error {
	return &Error{Reason: AlgRefused, Section: "RFC 8725, section 3.1", Part: "alg", Expected: expected, Got: quote(string(got))}
}
