package issuer

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast-project/holdfast/internal/jws"
	"github.com/holdfast-project/holdfast/keys"
)

const (
	// accessTokenType is the typ of our tokens (RFC 9068, section 2.1): nothing else that we may sign passes as one.
	accessTokenType = "at+jwt"
	// maxToken bounds a token to introspect, in bytes. Ours have room for long scopes and an RSA key in cnf.
	maxToken = 16 << 10
)

// keySet is a JWK Set (RFC 7517, section 5).
type keySet struct {
	Keys []*keys.Public `json:"keys"`
}

// publishedKey is the public key as the key set has it: with a kid and its algorithm.
func publishedKey(signer *keys.Signer) (*keys.Public, error) {
	switch signer.Algorithm() {
	case keys.ES256, keys.Ed25519, keys.EdDSA:
	default:
		return nil, errors.New("issuer: Signer must use ES256 or Ed25519")
	}
	public := signer.Public()
	kid := public.KeyID()
	if kid == "" {
		kid = public.Thumbprint().String()
	}
	published, err := keys.NewPublic(public.Key(), kid, signer.Algorithm())
	if err != nil {
		return nil, fmt.Errorf("issuer: Signer: %w", err)
	}
	return published, nil
}

// sign makes an access token.
func (s *Server) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return jws.Sign(s.signer, jws.Header{Typ: accessTokenType, KeyID: s.public.KeyID()}, payload)
}

// open reads one of our own access tokens that is still good.
func (s *Server) open(token string) (claims, bool) {
	parsed, err := jws.Parse(token, maxToken)
	if err != nil || parsed.Header.Typ != accessTokenType || parsed.Header.KeyID != s.public.KeyID() {
		return claims{}, false
	}
	if parsed.Verify(s.public) != nil {
		return claims{}, false
	}
	// We wrote it, so any reader of JSON will do.
	var c claims
	if json.Unmarshal([]byte(parsed.Payload), &c) != nil {
		return claims{}, false
	}
	return c, c.Issuer == s.issuer && s.now().Unix() < c.Expires
}
