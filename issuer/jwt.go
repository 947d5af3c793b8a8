package issuer

import (
	"encoding/json"
	"net/http"

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

// serveKeys serves the key set. It changes as keys are replaced.
func (s *Server) serveKeys(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(keySet{s.keys.Published()})
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	writeDocument(w, r, "application/jwk-set+json", body)
}

// sign makes an access token.
func (s *Server) sign(c claims) (string, error) { return s.signAs("", accessTokenType, c) }

// signAs signs claims with the key of an algorithm, or the default. The type keeps what is signed for one purpose from being taken for another.
func (s *Server) signAs(alg keys.Algorithm, typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := s.keys.Signer(alg)
	if err != nil {
		return "", err
	}
	return jws.Sign(signer, jws.Header{Typ: typ, KeyID: signer.Public().KeyID()}, payload)
}

// open reads one of our own access tokens that is still good.
func (s *Server) open(token string) (claims, bool) {
	parsed, err := jws.Parse(token, maxToken)
	if err != nil || parsed.Header.Typ != accessTokenType {
		return claims{}, false
	}
	key := s.keys.Public(parsed.Header.KeyID)
	if key == nil || parsed.Verify(key) != nil {
		return claims{}, false
	}
	// We wrote it, so any reader of JSON will do.
	var c claims
	if json.Unmarshal([]byte(parsed.Payload), &c) != nil {
		return claims{}, false
	}
	return c, c.Issuer == s.issuer && s.now().Unix() < c.Expires
}
