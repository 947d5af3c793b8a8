package issuer

import (
	"encoding/json"
	"slices"
)

const (
	// scopeOpenID asks for an ID token, and lets the access token ask who the user is.
	scopeOpenID = "openid"
	// idTokenType is the typ of ID tokens, which nobody takes for an access token.
	idTokenType = "JWT"
)

// idClaims are those of an ID token (OpenID Connect Core, section 2).
type idClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Expires  int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	AuthTime int64  `json:"auth_time"`
	Nonce    string `json:"nonce,omitempty"`
	identity
}

// mintIDToken makes the ID token of a token request, or "" if none is due: only what a user's own authorization gives has
// one, and with a refresh token none has a nonce (OpenID Connect Core, section 12.2).
func (s *Server) mintIDToken(is *issuance) (string, error) {
	g := is.basis.grant
	if g == nil || g.AuthTime.IsZero() || !slices.Contains(is.basis.scope, scopeOpenID) {
		return "", nil
	}
	c := idClaims{
		Issuer: s.issuer, Subject: g.Subject, Audience: g.ClientID, Expires: s.now().Add(s.lifetime).Unix(), IssuedAt: s.now().Unix(),
		AuthTime: g.AuthTime.Unix(), Nonce: is.basis.nonce,
	}
	if len(g.Extra) > 0 {
		if err := json.Unmarshal(g.Extra, &c.identity); err != nil {
			return "", err
		}
	}
	token, err := s.signAs(is.caller.IDTokenAlgorithm, idTokenType, c)
	if err != nil {
		return "", &Error{Reason: Unavailable, Part: "id_token", Err: err}
	}
	return token, nil
}
