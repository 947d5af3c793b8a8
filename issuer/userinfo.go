package issuer

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-project/holdfast/accesstoken"
	"github.com/holdfast-project/holdfast/dpop"
)

// userinfo is what is said of a user (OpenID Connect Core, section 5.3.2).
type userinfo struct {
	Subject string `json:"sub"`
	Name    string `json:"name,omitempty"`
}

// serveUserinfo is the userinfo endpoint (OpenID Connect Core, section 5.3).
func (s *Server) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	event := Event{Endpoint: "userinfo"}
	answer, err := s.userinfo(r, &event)
	if err != nil {
		event.Refusal = asError(err)
		s.observe(r.Context(), event)
		s.challenge(w, event.Refusal)
		return
	}
	s.observe(r.Context(), event)
	if s.requireNonce {
		w.Header().Set("DPoP-Nonce", s.nonces.Issue())
	}
	writeJSON(w, http.StatusOK, answer)
}

// userinfo lists the steps of a request. The token may be for any resource: its scope says that its holder may ask, and
// its key that it is no resource server that was only shown the token.
func (s *Server) userinfo(r *http.Request, event *Event) (*userinfo, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return nil, &Error{Reason: MethodRefused, Section: "OpenID Connect Core, section 5.3.1", Expected: "GET or POST"}
	}
	scheme, token, err := bearing(r.Header)
	if err != nil {
		return nil, err
	}
	c, ok := s.open(token)
	if !ok {
		return nil, tokenRefused("signature, issuer, type or exp")
	}
	event.ClientID, event.Subject, event.TokenID, event.GrantID = c.ClientID, c.Subject, c.ID, c.GrantID
	p, err := s.proveHolder(r, scheme, token, c)
	if err != nil {
		return nil, err
	}
	if p != nil {
		event.Binding, event.Key = p.binding, p.key
	}
	if !slices.Contains(strings.Fields(c.Scope), scopeOpenID) {
		return nil, &Error{Reason: ScopeRefused, Section: "OpenID Connect Core, section 5.3", Part: "scope", Expected: scopeOpenID}
	}
	revoked, err := s.store.TokenRevoked(r.Context(), c.ID, c.GrantID)
	if err != nil {
		return nil, storeRefusal(err, Unavailable, "token")
	}
	if revoked {
		return nil, tokenRefused("revoked")
	}
	answer, err := s.userOf(r.Context(), c)
	if err != nil {
		return nil, err
	}
	return answer, s.claimProof(r.Context(), p)
}

func tokenRefused(part string) error {
	return &Error{Reason: TokenRefused, Section: "RFC 6750, section 3.1", Part: part}
}

// bearing returns the scheme, in small letters, and the token of a request.
func bearing(h http.Header) (scheme, token string, err error) {
	fields := h.Values("Authorization")
	if len(fields) != 1 {
		return "", "", &Error{Reason: AuthMissing, Section: "RFC 9449, section 7.1", Part: "Authorization"}
	}
	scheme, token, ok := strings.Cut(fields[0], " ")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "dpop" && scheme != "bearer" {
		return "", "", &Error{Reason: AuthMissing, Section: "RFC 9449, section 7.1", Part: "Authorization"}
	}
	return scheme, token, nil
}

// proveHolder verifies the proof that goes with a token (RFC 9449, section 7). Only the tokens of a client that may have
// unbound ones go without.
func (s *Server) proveHolder(r *http.Request, scheme, token string, c claims) (*proof, error) {
	if len(c.Confirmation) == 0 {
		client, err := s.client(r, c.ClientID)
		if err != nil {
			return nil, err
		}
		if scheme != "bearer" || client == nil || !client.InsecureAllowUnbound {
			return nil, tokenRefused("cnf")
		}
		return nil, nil
	}
	confirmation, err := accesstoken.ParseConfirmation(c.Confirmation)
	if err != nil || confirmation.Binding != accesstoken.BoundJKT || scheme != "dpop" {
		return nil, tokenRefused("cnf")
	}
	return s.verifyDPoP(dpop.Request{
		Fields: r.Header.Values("DPoP"), Method: r.Method, TargetURI: s.urls.userinfo, Token: token, Thumbprint: confirmation.Thumbprint,
	}, "RFC 9449, section 7")
}

// userOf says who a token's subject is. One that is gone or disabled is nobody any more.
func (s *Server) userOf(ctx context.Context, c claims) (*userinfo, error) {
	user, err := s.store.User(ctx, c.Subject)
	if err != nil {
		return nil, storeRefusal(err, TokenRefused, "sub")
	}
	if user.Disabled {
		return nil, tokenRefused("sub")
	}
	return &userinfo{Subject: user.ID, Name: cmp.Or(user.DisplayName, user.Name)}, nil
}

// challenge answers as a resource does (RFC 6750, section 3; RFC 9449, section 7.1).
func (s *Server) challenge(w http.ResponseWriter, e *Error) {
	what := e.answer()
	status, code := what.status, what.code
	switch e.Reason {
	case MethodRefused:
		w.Header().Set("Allow", "GET, POST")
	case AuthMissing:
		status, code = http.StatusUnauthorized, ""
	case DPoPRefused, ProofUsed:
		status = http.StatusUnauthorized
	case NonceNeeded:
		status = http.StatusUnauthorized
		w.Header().Set("DPoP-Nonce", s.nonces.Issue())
	case ScopeRefused:
		status, code = http.StatusForbidden, "insufficient_scope"
	case Unavailable, Restarted:
		w.Header().Set("Retry-After", "5")
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		field := "DPoP algs=\"" + s.algorithms() + "\""
		if code != "" {
			field = `DPoP error="` + code + `", algs="` + s.algorithms() + `"`
		}
		w.Header().Set("WWW-Authenticate", field)
	}
	writeJSON(w, status, struct {
		Error string `json:"error,omitempty"`
	}{code})
}

func (s *Server) algorithms() string {
	var names []string
	for _, a := range s.dpop.Algorithms() {
		names = append(names, string(a))
	}
	return strings.Join(names, " ")
}

// dpopReason is the reason for an error of the verifier.
func dpopReason(err error) Reason {
	if e, ok := errors.AsType[*dpop.Error](err); ok && (e.Reason == dpop.NonceRequired || e.Reason == dpop.NonceMismatch) {
		return NonceNeeded
	}
	return DPoPRefused
}
