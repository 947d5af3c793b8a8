package issuer

import (
	"context"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/accesstoken"
)

// introspection is an answer of RFC 7662, section 2.2.
type introspection struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type"`
	claims
}

// inactive is the answer about every token that isn't one, isn't ours, isn't good any more or isn't the asker's.
type inactive struct {
	Active bool `json:"active"`
}

// serveIntrospect is the introspection endpoint (RFC 7662).
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	asker, answer, err := s.introspect(w, r)
	event := Event{Endpoint: "introspection"}
	if asker.client != nil {
		event.ClientID = asker.ID
	}
	if err != nil {
		event.Refusal = asError(err)
		s.observe(r.Context(), event)
		event.Refusal.write(w)
		return
	}
	var body any = inactive{}
	if answer != nil {
		body = answer
		event.TokenID, event.Audience, event.Scope = answer.ID, answer.Audience, strings.Fields(answer.Scope)
	}
	s.observe(r.Context(), event)
	if !acceptsMedia(r.Header.Values("Accept"), introspectionMedia) {
		writeJSON(w, http.StatusOK, body)
		return
	}
	signed, err := s.signIntrospection(asker.ID, body)
	if err != nil {
		(&Error{Reason: Unavailable, Part: "answer", Err: err}).write(w)
		return
	}
	noStore(w.Header())
	w.Header().Set("Content-Type", introspectionMedia)
	io.WriteString(w, signed)
}

const (
	introspectionType  = "token-introspection+jwt" // typ (RFC 9701, section 5)
	introspectionMedia = "application/" + introspectionType
)

// signedIntrospection is an answer that its asker can show to others (RFC 9701, section 5). It has neither sub nor exp, so
// that it can't be taken for an access token.
type signedIntrospection struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Answer   any    `json:"token_introspection"`
}

func (s *Server) signIntrospection(asker string, answer any) (string, error) {
	return s.signAs("", introspectionType, signedIntrospection{Issuer: s.issuer, Audience: asker, IssuedAt: s.now().Unix(), Answer: answer})
}

// acceptsMedia tells whether Accept names a media type, by itself (RFC 9110, section 12.5.1). Wildcards don't count: they
// ask for the usual answer.
func acceptsMedia(lines []string, media string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			name, params, err := mime.ParseMediaType(item)
			if err == nil && name == media && (params["q"] == "" || strings.Trim(params["q"], "0.") != "") { // q=0 is "not this"
				return true
			}
		}
	}
	return false
}

// introspect lists the steps of an introspection request. The answer is nil for a token that is inactive for the asker.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) (caller, *introspection, error) {
	f, err := readForm(w, r)
	if err != nil {
		return caller{}, nil, err
	}
	asker, err := s.authenticate(r, f)
	if err != nil {
		return asker, nil, err
	}
	if len(asker.Introspect) == 0 {
		return asker, nil, &Error{Reason: IntrospectDenied, Section: "RFC 7662, section 2.3"}
	}
	token := f.get("token")
	if token == "" {
		return asker, nil, &Error{Reason: FormRefused, Section: "RFC 7662, section 2.1", Part: "token"}
	}
	if err := s.claimProof(r.Context(), asker.signature); err != nil {
		return asker, nil, err
	}
	if err := s.useOnce(r.Context(), asker.claims()); err != nil {
		return asker, nil, err
	}
	answer, err := s.active(r.Context(), token, asker.client)
	return asker, answer, err
}

// active returns what a token says, or nil if it isn't active for asker: one of another audience looks like no token
// (RFC 7662, section 2.2).
func (s *Server) active(ctx context.Context, token string, asker *client) (*introspection, error) {
	c, ok := s.open(token)
	if !ok || !slices.Contains(asker.Introspect, c.Audience) {
		return nil, nil
	}
	revoked, err := s.store.TokenRevoked(ctx, c.ID, c.GrantID)
	if err != nil {
		return nil, storeRefusal(err, Unavailable, "token")
	}
	if revoked {
		return nil, nil
	}
	answer := &introspection{Active: true, TokenType: "Bearer", claims: c}
	if c.Confirmation == nil {
		return answer, nil
	}
	confirmation, err := accesstoken.ParseConfirmation(c.Confirmation)
	if err != nil {
		return nil, nil
	}
	switch confirmation.Binding {
	case accesstoken.BoundJKT:
		answer.TokenType = "DPoP"
	case accesstoken.BoundJWK, accesstoken.BoundHTSK:
		answer.TokenType = "httpsig"
	}
	return answer, nil
}
