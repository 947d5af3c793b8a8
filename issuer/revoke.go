package issuer

import (
	"net/http"
	"time"
)

// serveRevoke is the revocation endpoint (RFC 7009).
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	event := Event{Endpoint: "revocation"}
	if err := s.revoke(w, r, &event); err != nil {
		event.Refusal = asError(err)
		s.observe(r.Context(), event)
		event.Refusal.write(w)
		return
	}
	s.observe(r.Context(), event)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revoke lists the steps of a revocation. A refresh token ends its grant and all tokens that came of it; an access token
// ends alone. What is no token, or no good any more, is as good as revoked (section 2.2).
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, event *Event) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f)
	if c.client != nil {
		event.ClientID = c.ID
	}
	if err != nil {
		return err
	}
	token := f.get("token")
	if token == "" {
		return &Error{Reason: FormRefused, Section: "RFC 7009, section 2.1", Part: "token"}
	}
	revoke, err := s.revocation(r, c.client, token, event)
	if err != nil {
		return err
	}
	if err := s.claimProof(r.Context(), c.signature); err != nil {
		return err
	}
	if err := s.useOnce(r.Context(), c.claims()); err != nil {
		return err
	}
	return revoke()
}

// revocation finds out what a token is, whatever token_type_hint says, and returns what revokes it. One of another client
// is refused (section 2.1).
func (s *Server) revocation(r *http.Request, c *client, token string, event *Event) (func() error, error) {
	ctx, now := r.Context(), s.now()
	foreign := &Error{Reason: RevocationDenied, Section: "RFC 7009, section 2.1", Part: "token"}
	if _, ok := kindRefresh.parse(token); ok {
		_, grant, err := s.store.RefreshToken(ctx, hashOf(token))
		if isUnknown(err) {
			return nothing, nil
		}
		if err != nil {
			return nil, storeRefusal(err, Unavailable, "token")
		}
		if grant.ClientID != c.ID {
			return nil, foreign
		}
		event.GrantID = grant.ID
		return func() error {
			if err := s.store.RevokeGrant(ctx, now, grant.ID, "refresh token revoked by its client"); err != nil && !isUnknown(err) {
				return storeRefusal(err, Unavailable, "token")
			}
			return nil
		}, nil
	}
	claims, ok := s.open(token)
	switch {
	case !ok:
		return nothing, nil
	case claims.ClientID != c.ID:
		return nil, foreign
	}
	event.TokenID, event.GrantID = claims.ID, claims.GrantID
	return func() error {
		if err := s.store.RevokeAccessToken(ctx, claims.ID, time.Unix(claims.Expires, 0)); err != nil {
			return storeRefusal(err, Unavailable, "token")
		}
		return nil
	}, nil
}

func nothing() error { return nil }
